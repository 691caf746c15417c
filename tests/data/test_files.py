"""Finding photos: each of them once, in the order of their numbers, and what is skipped is known."""

import os
import unicodedata
from pathlib import Path

import pytest

from samples import photo
from scapnet.data.files import DEAD, SYSTEM, TWICE, Listing, describe_skipped, each_once, find_photos, natural


def found(folder: Path, listing: Listing | None = None) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_photos(folder, listing or Listing())]


def skipped(folder: Path) -> dict[str, list[str]]:
    """What is skipped, by its reason."""
    listing = Listing()
    list(find_photos(folder, listing))
    kinds: dict[str, list[str]] = {}
    for path, why in listing.skipped:
        kinds.setdefault(why, []).append(path.relative_to(folder).as_posix())
    return kinds


def test_photos_are_found_below_a_folder_and_nothing_else(tmp_path: Path) -> None:
    names = ["B.JPG", "a b/z/deep.webp", "a b/ü 日.Png", "c.jpeg"]
    for name in names:
        photo(tmp_path / name)
    for name in ("notes.txt", "jpg", "x.jpg.part", "clip.MP4", "raw.CR2"):
        (tmp_path / name).touch()
    (tmp_path / "d.jpg").mkdir()
    assert found(tmp_path) == names
    assert skipped(tmp_path) == {
        ".txt files": ["notes.txt"],
        "files without a suffix": ["jpg"],
        ".part files": ["x.jpg.part"],
        ".mp4 files": ["clip.MP4"],
        ".cr2 files (camera raw; export them as JPEG)": ["raw.CR2"],
    }


def test_numbers_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    names = ["1.jpg", "2.jpg", "10.jpg", "IMG 9 (2).jpg", "IMG 9 (10).jpg", "IMG 10.jpg", "a2/1.jpg", "a10/1.jpg"]
    for name in names:
        photo(tmp_path / name)
    assert found(tmp_path) == names
    assert found(tmp_path, Listing("text")) == sorted(names)


@pytest.mark.parametrize(
    "names", [["a1x", "a1x2", "a1"], ["01", "1", "001"], ["", "1", "a"], ["é2", "e\u03012", "é10"]]
)
def test_any_two_names_can_be_ordered(names: list[str]) -> None:
    for one in names:
        for other in names:
            assert (natural(one) < natural(other)) + (natural(one) > natural(other)) == (one != other)
    assert natural("é2") < natural(unicodedata.normalize("NFD", "é10"))


HIDDEN = [
    ".DS_Store.png",
    "._001.jpg",
    "a/.hidden.png",
    ".cache/x.png",
    "a/.thumbnails/x.jpg",
    "a/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
    "__MACOSX/a/._1.jpg",
    "a/.ipynb_checkpoints/1-checkpoint.jpg",
    "$RECYCLE.BIN/S-1/1.jpg",
    "Thumbnails/1.jpg",
    "a/thumbs/1.jpg",
]


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_system_and_thumbnail_files_are_skipped_and_reported(tmp_path: Path, name: str) -> None:
    for file in ("a/1.png", name):
        photo(tmp_path / file)
    assert found(tmp_path) == ["a/1.png"]
    assert skipped(tmp_path) == {SYSTEM: [name]}


def test_hidden_files_that_are_not_photos_are_not_reported(tmp_path: Path) -> None:
    photo(tmp_path / "1.png")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", ".picasa.ini", "Icon\r"):
        (tmp_path / name).touch()
    (tmp_path / ".scapnet-check").mkdir()
    (tmp_path / ".scapnet-check" / "report.json").touch()
    assert skipped(tmp_path) == {}


def test_a_file_that_links_also_reach_is_found_once(tmp_path: Path) -> None:
    photo(tmp_path / "a" / "5.png")
    photo(tmp_path / "elsewhere" / "9.png")
    (tmp_path / "a" / "1.png").symlink_to("5.png")  # before the file itself
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a" / "b", target_is_directory=True)
    photo(tmp_path / "a" / "b" / "7.png")
    for name in ("8.png", "88.png"):
        (tmp_path / "a" / name).symlink_to(tmp_path / "elsewhere" / "9.png")
    (tmp_path / "a" / "out").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    listing = Listing()
    assert found(tmp_path / "a", listing) == ["5.png", "8.png", "b/7.png"]
    assert skipped(tmp_path / "a") == {TWICE: ["1.png", "88.png", "again/7.png", "out/9.png"]}
    assert listing.links == {tmp_path / "a" / "8.png": os.path.realpath(tmp_path / "elsewhere" / "9.png")}


def test_links_into_a_hidden_store_are_followed(tmp_path: Path) -> None:
    """Some tools keep the files themselves in a hidden folder (git-annex)."""
    photo(tmp_path / ".store" / "x1.png")
    (tmp_path / "1.png").symlink_to(tmp_path / ".store" / "x1.png")
    assert found(tmp_path) == ["1.png"]


def test_a_link_to_a_folder_above_does_not_multiply_the_photos(tmp_path: Path) -> None:
    photo(tmp_path / "a" / "x.png")
    (tmp_path / "a" / "above").symlink_to(tmp_path, target_is_directory=True)
    assert found(tmp_path) == ["a/x.png"]


def test_links_to_nothing_are_counted(tmp_path: Path) -> None:
    photo(tmp_path / "1.png")
    (tmp_path / "2.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "3.png").symlink_to(tmp_path / "3.png")
    assert found(tmp_path) == ["1.png"]
    assert skipped(tmp_path) == {DEAD: ["2.png", "3.png"]}


def test_names_that_are_not_unicode_are_found(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    try:
        photo(tmp_path / "1.jpg").rename(tmp_path / name)
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    assert found(tmp_path) == [name]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    assert found(tmp_path) == []
    assert skipped(tmp_path) == {"pipes and devices": ["x.jpg"]}


def test_a_path_that_is_named_twice_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1.png", "a/b/2.png", "c.png", "a/.hidden/3.png"):
        photo(tmp_path / name)
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    named = ["a/b", "a", "c.png", "./c.png", "a/../c.png", "a/1.png", "link", "a/notes.txt", "a/.hidden"]
    listing = Listing()
    kept = list(each_once([Path(name) for name in named], listing))
    assert kept == [Path(name) for name in ("a", "c.png", "a/notes.txt", "a/.hidden")]
    assert {why for _, why in listing.skipped} == {TWICE}


def test_each_kind_is_one_phrase_with_its_first_file(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c.mp4"):
        (tmp_path / name).touch()
    listing = Listing()
    list(find_photos(tmp_path, listing))
    assert describe_skipped(listing.skipped) == [
        f".txt files: 2 ({tmp_path / 'a.txt'}, ...)",
        f".mp4 files: 1 ({tmp_path / 'c.mp4'})",
    ]
