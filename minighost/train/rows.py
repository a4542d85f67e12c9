"""Arrays as rows of numbers, for the kernels of `engine.updates`."""

import numpy as np

from minighost.engine.check import is_plain

__all__ = ["row"]


def row(x, dtype):
    """`x` with all its numbers on one axis: a view if kernels can read it as it is, otherwise a copy."""
    if x.dtype != dtype or not is_plain(x):
        x = np.array(x, dtype, order="C")
    return x.reshape(-1)
