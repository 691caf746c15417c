"""Archives that want out, want more room than they say, or are not what they seem."""

import contextlib
import io
import os
import random
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from scapnet.data.unpack import MAX_HEADER, unpack

GOOD = {"set/images/ä b.jpg": b"photo" * 1000, "set/list.txt": b"1 2\n", "set/empty": b""}
LIMIT = 1 << 20
Mode = Literal["w", "w:gz", "w:bz2", "w:xz"]


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mode = size, kind, link, 0o6777
    return info


def make_tar(path: Path, mode: Mode = "w", *extra: tarfile.TarInfo) -> Path:
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
    """Unpacking says why not, in one line, and writes nothing outside the folder."""
    folder = path.parent / "room" / "target"
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.raises(ValueError, match=words) as caught:
        unpack(path, folder, limit, files)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path.name} was not unpacked (")
    assert os.listdir(folder.parent) == ["target"]
    assert sorted(p.name for p in path.parent.iterdir()) == sorted([path.name, "room"])


def unpacked(path: Path, limit: int = LIMIT, files: int = 100) -> dict[str, bytes]:
    folder = path.parent / "unpacked"
    folder.mkdir()
    unpack(path, folder, limit, files)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz", "zip"])
def test_good_archives_of_every_kind(tmp_path: Path, mode: Mode) -> None:
    zipped = str(mode) == "zip"
    found = unpacked(make_zip(tmp_path / "a.bin") if zipped else make_tar(tmp_path / "a.bin", mode))
    assert found == (GOOD | {"set/more": b""} if zipped else GOOD)
    usual = 0o777 & ~(mask := os.umask(0))
    os.umask(mask)
    for path in (tmp_path / "unpacked").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (usual if path.is_dir() else usual & 0o666)


@pytest.mark.parametrize("name", ["../evil", "set/../../evil"])
def test_names_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    refused(make_tar(tmp_path / "a", "w:gz", member(name, 3)), "outside the destination")
    (tmp_path / "a").unlink()
    refused(make_zip(tmp_path / "a", name), "outside the destination")


@pytest.mark.parametrize("name", ["/evil", "//evil"])
def test_absolute_names_stay_inside(tmp_path: Path, name: str) -> None:
    for path in (make_tar(tmp_path / "a", "w", member(name)), make_zip(tmp_path / "b", name)):
        assert "evil" in unpacked(path)
        shutil.rmtree(tmp_path / "unpacked")


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
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes, link: str) -> None:
    refused(make_tar(tmp_path / "a", "w", member("set/x", kind=kind, link=link)), "link|special file")
    assert not (tmp_path / "room" / "target" / "set" / "x").exists()


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_of_a_zip_are_refused(tmp_path: Path, mode: int) -> None:
    refused(make_zip(tmp_path / "a", mode=mode | 0o777, data=b"/etc"), "'set/more' is a link or a device")


def test_an_archive_that_declares_too_much_is_refused(tmp_path: Path) -> None:
    refused(make_zip(tmp_path / "a", data=bytes(LIMIT)), f"more than {LIMIT:,} bytes")
    refused(make_tar(tmp_path / "a", "w:gz", member("set/x", LIMIT)), f"more than {LIMIT:,} bytes")
    assert not any((tmp_path / "room" / "target" / "set" / name).exists() for name in ("more", "x"))


def test_a_zip_never_unpacks_to_more_than_it_declares(tmp_path: Path) -> None:
    def lie(data: bytearray) -> None:  # of the last member's size, in the directory at the end
        start = data.rindex(b"PK\1\2") + 24
        data[start : start + 4] = (9000).to_bytes(4, "little")

    refused(damage(make_zip(tmp_path / "a", data=bytes(3 * LIMIT)), lie), "CRC")
    assert (tmp_path / "room" / "target" / "set" / "more").stat().st_size <= 9000


def test_too_many_files(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "a", "w:gz", *(member(f"set/{i}") for i in range(96)))
    refused(path, "99 files", files=99)
    assert len(unpacked(path, files=100)) == 99


def test_an_endless_name_is_not_read(tmp_path: Path) -> None:
    header = member("././@LongLink", MAX_HEADER + 1, tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT)
    good = make_tar(tmp_path / "a").read_bytes()[:512]  # the folder
    (tmp_path / "a").write_bytes(good + header + bytes(2 * MAX_HEADER))
    refused(tmp_path / "a", "header of 1,048,577 bytes")


def damage(path: Path, change: Callable[[bytearray], object]) -> Path:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def middle(data: bytearray) -> None:
    data[len(data) // 2] ^= 255


def half(data: bytearray) -> None:
    del data[len(data) // 2 :]


@pytest.mark.parametrize("change", [middle, half])
@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz", "zip"])
def test_damaged_archives(tmp_path: Path, mode: Mode, change: Callable[[bytearray], None]) -> None:
    whole = make_zip(tmp_path / "a") if str(mode) == "zip" else make_tar(tmp_path / "a", mode)
    refused(damage(whole, change), "was not unpacked")


def test_a_checksum_at_the_end_is_read(tmp_path: Path) -> None:
    def last(data: bytearray) -> None:
        data[-8] ^= 255  # gzip's CRC, far behind the last member

    refused(damage(make_tar(tmp_path / "a", "w:gz"), last), "CRC")


def test_a_damaged_header_is_not_the_end(tmp_path: Path) -> None:
    tar = make_tar(tmp_path / "a")
    header = tar.read_bytes().index(b"set/list.txt")

    def second(data: bytearray) -> None:
        data[header + 150] ^= 255  # its checksum

    refused(damage(tar, second), "a damaged header")


def test_a_file_that_is_not_an_archive(tmp_path: Path) -> None:
    for data in (b"<!DOCTYPE html>", b"hello", b""):
        (tmp_path / "a").write_bytes(data)
        refused(tmp_path / "a", "it is not a zip or tar archive")


def test_a_password(tmp_path: Path) -> None:
    def encrypt(data: bytearray) -> None:
        data[data.rindex(b"PK\1\2") + 8] |= 1  # the last member
        data[data.rindex(b"PK\3\4") + 6] |= 1

    refused(damage(make_zip(tmp_path / "a"), encrypt), "encrypted, password required")


def test_a_full_disk_is_the_disks_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    (tmp_path / "t").mkdir()
    with pytest.raises(OSError, match="No space left"):
        unpack(make_zip(tmp_path / "a"), tmp_path / "t", LIMIT)


def test_random_damage_is_one_sentence_or_none(tmp_path: Path) -> None:
    dice = random.Random(0)
    makers: list[Callable[[Path], Path]] = [make_zip, make_tar, lambda path: make_tar(path, "w:gz")]
    for maker in makers:
        whole = maker(tmp_path / "a").read_bytes()
        for i in range(50):
            data = bytearray(whole)
            for _ in range(dice.randint(1, 4)):
                data[dice.randrange(min(len(data), 2048 if i % 2 else len(data)))] = dice.randrange(256)
            (tmp_path / "a").write_bytes(data)
            (tmp_path / "t").mkdir()
            with contextlib.suppress(ValueError):  # nothing else, and so never a traceback
                unpack(tmp_path / "a", tmp_path / "t", LIMIT)
            shutil.rmtree(tmp_path / "t")
