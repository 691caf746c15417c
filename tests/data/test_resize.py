"""The resize of photos: one kernel, whatever the processor is."""

import hashlib
import os
import subprocess
import sys

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from samples import painted
from scapnet.data.images import to_tensor
from scapnet.data.resize import resize

SIZES = ((64, 64), (96, 200), (50,), (300, 40))
WITHOUT_VECTORS = """
import hashlib, sys
import numpy as np
import torch
from scapnet.data.resize import resize
photo = torch.from_numpy(np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(3, 97, 143).copy())
print(torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "NO AVX"))
for size in {sizes}:
    print(hashlib.md5(resize(photo, size).contiguous().numpy().tobytes()).hexdigest())
"""


def test_a_processor_without_vector_instructions_gives_the_same_pixels() -> None:
    photo = to_tensor(painted(97, 143))
    expected = [hashlib.md5(resize(photo, size).contiguous().numpy().tobytes()).hexdigest() for size in SIZES]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_VECTORS.format(sizes=SIZES)],
        input=photo.contiguous().numpy().tobytes(),
        env={**os.environ, "ATEN_CPU_CAPABILITY": "default"},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.decode().split() == ["True", *expected]


def test_torchvisions_resize_is_at_most_a_level_away() -> None:
    photo = to_tensor(painted(97, 143))
    for size in SIZES:
        expected = tv.resize(photo, list(size), antialias=True)
        assert (resize(photo, size).int() - expected.int()).abs().max() <= 1


def test_the_order_of_the_memory_changes_nothing_and_is_kept() -> None:
    photo = to_tensor(painted(97, 143))
    assert photo.stride(0) == 1  # a pixel's colours lie side by side, as decoders write them
    for size in SIZES:
        found = resize(photo, size)
        assert torch.equal(found, resize(photo.contiguous(), size))
        assert found.stride(0) == 1
        piece = photo[:, 10:90, 20:]
        assert torch.equal(resize(piece, size), resize(piece.contiguous(), size))


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((97, 143), [64], (64, 94)),  # 64 * 143 / 97 = 94.35
        ((143, 97), [64], (94, 64)),
        ((1, 5), [3], (3, 15)),
        ((97, 143), [30, 20], (30, 20)),
    ],
)
def test_one_number_is_the_shorter_side(shape: tuple[int, int], size: list[int], expected: tuple[int, int]) -> None:
    found = resize(to_tensor(painted(*shape)), size)
    assert (found.dtype, tuple(found.shape)) == (torch.uint8, (3, *expected))


def test_a_photo_of_that_size_is_returned_as_it_is() -> None:
    photo = to_tensor(painted(64, 80))
    assert resize(photo, [64]) is photo
    assert resize(photo, [64, 80]) is photo


def test_pixels_that_are_halved_are_averaged_without_aliasing() -> None:
    stripes = torch.tensor([0, 200], dtype=torch.uint8).repeat(32).expand(3, 64, 64)
    found = resize(stripes, [64, 32])
    assert found.shape == (3, 64, 32)
    assert ((found[:, :, 1:-1].int() - 100).abs() <= 25).all()
