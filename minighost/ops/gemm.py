"""Matrix product inside a kernel: BLAS's gemm, which Numba's own ``np.dot`` gives only a part of.

It can add to what is there, read a factor transposed, and work on columns of a wider array, where it lies.
"""

import numpy as np
from numba import types
from numba.extending import overload

__all__ = ["gemm"]

# The BLAS that Numba's own np.dot calls; by this name a product can add to what is there and read every other column.
_blas = types.ExternalFunction(
    "numba_xxgemm",
    types.intc(*[types.int8] * 3, *[types.intp] * 3, *[types.voidptr] * 2, types.intp, types.voidptr, types.intp,
               *[types.voidptr] * 2, types.intp),
)  # fmt: skip


def gemm(a, a_turned, b, b_turned, add, out):
    """``out = a @ b``, ``out += a @ b`` if `add`; a or b is transposed first if `turned`. Rows must be unbroken."""
    product = (a.T if a_turned else a) @ (b.T if b_turned else b)
    out[...] = out + product if add else product


@overload(gemm)
def _gemm_compiled(a, a_turned, b, b_turned, add, out):
    size = 4 if a.dtype == types.float32 else 8
    kind = ord("s") if size == 4 else ord("d")
    plain, turned = ord("n"), ord("t")
    factors = np.array([0, 1], np.float32 if size == 4 else np.float64)

    def call(a, a_turned, b, b_turned, add, out):
        # BLAS reads columns where we write rows, so it sees every matrix transposed: out.T = b.T @ a.T
        _blas(
            kind, turned if b_turned else plain, turned if a_turned else plain,
            out.shape[1], out.shape[0], a.shape[0] if a_turned else a.shape[1],
            factors[1:].ctypes, b.ctypes, b.strides[0] // size, a.ctypes, a.strides[0] // size,
            factors[1 if add else 0 :].ctypes, out.ctypes, out.strides[0] // size,
        )  # fmt: skip

    return call
