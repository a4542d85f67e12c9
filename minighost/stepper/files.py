"""A learner's own arrays: from .npy, one channel from .csv or .txt, or as they are in Python."""

import warnings
from pathlib import Path

import numpy as np

from minighost.inputs import open_regular

__all__ = ["load", "source"]

LARGEST = 1e100  # of a learner's numbers: the square of one times another is still finite


def load(path):
    """An array of finite numbers, as float64.

    Parameters
    ----------
    path : str, Path or ndarray
        ``.npy``; or a table of numbers, separated by commas in ``.csv`` and by blanks in ``.txt``. An array is taken.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If the file holds something else.
    """
    if isinstance(path, np.ndarray):
        return _finite(path, "array")
    path = Path(path)
    readers = {
        ".npy": lambda file: np.lib.format.read_array(file, allow_pickle=False),  # a pickle could run any program
        ".csv": lambda file: _table(file, ","),
        ".txt": lambda file: _table(file),
    }
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: arrays are read from .npy, .csv and .txt, not from {path.suffix or 'such a file'}")
    with open_regular(path) as file:
        try:
            array = readers[path.suffix.lower()](file)
        except (MemoryError, OSError):
            raise
        except Exception as error:  # a damaged header ends in NumPy in errors of many kinds
            raise ValueError(f"{path}: not an array of numbers ({error})") from error
    return _finite(array, path)


def source(given):
    """How a message calls where an array comes from: its file, or "array"."""
    return "array" if isinstance(given, np.ndarray) else given


def _finite(array, path):
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{path}: holds {array.dtype}, but a step needs real numbers")
    if array.size == 0:
        raise ValueError(f"{path}: has shape {array.shape}, so it holds no numbers")
    with np.errstate(over="ignore"):  # a wider float may not fit; the next line says so
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        where = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{path}: the number at {where} is {array[where]}; replace it: all numbers must be finite")
    if (np.abs(array) > LARGEST).any():
        where = tuple(int(k) for k in np.argwhere(np.abs(array) > LARGEST)[0])
        raise ValueError(
            f"{path}: the number at {where} is {array[where]:.3g}; scale the array down to at most {LARGEST:g}, "
            "or products and squares would overflow"
        )
    return array


def _table(file, delimiter=None):
    text = file.read().decode("utf-8-sig")  # spreadsheets begin a .csv with a byte-order mark
    with warnings.catch_warnings(action="ignore"):  # it is empty: the next line says so
        table = np.loadtxt(text.splitlines(), delimiter=delimiter, ndmin=2)
    if table.size == 0:
        raise ValueError("it is empty")
    return table
