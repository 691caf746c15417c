"""Answers as tables, JSON and CSV: written as they come, and whole or not at all."""

import csv
import importlib
import io
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from samples import NAMES as CLASSES
from samples import NO_MODULES, Command, Refuse, make, painted, sentence
from scapnet.answers import as_csv, as_json
from scapnet.checkpoint import save_pretrained
from scapnet.data.inputs import decode_input
from scapnet.terminal.console import ProgressBar

Answer = dict[str, Any]


def test_a_folder_is_answered_file_by_file_and_other_files_are_named(
    tmp_path: Path, model_folder: Path, command: Command
) -> None:
    photos = tmp_path / "my photos"
    (photos / "ü").mkdir(parents=True)
    for i, name in enumerate(["a.jpg", "ü/b.PNG", "c, d.png"]):
        painted(50 + i, 80, i).save(photos / name)
    (photos / ".DS_Store").write_bytes(b"x")
    (photos / "notes.txt").write_text("no image")
    (photos / "broken.jpg").write_bytes((photos / "a.jpg").read_bytes()[:300])
    single = tmp_path / "z.png"
    painted(40, 40, 9).save(single)
    for batch in (1, 3):
        out, err = command("predict", model_folder, photos, single, "--format", "json", "--batch-size", batch)
        answers: list[Answer] = json.loads(out)
        expected = [photos / "a.jpg", photos / "c, d.png", photos / "ü/b.PNG", single]
        assert [answer["path"] for answer in answers] == [str(path) for path in expected]
        lines = err.splitlines()
        assert [sum(str(photos / name) in line for line in lines) for name in ("broken.jpg", "notes.txt")] == [1, 1]
        assert "1 of 5 files" in lines[-1]
        assert len(lines) == 3
        if batch == 1:
            alone = answers
    for one, other in zip(alone, answers, strict=True):
        assert one["names"] == other["names"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_table_json_and_csv_say_the_same(tmp_path: Path, model_folder: Path, command: Command) -> None:
    photos, written = tmp_path / "photos", tmp_path / "written"
    for folder in (photos, written):
        folder.mkdir()
    for i in range(2):
        painted(60, 90, i).save(photos / f"{i}, x.png")
    found: dict[str, str] = {}
    for form in ("table", "json", "csv"):
        found[form], _ = command("predict", model_folder, photos / "0, x.png", photos / "1, x.png", "--format", form)
        file = written / f"a.{'txt' if form == 'table' else form}"
        out, _ = command(
            "predict", model_folder, photos, *(["--format", form] if form == "table" else []), "--out", file
        )
        assert out == ""
        assert file.read_text(encoding="utf-8") == found[form]
    assert len(list(written.iterdir())) == 3
    answers: list[Answer] = json.loads(found["json"])
    rows = list(csv.DictReader(io.StringIO(found["csv"])))
    assert len(rows) == 2 * len(CLASSES)
    for i, answer in enumerate(answers):
        mine = rows[i * len(CLASSES) : (i + 1) * len(CLASSES)]
        assert {row["path"] for row in mine} == {answer["path"]}
        assert [int(row["rank"]) for row in mine] == [1, 2, 3, 4]
        assert [row["name"] for row in mine] == answer["names"]
        assert sorted(answer["names"]) == sorted(CLASSES)
        assert [float(row["probability"]) for row in mine] == pytest.approx(answer["probabilities"], abs=1e-6)
        assert answer["probabilities"] == sorted(answer["probabilities"], reverse=True)
        assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-5)
        assert json.loads(mine[0]["parts"]) == answer["parts"]
        assert float(mine[0]["kept"]) == pytest.approx(answer["kept"], abs=1e-4)
        assert [part["scale"] for part in answer["parts"]] == [1, 1, 1, 2, 2, 3]
    blocks = found["table"].split(str(photos))[1:]
    for answer, block in zip(answers, blocks, strict=True):
        lines = block.splitlines()[1:]
        assert [line.split("%  ")[1] for line in lines[:4]] == answer["names"]
        assert all(f"scale {part['scale']}" in line for part, line in zip(answer["parts"], lines[4:], strict=True))


def some_photos(folder: Path, count: int = 3) -> Path:
    folder.mkdir()
    for i in range(count):
        painted(60, 90, i).save(folder / f"{i}.png")
    return folder


def test_missing_folders_are_made(tmp_path: Path, model_folder: Path, command: Command) -> None:
    photos, out, features = some_photos(tmp_path / "photos"), tmp_path / "a/b/today.csv", tmp_path / "c/rows.npy"
    command("predict", model_folder, photos, "--out", out, "--features", features)
    assert len(list(csv.DictReader(out.open()))) == 12
    assert sorted(path.name for path in features.parent.iterdir()) == ["rows.names.json", "rows.npy"]
    assert list(out.parent.iterdir()) == [out]
    command("show", model_folder, photos, "--out", tmp_path / "d/e/picture")
    assert (tmp_path / "d/e/picture.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--out", "a.xlsx"), "a.xlsx must end in .txt, .json or .csv"),
        (("--format", "csv", "--out", "a.json"), "a.json must end in .csv"),
        (("--format", "table", "--out", "a.CSV"), "a.CSV must end in .txt"),
        (("--out", "FOLDER"), "is a folder; give a file"),
        (("--out", "FILE/a.csv"), "FILE is a file"),
        (("--features", "a.csv"), "a.csv must end in .npy or .safetensors"),
        (("--features", "FOLDER"), "is a folder; give a file"),
        (("--top", 0), "must both be at least 1"),
        (("--batch-size", 0), "must both be at least 1"),
    ],
)
def test_what_cannot_be_written_is_refused_before_a_model_is_loaded(
    arguments: tuple[object, ...], words: str, tmp_path: Path, refuse: Refuse
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    places = {"FOLDER": tmp_path / "folder", "FILE/a.csv": tmp_path / "file" / "a.csv"}
    photos = some_photos(tmp_path / "photos", 1)
    said = sentence(refuse("predict", tmp_path / "no model", photos, *(places.get(str(a), a) for a in arguments)))
    assert words.replace("FILE", str(tmp_path / "file")) in said
    assert list((tmp_path / "folder").iterdir()) == []
    assert (tmp_path / "file").read_text() == "mine"


def test_the_model_comes_before_the_photos_and_a_threshold_before_both(
    tmp_path: Path, model_folder: Path, refuse: Refuse
) -> None:
    photos = some_photos(tmp_path / "photos", 1)
    assert "there is no folder" in sentence(refuse("predict", tmp_path / "gone", photos))
    for at_least, words in (("auto", "no threshold of its own"), ("1.5", "is no probability")):
        out = ("--at-least", at_least, "--out", "a.csv")
        assert words in sentence(refuse("predict", model_folder, photos, *out))


def test_an_unknown_answer_is_in_every_format(tmp_path: Path, model_folder: Path, command: Command) -> None:
    photos = some_photos(tmp_path / "photos")
    out, _ = command("predict", model_folder, photos, "--format", "json")
    sure = sorted(json.loads(out), key=lambda answer: float(answer["probabilities"][0]))
    threshold = (sure[0]["probabilities"][0] + sure[1]["probabilities"][0]) / 2
    expected = {answer["path"]: answer["names"][0] for answer in sure} | {sure[0]["path"]: "unknown"}
    options = ("predict", model_folder, photos, "--at-least", threshold, "--format")
    answers = json.loads(command(*options, "json")[0])
    assert {answer["path"]: answer["answer"] for answer in answers} == expected
    rows = list(csv.DictReader(io.StringIO(command(*options, "csv")[0])))
    assert {row["path"]: row["answer"] for row in rows} == expected
    assert {row["path"]: row["name"] for row in rows if row["rank"] == "1"} == {p["path"]: p["names"][0] for p in sure}
    heads = [line for line in command(*options, "table")[0].splitlines() if line.startswith(str(photos))]
    assert sorted(heads) == sorted(f"{path}: unknown" if path == sure[0]["path"] else path for path in expected)


class Gone(Exception):
    pass


@pytest.mark.parametrize("form", ["csv", "json", "txt"])
def test_answers_of_work_that_failed_are_kept_under_another_name(
    form: str,
    tmp_path: Path,
    model_folder: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos, out = some_photos(tmp_path / "photos", 5), tmp_path / "out" / f"a.{form}"
    command("predict", model_folder, photos, "--out", out, "--batch-size", 1)
    whole = out.read_text()

    def fail(photo: Any, *rest: Any, **options: Any) -> Any:
        if photo == photos / "3.png":
            raise Gone
        return decode_input(photo, *rest, **options)

    monkeypatch.setattr(importlib.import_module("scapnet.predict"), "decode_input", fail)
    features = out.with_name("rows.npy")
    with pytest.raises(Gone):
        command("predict", model_folder, photos, "--out", out, "--batch-size", 1, "--features", features)
    assert out.read_text() == whole  # that of the first call
    (partial,) = (path for path in out.parent.iterdir() if path != out)
    assert partial.name.startswith(f"a.{form}.")
    assert partial.suffix == ".partial"
    assert whole.startswith(partial.read_text().rstrip("\n"))
    assert str(photos / "2.png") in partial.read_text()
    assert f"the answers so far are in {partial}" in capsys.readouterr().err


def test_nothing_is_left_where_nothing_could_be_read(tmp_path: Path, model_folder: Path, refuse: Refuse) -> None:
    (tmp_path / "a.jpg").write_text("no image")
    for suffix in ("csv", "json", "txt"):
        said = refuse("predict", model_folder, tmp_path / "a.jpg", "--out", f"a.{suffix}", "--features", "a.npy")
        assert "no photo could be read" in said.splitlines()[-1]


def test_devices_are_written_to_and_not_replaced(tmp_path: Path, model_folder: Path, command: Command) -> None:
    photos = some_photos(tmp_path / "photos", 1)
    command("predict", model_folder, photos, "--out", "/dev/null")
    assert Path("/dev/null").is_char_device()
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_text)
        command("predict", model_folder, photos, "--format", "csv", "--out", tmp_path / "pipe")
        assert read.result(10).startswith("path,rank,name")
    assert (tmp_path / "pipe").is_fifo()


def test_lines_of_no_predictions() -> None:
    assert json.loads("\n".join(as_json([]))) == []
    assert list(as_csv([])) == []


def test_names_stay_whole_for_programs_and_safe_for_terminals(
    tmp_path: Path, model_folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = some_photos(tmp_path / "pho[bold]tos", 1)
    (photos / "0.png").rename(photos / "a\x1b[2J\r\nb.png")
    text = command("predict", model_folder, photos, "--format", "csv")[0]
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert rows[0]["path"] == str(photos / "a\x1b[2J\r\nb.png")
    assert json.loads(command("predict", model_folder, photos, "--format", "json")[0])[0]["path"] == rows[0]["path"]
    assert str(photos / r"a\x1b[2J\r\nb.png") in command("predict", model_folder, photos)[0].splitlines()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for form in ("csv", "json", "table"):
        assert "\x1b" not in command("predict", model_folder, photos, "--format", form)[0]


@pytest.mark.parametrize("counted", [3, 20])
def test_the_bar_counts_every_file(
    counted: int, tmp_path: Path, model_folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Any] = []

    class Bar(ProgressBar):
        def start(self, name: str, total: float | None, done: float = 0.0) -> None:
            said.append(total)

        def advance(self, count: float) -> None:
            said.append(count)

    monkeypatch.setattr("scapnet.answers.ProgressBar", Bar)
    monkeypatch.setattr("scapnet.answers.COUNTED", counted)
    monkeypatch.setattr("scapnet.data.sources.COUNTED", counted)
    photos = some_photos(tmp_path / "photos", 5)
    (photos / "2.png").write_text("no image")
    for i in range(4):
        (photos / f"{i}.txt").touch()
    out, err = command("predict", model_folder, photos, "--format", "json", "--batch-size", 1)
    assert said == [5 if counted > 5 else None, 1, 1, 1, 1, 1]
    assert len(json.loads(out)) == 4
    kinds = [line for line in err.splitlines() if line.startswith("skipped: .txt files: ")]
    assert sum(int(line.split(": ")[2].split()[0]) for line in kinds) == 4
    said.clear()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)  # the answers themselves show how far the work is
    command("predict", model_folder, photos)
    assert said == [1] * 5


def test_a_command_answers_from_open_pixels(
    tmp_path: Path, model_folder: Path, command: Command, refuse: Refuse
) -> None:
    photos = some_photos(tmp_path / "photos")
    out, err = command("predict", model_folder, photos, "--mask-pixels", "--format", "json")
    assert json.loads(out) == json.loads(command("predict", model_folder, photos, "--format", "json")[0])  # all is open
    assert "multiply-adds" not in err
    bare = save_pretrained(make(**NO_MODULES), tmp_path / "bare")
    assert "this model has no gate" in sentence(refuse("predict", bare, photos, "--mask-pixels"))


def test_what_skipping_parts_saves_is_said(tmp_path: Path, model_folder: Path, command: Command) -> None:
    photos = some_photos(tmp_path / "photos")
    out, err = command("predict", model_folder, photos, "--parts", "none", "--format", "json")
    assert [one["parts"] for one in json.loads(out)] == [[], [], []]
    assert re.search(r"looked at the parts of 0 of 3 photos: \d+% of the multiply-adds", " ".join(err.split()))
    assert "multiply-adds" not in command("predict", model_folder, photos)[1]
