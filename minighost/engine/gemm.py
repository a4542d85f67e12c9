"""Matrix product inside a kernel: BLAS's gemm, which Numba's own ``np.dot`` gives only a part of.

It can add to what is there, read a factor transposed, and work on columns of a wider array, where it lies.

OpenBLAS multiplies matrices where they lie up to a million multiplications. Larger ones it copies into another order
first, which for narrow ones or few rows takes longer than the product: so these are handed over in pieces. Small ones
take it up to twice as long if the second factor is to be read transposed: weights are transposed in
advance for the backward pass.
"""

import functools

import numpy as np
from numba import types
from numba.extending import overload

from minighost.engine.launch import tile

__all__ = ["gemm", "transposed"]

_AT_ONCE = 10**6
_WORTH_TRANSPOSING = 1 << 14  # numbers of a matrix

# The BLAS that Numba's own np.dot calls; by this name a product can add to what is there and read every other column.
_blas = types.ExternalFunction(
    "numba_xxgemm",
    types.intc(
        *[types.int8] * 3,
        *[types.intp] * 3,
        *[types.voidptr] * 2,
        types.intp,
        types.voidptr,
        types.intp,
        *[types.voidptr] * 2,
        types.intp,
    ),
)


def gemm(a, transpose_a, b, transpose_b, add, out):
    """``out = a @ b``, ``out += a @ b`` if `add`; a or b is transposed first if `transposed`. Rows must be unbroken."""
    product = (a.T if transpose_a else a) @ (b.T if transpose_b else b)
    out[...] = out + product if add else product


def transposed(w):
    """Matrices (..., C, OC) transposed in memory, and False, where that pays; else as they are, and True.

    The second says what `gemm` is to be told of them as ``transpose_b``, when it multiplies by their transpose.
    """
    C, OC = w.shape[-2:]
    # A copy always: of a single row or column NumPy calls the transpose contiguous, with strides that BLAS refuses.
    return (w.swapaxes(-1, -2).copy(), False) if C * OC <= _WORTH_TRANSPOSING else (w, True)


@overload(gemm)
def _gemm_compiled(a, transpose_a, b, transpose_b, add, out):
    multiply = _in_pieces(a.dtype)
    # Seen through slices all arrays are of one type, unbroken or not: one `multiply` serves all callers.
    return lambda a, transpose_a, b, transpose_b, add, out: multiply(
        a[:, :], transpose_a, b[:, :], transpose_b, add, out[:, :]
    )


@functools.cache
def _in_pieces(dtype):
    """What `gemm` is when compiled, for one precision: a product at once, or in pieces where that is quicker."""
    size = 4 if dtype == types.float32 else 8
    kind = ord("s") if size == 4 else ord("d")
    plain, transposed = ord("n"), ord("t")
    factors = np.array([0, 1], np.float32 if size == 4 else np.float64)

    @tile
    def product(a, transpose_a, b, transpose_b, add, out):
        # BLAS reads columns where we write rows, so it sees every matrix transposed: out.T = b.T @ a.T
        _blas(
            kind,
            transposed if transpose_b else plain,
            transposed if transpose_a else plain,
            out.shape[1],
            out.shape[0],
            a.shape[0] if transpose_a else a.shape[1],
            factors[1:].ctypes,
            b.ctypes,
            b.strides[0] // size,
            a.ctypes,
            a.strides[0] // size,
            factors[1 if add else 0 :].ctypes,
            out.ctypes,
            out.strides[0] // size,
        )

    @tile
    def multiply(a, transpose_a, b, transpose_b, add, out):
        (R, OC), C = out.shape, a.shape[0] if transpose_a else a.shape[1]
        rows, columns = _AT_ONCE // (OC * (R if transpose_a else C)), _AT_ONCE // (R * C)
        columns -= columns % (64 if columns >= 64 else 16)  # whole registers of OpenBLAS's kernels
        if R * C * OC <= _AT_ONCE or transpose_b or (rows < 32 and (transpose_a or columns == 0)):
            product(a, transpose_a, b, transpose_b, add, out)
        elif transpose_a:
            for r in range(0, C, rows):
                product(a[r : r + rows], True, b[r : r + rows], False, add or r > 0, out)
        elif rows >= 32:
            for r in range(0, R, rows):
                product(a[r : r + rows], False, b, False, add, out[r : r + rows])
        else:
            for c in range(0, OC, columns):
                product(a, False, b[:, c : c + columns], False, add, out[:, c : c + columns])

    return multiply
