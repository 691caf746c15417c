"""Reading MATLAB files."""

from pathlib import Path

import numpy as np
import pytest

from samples import save_mat
from scapnet.data.datasets.matfile import digits, read_mat


def test_variables_lose_axes_of_length_one(tmp_path: Path) -> None:
    file = save_mat(tmp_path / "x.mat", labels=np.array([[3, 1, 2]], np.uint8), ids=np.array([[7.0]]))
    labels, ids = read_mat(file, "labels", "ids")
    assert labels.tolist() == [3, 1, 2]
    assert digits(ids) == "7"


@pytest.mark.parametrize("content", [None, b"", b"no MATLAB file", b"MATLAB 5.0 MAT-file" + bytes(200)])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x.mat").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.mat cannot be read as the list of labels") as error:
        read_mat(tmp_path / "x.mat", "labels")
    assert "\n" not in str(error.value)


def test_a_missing_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read as the list of labels"):
        read_mat(save_mat(tmp_path / "x.mat", other=np.zeros(2)), "labels")
