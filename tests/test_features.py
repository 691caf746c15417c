"""Files of features, read back by the libraries that everybody has."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from samples import Command, make, painted
from scapnet.features import feature_file, names_file
from scapnet.predict import predict_photo


def read(path: Path) -> np.ndarray:
    return np.load(path) if path.suffix == ".npy" else load_file(path)["features"].numpy()


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
@pytest.mark.parametrize(("rows", "size"), [(1, 1), (3, 7), (1200, 5), (2, 2048)])
def test_rows_come_back_with_their_names(suffix: str, rows: int, size: int, tmp_path: Path) -> None:
    expected = torch.randn(rows, size, generator=torch.Generator().manual_seed(0))
    names = [f'ü "{i}"\n\udce9.jpg' for i in range(rows)]
    path = tmp_path / "new" / f"x{suffix}"
    with feature_file(path) as file:
        for name, row in zip(names, expected, strict=True):
            file.add(name, row)
        assert not path.exists()
    found = read(path)
    assert found.dtype == np.float32
    assert (found == expected.numpy()).all()
    assert json.loads(names_file(path).read_text()) == names
    assert len(list(path.parent.iterdir())) == 2


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_work_that_fails_leaves_neither_file(suffix: str, tmp_path: Path) -> None:
    def fail() -> None:
        with feature_file(tmp_path / f"x{suffix}") as file:
            file.add("a", torch.ones(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.npy", "x.SAFETENSORS", "x"])
def test_predict_writes_a_row_for_each_photo_that_it_answers(
    name: str, tmp_path: Path, model_folder: Path, command: Command
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(3):
        painted(50, 60, i).save(photos / f"{i}.png")
    (photos / "1.png").write_text("no image")
    command("predict", model_folder, photos, "--features", tmp_path / name)
    path = tmp_path / (name if "." in name else "x.npy")
    expected = [predict_photo(make(), painted(50, 60, i), features=True).features for i in (0, 2)]
    found = np.load(path) if path.suffix == ".npy" else load_file(path)["features"].numpy()
    assert found == pytest.approx(torch.stack([row for row in expected if row is not None]).numpy(), abs=1e-5)
    assert json.loads(names_file(path).read_text()) == [str(photos / "0.png"), str(photos / "2.png")]
