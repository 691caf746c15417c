"""Every damage to a listed file is found."""

import random
from pathlib import Path

import pytest

from scapnet.training.manifest import FILE, checksum, damages, write_manifest


def folder(root: Path) -> Path:
    (root / "a.bin").write_bytes(bytes(range(256)) * 10)
    (root / "b.json").write_text("{}")
    (root / "inner").mkdir()
    write_manifest(root)
    return root


def test_a_whole_folder_has_no_damage(tmp_path: Path) -> None:
    assert damages(folder(tmp_path)) == {}
    (tmp_path / FILE).unlink()  # as an earlier version wrote it
    assert damages(tmp_path) == {}


@pytest.mark.parametrize("seed", range(10))
def test_a_changed_bit_is_found(tmp_path: Path, seed: int) -> None:
    file, choose = folder(tmp_path) / "a.bin", random.Random(seed)
    content = bytearray(file.read_bytes())
    content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
    file.write_bytes(content)
    assert damages(tmp_path) == {"a.bin": "has been changed"}


def test_missing_cut_and_empty_files_are_named(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "a.bin").write_bytes(b"")
    (tmp_path / "b.json").unlink()
    assert damages(tmp_path) == {"a.bin": "has 0 bytes instead of 2,560", "b.json": "is missing"}


@pytest.mark.parametrize("text", ["", "[]", '{"a.bin": 3}', '{"a.bin": ["x", 1]}'])
def test_a_damaged_list_is_named(tmp_path: Path, text: str) -> None:
    (folder(tmp_path) / FILE).write_text(text)
    assert damages(tmp_path) == {FILE: "is damaged"}


def test_the_checksum_is_that_of_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"123456789")
    assert checksum(tmp_path / "x") == 0xCBF43926  # the check value of CRC-32
