"""Arrays as rows of numbers, for kernels that look at each number by itself."""

import numpy as np

from minighost.engine.check import is_plain

__all__ = ["crew", "row"]


def row(x, dtype):
    """`x` with all its numbers on one axis: a view if kernels can read it as it is, otherwise a copy."""
    if x.dtype != dtype or not is_plain(x):
        x = np.array(x, dtype, order="C")
    return x.reshape(-1)


def crew(x):
    """How many threads `x` is worth: one, or None for all; for fewer than 65,536 numbers their start costs more."""
    return 1 if x.size < 1 << 16 else None
