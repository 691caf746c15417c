"""Finding photos: every one, once, in the order of their numbers; what was passed over is known."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from scapnet.data.images import find_images


def photo(path: Path, side: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), "red").save(path)
    return path


def test_photos_are_found_in_order_and_hidden_files_are_not(tmp_path: Path) -> None:
    names = ["B.JPG", "a b/z/deep.webp", "a b/ü 日.Png", "c.jpeg"]
    for name in [*names, ".DS_Store.png", "a b/.hidden.png", ".cache/x.png"]:
        photo(tmp_path / name)
    for name in ("notes.txt", "jpg", "x.jpg.part"):
        (tmp_path / name).touch()
    assert find_images(tmp_path) == [tmp_path / name for name in names]


def test_a_link_to_a_folder_above_does_not_multiply_the_photos(tmp_path: Path) -> None:
    photo(tmp_path / "a" / "x.png")
    os.symlink(tmp_path, tmp_path / "a" / "above", target_is_directory=True)
    assert len(find_images(tmp_path)) == 1


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)
