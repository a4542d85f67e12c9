"""A learner's own arrays: from .npy, or one channel from .csv or .txt."""

from pathlib import Path

import numpy as np

from minighost.inputs import open_regular

__all__ = ["load"]


def load(path):
    """An array of finite numbers, as float64.

    Parameters
    ----------
    path : str or Path
        ``.npy``; or a table of numbers, divided by commas in ``.csv`` and by blanks in ``.txt``.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If the file holds something else.
    """
    path = Path(path)
    readers = {
        ".npy": lambda file: np.load(file, allow_pickle=False),  # a pickle could run any program
        ".csv": lambda file: np.loadtxt(file, delimiter=",", ndmin=2),
        ".txt": lambda file: np.loadtxt(file, ndmin=2),
    }
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: arrays are read from .npy, .csv and .txt, not from {path.suffix or 'such a file'}")
    with open_regular(path) as file:
        try:
            array = readers[path.suffix.lower()](file)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path}: not an array of numbers ({error})") from error
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{path}: holds {array.dtype}, but a step needs real numbers")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        where = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{path}: the number at {where} is {array[where]}; replace it, all must be finite")
    return array
