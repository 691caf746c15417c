"""Archives that want out, want more room than they say, or are not what they seem."""

import contextlib
import io
import os
import random
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from scapnet.data import unpack as module
from scapnet.data.unpack import unpack

GOOD = {"set/images/ä b.jpg": b"photo" * 1000, "set/list.txt": b"1 2\n", "set/empty": b""}
LIMIT = 1 << 20


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mode = size, kind, link, 0o6777
    return info


def make_tar(path: Path, mode: Literal["w", "w:gz", "w:bz2", "w:xz"] = "w", *extra: tarfile.TarInfo) -> Path:
    with tarfile.open(path, mode) as archive:
        archive.addfile(member("set", kind=tarfile.DIRTYPE))
        for name, data in GOOD.items():
            archive.addfile(member(name, len(data)), io.BytesIO(data))
        for info in extra:
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return path


def make_zip(path: Path, name: str = "set/more", mode: int = 0, data: bytes = b"") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("set/", b"")
        for good, content in GOOD.items():
            archive.writestr(good, content)
        info = zipfile.ZipInfo(name)
        info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
        archive.writestr(info, data)
    return path


def refused(path: Path, words: str, limit: int = LIMIT, files: int = 100) -> None:
    """Unpacking says why not, in one line, and leaves nothing at all."""
    target = path.parent / "room" / "target"
    with pytest.raises(ValueError, match=words) as caught:
        unpack(path, target, limit, files)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    assert list(target.parent.iterdir()) == []
    assert sorted(p.name for p in path.parent.iterdir()) == sorted([path.name, "room"])


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz", "zip"])
def test_good_archives_of_every_kind(tmp_path: Path, mode: Literal["w", "w:gz", "w:bz2", "w:xz"]) -> None:
    source = make_zip(tmp_path / "a.bin") if str(mode) == "zip" else make_tar(tmp_path / "a.bin", mode)
    target = unpack(source, tmp_path / "t", LIMIT)
    found = {p.relative_to(target).as_posix(): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    found.pop("set/more", None)
    assert found == GOOD
    usual = 0o777 & ~(mask := os.umask(0))
    os.umask(mask)
    for path in target.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (usual if path.is_dir() else usual & 0o666)


@pytest.mark.parametrize("name", ["../evil", "set/../../evil", "/evil", "\\evil", "..\\evil", "C:\\evil", "C:evil"])
def test_names_that_lead_out(tmp_path: Path, name: str) -> None:
    refused(make_tar(tmp_path / "a", "w:gz", member(name, 3)), "which leads out of the target")
    (tmp_path / "a").unlink()
    refused(make_zip(tmp_path / "a", name), "which leads out of the target")


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "/etc"),
        (tarfile.SYMTYPE, "list.txt"),
        (tarfile.LNKTYPE, "set/list.txt"),
        (tarfile.LNKTYPE, "/etc/passwd"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ],
)
def test_links_and_devices(tmp_path: Path, kind: bytes, link: str) -> None:
    refused(make_tar(tmp_path / "a", "w", member("set/x", kind=kind, link=link)), "a link or a device")


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_of_a_zip(tmp_path: Path, mode: int) -> None:
    refused(make_zip(tmp_path / "a", mode=mode | 0o777, data=b"/etc"), "a link or a device")


def test_too_large_by_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_copy", pytest.fail)  # a zip tells before anything is read
    refused(make_zip(tmp_path / "a", data=bytes(LIMIT)), f"more than the {LIMIT:,} bytes")


def test_too_large_by_what_it_says_in_a_tar(tmp_path: Path) -> None:
    refused(make_tar(tmp_path / "a", "w:gz", member("set/x", LIMIT)), f"more than the {LIMIT:,} bytes")


def test_too_large_by_what_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = module._zip_entries

    def lying(archive: zipfile.ZipFile, path: Path, limit: int) -> Iterator[module._Entry]:
        return (entry._replace(size=min(entry.size, 9000)) for entry in entries(archive, path, 1 << 40))

    monkeypatch.setattr(module, "_zip_entries", lying)
    refused(make_zip(tmp_path / "a", data=bytes(3 * LIMIT)), f"more than the {LIMIT:,} bytes")


def test_too_many_files(tmp_path: Path) -> None:
    refused(make_tar(tmp_path / "a", "w:gz", *(member(f"set/{i}") for i in range(96))), "more than 99 files", files=99)
    assert unpack(tmp_path / "a", tmp_path / "t", LIMIT, files=100)


def damage(path: Path, change: Callable[[bytearray], object]) -> Path:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def test_damaged_archives(tmp_path: Path) -> None:
    def middle(data: bytearray) -> None:
        data[len(data) // 2] ^= 255

    def half(data: bytearray) -> None:
        del data[len(data) // 2 :]

    for mode in ("w:gz", "w:bz2", "w:xz"):
        for change in (middle, half):
            refused(damage(make_tar(tmp_path / "a", mode), change), "is damaged")
    for change in (middle, half):
        refused(damage(make_zip(tmp_path / "a"), change), "is damaged")
    tar = make_tar(tmp_path / "a")
    header = tar.read_bytes().index(b"set/list.txt")

    def second(data: bytearray) -> None:
        data[header + 150] ^= 255  # its checksum: tarfile takes this for the end

    refused(damage(tar, second), r"is damaged \(a header in its middle\)")


def test_what_is_no_archive(tmp_path: Path) -> None:
    for data, words in ((b"<!DOCTYPE html>", "is a web page"), (b"hello", "is no zip or tar"), (b"", "is no zip")):
        (tmp_path / "a").write_bytes(data)
        refused(tmp_path / "a", words)
    with pytest.raises(ValueError, match="gone cannot be read"):
        unpack(tmp_path / "gone", tmp_path / "t", LIMIT)
    with pytest.raises(ValueError, match="is there already"):
        unpack(make_tar(tmp_path / "a"), tmp_path, LIMIT)


def test_a_password_and_a_monstrous_name(tmp_path: Path) -> None:
    def encrypt(data: bytearray) -> None:
        data[data.index(b"PK\1\2") + 8] |= 1

    refused(damage(make_zip(tmp_path / "a"), encrypt), "needs a password")
    header = member("././@LongLink", 1 << 33, tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "a").write_bytes(header + bytes(4096))
    refused(tmp_path / "a", "is damaged")


def test_a_full_disk_is_one_sentence_and_a_kill_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_tar(tmp_path / "a")
    for error in (OSError(28, "No space left on device"), KeyboardInterrupt()):

        def fail(*_: object, error: BaseException = error) -> int:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(module, "_copy", fail)
            with pytest.raises((ValueError, KeyboardInterrupt), match=r"No space left on device\); free some|^$"):
                unpack(path, tmp_path / "t", LIMIT)
        assert os.listdir(tmp_path) == ["a"]
    (tmp_path / ".t.draft").mkdir()  # as a kill -9 leaves it
    (tmp_path / ".t.draft" / "half").write_bytes(b"")
    assert os.listdir(unpack(path, tmp_path / "t", LIMIT)) == ["set"]


def test_random_damage_is_one_sentence_or_none(tmp_path: Path) -> None:
    dice = random.Random(0)
    makers: list[Callable[[Path], Path]] = [make_zip, make_tar, lambda path: make_tar(path, "w:gz")]
    for maker in makers:
        whole = maker(tmp_path / "a").read_bytes()
        for i in range(150):
            data = bytearray(whole)
            for _ in range(dice.randint(1, 4)):
                data[dice.randrange(min(len(data), 2048 if i % 2 else len(data)))] = dice.randrange(256)
            (tmp_path / "a").write_bytes(data)
            with contextlib.suppress(ValueError):  # nothing else, and so never a traceback
                unpack(tmp_path / "a", tmp_path / "t" / str(i), LIMIT)
            shutil.rmtree(tmp_path / "t", ignore_errors=True)
