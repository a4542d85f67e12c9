"""What the type hints of the public functions mean; the docstrings add shapes and say what is checked.

from minighost.type_aliases import Array
"""

import os
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Array",
    "ArrayLike",
    "BoolArray",
    "Cache",
    "Gradients",
    "Images",
    "InputGrad",
    "IntArray",
    "IntPair",
    "PathLike",
    "Seed",
    "State",
]

Array = npt.NDArray[np.floating[Any]]
"""Float32 or float64."""

IntArray = npt.NDArray[np.integer[Any]]
"""Labels, indices, counts."""

BoolArray = npt.NDArray[np.bool_]
"""Masks."""

Images = npt.NDArray[np.uint8]
"""Pixels, 0 to 255."""

ArrayLike = npt.ArrayLike
"""Anything that `numpy.asarray` takes."""

Cache = tuple[Any, ...]
"""What a forward keeps for its backward, and nobody else looks into."""

InputGrad = Array | Any
"""dx. None where it is not wanted, which is no reason for others to ask: so the hint allows either."""

Gradients = tuple[Array, Array, Array | None]
"""dx, dw and db of a layer with weights; db is None where it has no bias."""

IntPair = int | tuple[int, int]
"""One number for both axes of the plane, or one for each: (rows, columns)."""

Seed = int | np.random.Generator | None
"""What `numpy.random.default_rng` takes: a number, a generator that goes on, or None for a new one each time."""

State = dict[str, npt.NDArray[Any]]
"""What `state_dict` gives and a checkpoint holds: arrays of any dtype, by name."""

PathLike = str | os.PathLike[str]
"""The name of a file or folder."""
