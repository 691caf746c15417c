"""Reading the MATLAB files in which some authors publish their lists."""

from pathlib import Path
from typing import Any

from scapnet.errors import reason


def read_mat(file: Path, *keys: str) -> list[Any]:
    """Variables of a MATLAB file.

    Args:
        file: the MATLAB file.
        keys: names of the variables.

    Returns:
        One array for each key, without axes of length 1.

    Raises:
        ValueError: the file is missing, is not a MATLAB file, or lacks a variable.
    """
    from scipy.io import loadmat  # only three data sets need it

    try:
        found = loadmat(str(file), squeeze_me=True)
        return [found[key] for key in keys]
    # scipy raises errors of many kinds on other files.
    except Exception as error:
        raise ValueError(
            f"{file} cannot be read as the list of {', '.join(keys)} ({reason(error)}); unpack the data set again"
        ) from error


def digits(value: Any) -> str:
    """A number as text, without a decimal point if it is whole: MATLAB stores numbers as floats by default."""
    return f"{float(value):.15g}"
