"""What the fused kernels do with one tile of numbers while it is in cache.

A tile is a stretch of memory: some rows of C channels, one behind another. A loop over C alone would vectorise badly
where channels are few, so the per-channel vectors come repeated to L = k*C numbers ("lanes"), and the loops run over L.
Sums are kept per lane too, in the precision of the data, for a few hundred numbers each; then they are folded into
float64 sums per channel. That is exact enough because squares are taken about a pivot near the mean.
"""

import numpy as np
from numba import types
from numba.extending import overload

from minighost.ops.engine import tile

__all__ = ["add_moments", "fold", "fold_moments", "gemm", "mask_and_add", "multiply_add", "normalise"]

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

    def call(a, a_turned, b, b_turned, add, out):
        # BLAS reads columns where we write rows, so it sees every matrix transposed: out.T = b.T @ a.T
        factors = np.array([1, 1 if add else 0], out.dtype)
        _blas(
            kind, turned if b_turned else plain, turned if a_turned else plain,
            out.shape[1], out.shape[0], a.shape[0] if a_turned else a.shape[1],
            factors[:1].ctypes, b.ctypes, b.strides[0] // size, a.ctypes, a.strides[0] // size,
            factors[1:].ctypes, out.ctypes, out.strides[0] // size,
        )  # fmt: skip

    return call


@tile
def normalise(x, scale, shift, floor, out):
    """``out = max(scale*x + shift, floor)``, lane by lane; a floor of -inf means no ReLU, and NaN passes through."""
    L = len(scale)
    for q in range(0, len(x), L):
        n = min(L, len(x) - q)
        xq, oq = x[q : q + n], out[q : q + n]
        for k in range(n):
            y = xq[k] * scale[k] + shift[k]
            oq[k] = floor if y <= floor else y


@tile
def multiply_add(dy, x, scale, slope, constant, out):
    """``out = scale*dy + slope*x + constant``: how a gradient passes batch norm, once its sums are known."""
    L = len(scale)
    for q in range(0, len(x), L):
        n = min(L, len(x) - q)
        xq, dq, oq = x[q : q + n], dy[q : q + n], out[q : q + n]
        for k in range(n):
            oq[k] = scale[k] * dq[k] + slope[k] * xq[k] + constant[k]


@tile
def add_moments(x, pivot, total, squares):
    """Add up ``x - pivot`` and its square in every lane."""
    L = len(pivot)
    for q in range(0, len(x), L):
        n = min(L, len(x) - q)
        xq = x[q : q + n]
        for k in range(n):
            v = xq[k] - pivot[k]
            total[k] += v
            squares[k] += v * v


@tile
def mask_and_add(dy, y, x, mean, floor, total, moment):
    """Zero the gradient where the activation y sits on its floor; add up ``dy`` and ``dy * (x - mean)``."""
    L, zero = len(mean), dy.dtype.type(0)
    for q in range(0, len(x), L):
        n = min(L, len(x) - q)
        xq, yq, dq = x[q : q + n], y[q : q + n], dy[q : q + n]
        for k in range(n):
            d = zero if yq[k] <= floor else dq[k]
            dq[k] = d
            total[k] += d
            moment[k] += d * (xq[k] - mean[k])


@tile
def fold_moments(n, pivot, total, squares, sums):
    """Lane sums about a pivot to ``sums[0]``, of x, and ``sums[1]``, of x*x, per channel; n numbers went in."""
    L, C = len(pivot), sums.shape[1]
    for first in range(0, L, C):
        for c in range(C):
            k = first + c
            p, s1, s2 = np.float64(pivot[k]), np.float64(total[k]), np.float64(squares[k])
            m = n // L + (k < n % L)  # numbers that went into this lane
            sums[0, c] += s1 + m * p
            sums[1, c] += s2 + 2 * p * s1 + m * p * p


@tile
def fold(total, moment, sums):
    """Lane sums to float64 sums per channel."""
    C = sums.shape[1]
    for first in range(0, len(total), C):
        for c in range(C):
            sums[0, c] += total[first + c]
            sums[1, c] += moment[first + c]
