"""Places to write to: refused before the work, and whole or not there after it."""

import os
from pathlib import Path

import pytest

from scapnet.outputs import check_file, check_folder, partial_name, writing

PICTURES = (".png", ".jpg")


@pytest.mark.parametrize("name", ["new", "a/b/c", "here", "link", "."])
def test_folders_that_can_be_made_are_left_as_they_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    Path("link").symlink_to("here")
    before = sorted(Path().rglob("*"))
    check_folder(Path(name))
    check_folder(tmp_path / name)
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("name", ["file", "file/a", "file/a/b", "dangling", "pipe/x"])
def test_a_file_in_the_place_of_a_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("gone")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match=r"cannot be a folder: .* is a file; choose another place"):
        check_folder(tmp_path / name)


@pytest.mark.parametrize("place", ["/proc", "/sys", "/proc/new"])
def test_a_place_that_is_not_writable(place: str) -> None:
    if not Path(place).parent.is_dir():
        pytest.skip("no such place on this system")
    with pytest.raises(ValueError, match=f"cannot write to the folder {place}.* choose another place"):
        check_folder(Path(place))
    with pytest.raises(ValueError, match="cannot write to the folder"):
        check_file(Path(place) / "a.png", PICTURES)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ValueError, match="Permission denied"):
        check_folder(tmp_path / "new")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.png", "a.png"), ("a.JPG", "a.JPG"), ("a", "a.png"), ("new/x.y.png", "new/x.y.png"), ("a b", "a b.png")],
)
def test_suffixes(name: str, expected: str, tmp_path: Path) -> None:
    assert check_file(tmp_path / name, PICTURES, ".png") == tmp_path / expected
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.txt", "a.png.gz", "v1.2", "a.jpeg"])
def test_other_suffixes(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"{name} must end in \.png or \.jpg$"):
        check_file(tmp_path / name, PICTURES, ".png")


def test_without_a_suffix_only_where_none_is_needed(tmp_path: Path) -> None:
    assert check_file(tmp_path / "a", (".csv", "")) == tmp_path / "a"
    with pytest.raises(ValueError, match=r"a must end in \.csv$"):
        check_file(tmp_path / "a", (".csv",))
    with pytest.raises(ValueError, match=r"a\.x must end in \.csv$"):
        check_file(tmp_path / "a.x", (".csv", ""))


@pytest.mark.parametrize("name", ["there", "there.png"])
def test_a_folder_in_the_place_of_a_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "there.png").mkdir()
    with pytest.raises(ValueError, match=r"there\.png is a folder; give a file, for example .*there\.png/out\.png"):
        check_file(tmp_path / name, PICTURES, ".png")


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with writing(path) as draft:
        draft.write_text("one")
        assert not path.exists()
        assert draft == partial_name(path)
    assert path.read_text() == "one"
    with writing(path) as draft:
        draft.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("written", [None, "", "x"])
def test_what_failed_leaves_the_older_file(
    error: type[BaseException], keep: bool, written: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("older")

    def fail() -> None:
        with writing(path, keep) as draft:
            if written is not None:
                draft.write_text(written)
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "older"
    assert [p.read_text() for p in tmp_path.iterdir() if p != path] == (["x"] if keep and written else [])
