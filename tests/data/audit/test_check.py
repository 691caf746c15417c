"""What a check of a data set finds: each kind of trouble is put there on purpose."""

import json
import os
import shutil
import struct
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scapnet import cli
from scapnet.data import opening
from scapnet.data.audit import facts as facts_module
from scapnet.data.audit import reading
from scapnet.data.audit.check import FOLDER, Report, check_data
from scapnet.data.audit.facts import photo_facts
from scapnet.data.files import SkippedFile
from scapnet.data.info import PublishedSizes
from scapnet.data.photos import PhotoList
from scapnet.data.sample import Splits
from scapnet.data.synthetic.finches import Finches


def draw(path: Path, seed: int, size: tuple[int, int] = (40, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, two training photos and one test photo of each."""
    for number, name in enumerate(("train/a/1", "train/a/2", "train/b/1", "train/b/2", "test/a/1", "test/b/1")):
        draw(tmp_path / "set" / f"{name}.png", number)
    return tmp_path / "set"


def listed(root: Path, split: str) -> PhotoList:
    paths = sorted(p for p in (root / split).rglob("*") if p.is_file())
    return PhotoList(paths, [int(path.parent.name == "b") for path in paths], "ab")


def check(root: Path, told: Sequence[PublishedSizes] = (), jobs: int = 1, out: Path | None = None) -> Report:
    splits = Splits(listed(root, "train"), None, listed(root, "test"))
    return check_data(splits, "set", root, out, jobs, told, quiet=True)


def found(report: Report) -> dict[str, tuple[str, tuple[tuple[str, ...], ...]]]:
    return {finding.kind: (finding.level, finding.files) for finding in report.findings}


# --- one file ---


def one(path: Path) -> tuple[str, tuple[str, ...]]:
    facts = photo_facts(path, "x")
    assert (facts.pixels == "") == bool(facts.error)
    return facts.error, facts.odd


def test_facts_of_good_and_unusual_photos(tmp_path: Path) -> None:
    path, photo = tmp_path / "x.png", Image.new("RGB", (40, 40), "red")
    assert one(draw(path, 0)) == ("", ())
    facts = photo_facts(path, "x")
    assert (facts.width, facts.height, facts.kind, facts.size) == (40, 48, "PNG RGB", path.stat().st_size)
    assert one(draw(path, 0, (31, 40))) == ("", ("tiny",))
    assert one(draw(path, 0, (32, 160))) == ("", ("long",))
    Image.new("CMYK", (40, 40)).save(tmp_path / "x.jpg")
    assert one(tmp_path / "x.jpg") == ("", ("CMYK",))
    photo.save(tmp_path / "x.gif", save_all=True, append_images=[Image.new("RGB", (40, 40), "blue")])
    assert one(tmp_path / "x.gif") == ("", ("animated",))
    photo.save(tmp_path / "one.gif")
    assert one(tmp_path / "one.gif") == ("", ())
    deep = np.full((40, 40), 40000, np.uint16)
    for name in ("x.png", "x.tif"):
        Image.fromarray(deep).save(tmp_path / name)
        assert one(tmp_path / name) == ("", ("16-bit",))


def test_sixteen_bits_that_pillow_turns_into_eight(tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = zlib.compress((b"\0" + bytes(6 * 40)) * 40)
    header = struct.pack(">IIBBBBB", 40, 40, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    (tmp_path / "x.png").write_bytes(data)
    assert one(tmp_path / "x.png") == ("", ("16-bit",))


def test_files_that_are_not_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    whole = draw(path, 0, (200, 200)).read_bytes()
    Image.open(path).save(tmp_path / "x.jpg")
    for name in ("x.png", "x.jpg"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        assert "truncated" in one(tmp_path / name)[0]
    for data, words in (
        (b"", "the file is empty"),
        (b"text", "not in an image"),
        (b"GIF89a", ""),
        (b"II*\0", ""),
    ):
        path.write_bytes(data)
        assert words in one(path)[0]
        assert one(path)[0]
        assert "\n" not in one(path)[0]
    assert "No such file" in one(tmp_path / "gone")[0]
    path.write_bytes(whole)
    monkeypatch.setattr(opening, "MOST_PIXELS", 39_999)
    assert one(path) == ("it has 200 x 200 pixels; shrink it below 39,999", ("huge",))


def test_a_huge_picture_is_not_decoded(tmp_path: Path) -> None:
    for side in (10_100, 20_000):  # above our bound, and above Pillow's
        Image.new("1", (side, side)).save(tmp_path / "x.png")
        error, odd = one(tmp_path / "x.png")
        assert odd == ("huge",)
        assert "pixels" in error


def test_a_jpeg_2000_of_too_many_bytes_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "x.jp2")
    length = (tmp_path / "x.jp2").stat().st_size
    monkeypatch.setattr(opening, "MOST_CODED", length)
    assert "huge" not in one(tmp_path / "x.jp2")[1]
    monkeypatch.setattr(opening, "MOST_CODED", length - 1)
    error, odd = one(tmp_path / "x.jp2")
    assert "huge" in odd
    assert "it is a JPEG 2000 of" in error


# --- a data set ---


def test_a_correct_data_set_has_no_findings(root: Path) -> None:
    report = check(root, [PublishedSizes("wrong", 3), PublishedSizes("the authors", 2, 4, None, 2)])
    assert report.findings == ()
    assert report.published == "the authors"
    assert report.splits["train"] == {"images": 4, "classes": 2, "fewest": 2, "most": 2}
    assert report.images["kinds"] == {"PNG RGB": 6}
    assert json.loads((root / FOLDER / "report.json").read_text()) == json.loads(json.dumps(report.to_dict()))
    assert check_data(Splits(listed(root, "train"), None, None), "x", quiet=True).published.startswith("no ")


def test_counts_that_differ_and_splits_that_are_absent(root: Path) -> None:
    report = check(root, [PublishedSizes("A", 2, 5, 3, 2), PublishedSizes("B", 3, 5, 3, 9)])
    texts = [(finding.level, finding.text) for finding in report.findings]
    assert texts == [("error", "train: 4 here, 5 in A"), ("warning", "val: not here, 3 in A")]
    assert (report.count("error"), report.count("warning")) == (1, 1)


def test_labels_outside_and_classes_without_photos(root: Path) -> None:
    train = listed(root, "train")
    wrong = PhotoList(train.paths, [0, 0, 2, -1], ("a", "b"))
    test = PhotoList(train.paths[:0], [], ("a", "b"))
    report = check_data(Splits(wrong, None, test), "x", root, quiet=True)
    assert found(report)["labels"] == ("error", (("train/b/1.png",), ("train/b/2.png",)))
    texts = [(f.level, f.text) for f in report.findings if f.kind == "classes"]
    assert texts == [
        ("error", "1 of 2 classes have no train image: b"),
        ("warning", "2 of 2 classes have no test image: a, b"),
    ]


def test_files_that_cannot_be_read_are_named(root: Path) -> None:
    (root / "train" / "a" / "1.png").write_bytes(b"")
    (root / "test" / "a" / "1.png").write_bytes(b"")  # empty files are no duplicates
    splits = Splits(listed(root, "train"), None, listed(root, "test"))
    (root / "train" / "b" / "1.png").unlink()
    level, files = found(check_data(splits, "x", root, quiet=True))["unreadable"]
    assert level == "error"
    names = [name.split(" (")[0] for (name,) in files]
    assert names == ["train/a/1.png", "train/b/1.png", "test/a/1.png"]
    assert "No such file" in files[1][0]
    assert len(found(check_data(splits, "x", root, quiet=True))) == 1


def test_duplicates_by_bytes_and_by_pixels(root: Path) -> None:
    shutil.copy(root / "train" / "a" / "1.png", root / "train" / "a" / "1 again.png")
    Image.open(root / "train" / "b" / "1.png").save(root / "train" / "a" / "of b.bmp")
    Image.open(root / "train" / "a" / "2.png").save(root / "test" / "a" / "2.png", compress_level=1)
    kinds = found(check(root))
    assert kinds["duplicates within"] == ("warning", (("train: train/a/1 again.png", "train: train/a/1.png"),))
    assert kinds["duplicates labels differ"] == ("error", (("train: train/a/of b.bmp", "train: train/b/1.png"),))
    assert kinds["duplicates across"] == ("error", (("train: train/a/2.png", "test: test/a/2.png"),))


def test_pictures_that_differ_only_in_depth_or_palette_are_not_duplicates(root: Path) -> None:
    for number, white in enumerate((300, 60000)):  # both would be clipped to 255
        Image.fromarray(np.full((40, 40), white, np.uint16)).save(root / "train" / "a" / f"deep{number}.png")
    for number, colour in enumerate(("red", "blue")):
        Image.new("RGB", (40, 40), colour).convert("P", palette=Image.Palette.ADAPTIVE).save(
            root / "train" / "a" / f"flat{number}.png"
        )
    assert set(found(check(root))) == {"16-bit"}


def test_files_that_are_not_used_are_counted_and_named(root: Path) -> None:
    skipped = (
        SkippedFile(root / "train" / "a" / "IMG_1.CR2", ".cr2 files"),
        SkippedFile(Path("/else/x.txt"), ".txt files"),
    )
    report = check_data(Splits(listed(root, "train"), None, None, skipped=skipped), "x", root, quiet=True)
    assert [(f.level, f.text, f.files) for f in report.findings] == [
        ("warning", "not used, .cr2 files: 1", (("train/a/IMG_1.CR2",),)),
        ("warning", "not used, .txt files: 1", (("/else/x.txt",),)),
    ]
    assert "train: 4 images; no val; no test; not used: .cr2 files: 1 (" in report.layout


# --- going on ---


def test_a_second_call_reads_only_what_is_new(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = check(root)
    assert first.read == 6
    assert check(root).read == 0
    draw(root / "train" / "a" / "1.png", 77)
    os.utime(root / "train" / "a" / "2.png", ns=(5, 5))
    assert check(root).read == 2
    moved = root.rename(tmp_path / "moved")
    again = check(moved)
    assert again.read == 0
    assert again.findings == first.findings
    facts = moved / FOLDER / reading.FILE
    text = facts.read_text()
    facts.write_text(text[:-30])  # as a killed process leaves it
    assert check(moved).read == 1
    facts.write_text(text.replace('"version": 2', '"version": 1') + '\n{}\n[]\n{"version": 2}\n')
    assert check(moved).read == 6
    assert check(moved).read == 0


def test_a_killed_check_loses_only_the_images_being_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK", 2)
    read, calls = facts_module.read_all, list[int]()

    def killed(task: facts_module.Task) -> list[facts_module.Facts]:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return read(task)

    monkeypatch.setattr(reading, "read_all", killed)
    with pytest.raises(KeyboardInterrupt):
        check(root)
    monkeypatch.setattr(reading, "read_all", read)
    assert check(root).read == 2


def test_several_processes_find_the_same(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "test" / "b" / "1.png").write_bytes(b"x")
    monkeypatch.setattr(reading, "CHUNK", 1)
    one, two = (check(root, (), jobs, tmp_path / str(jobs)) for jobs in (1, 2))
    assert one.findings == two.findings
    assert one.images == two.images
    assert not (root / FOLDER).exists()


def test_drawn_birds_are_drawn(tmp_path: Path) -> None:
    splits = Splits(Finches("train", 4, 8, 32), None, Finches("test", 4, 4, 32))
    report = check_data(splits, "finches", None, tmp_path / "out", 1, quiet=True)
    assert (report.read, report.findings) == (12, ())
    assert report.images["kinds"] == {"drawn RGB": 12}
    again = check_data(Splits(splits.train, splits.train, None), "finches", None, None, 1, quiet=True)
    assert len(found(again)["duplicates across"][1]) == 8


def test_bad_input(root: Path) -> None:
    with pytest.raises(ValueError, match="jobs is -1"):
        check(root, jobs=-1)
    with pytest.raises(ValueError, match=r"cannot be a folder: .*1\.png is a file; give a folder .*--out"):
        check(root, out=root / "train" / "a" / "1.png" / "below")


# --- the command ---


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["scapnet", "data", "check", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code
    return 0


def test_exit_codes_and_the_table(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "folder", "--root", root, "--jobs", 1) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"2 classes (a, b); train: 4 images from {root / 'train'}; no val; test: 2 images from ")
    assert "errors: 0, warnings: 0" in out
    (root / "train" / "a" / "notes.txt").touch()
    assert run(monkeypatch, "folder", "--root", root, "--jobs", 1) == 0
    assert "not used, .txt files: 1" in capsys.readouterr().out
    (root / "train" / "a" / "notes.txt").unlink()
    draw(root / "train" / "a" / "[red]tiny.png", 9, (9, 9))
    assert run(monkeypatch, "folder", "--root", root, "--jobs", 1) == 0
    out = capsys.readouterr().out
    assert "errors: 0, warnings: 1" in out
    assert "[red]tiny.png" in out
    for number in range(6):
        (root / "train" / "b" / f"x{number}.jpg").write_bytes(b"")
    assert run(monkeypatch, "folder", "--root", root, "--jobs", 1) == 1
    assert "... 2 more" in capsys.readouterr().out
    assert run(monkeypatch, "folder", "--root", root, "--jobs", 1, "--json") == 1
    written = capsys.readouterr().out
    assert json.loads(written)["errors"] == 1
    assert run(monkeypatch, "folder", "--root", root / "gone") == 2
    assert run(monkeypatch, "nosuch") == 2
    assert run(monkeypatch) == 2
    assert run(monkeypatch, "finches", "--train-length", 4, "--test-length", 2, "--jobs", 1, "--classes", 2) == 0
