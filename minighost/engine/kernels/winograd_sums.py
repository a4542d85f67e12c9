"""The additions around Winograd's products: the rows of B', A' and G, and their adjoints.

Each works on whole stretches of memory, a loop a row of the matrix: one result and few sources are what the compiler
vectorises. `winograd` has the matrices and what they are for.
"""

import numpy as np

from minighost.engine.kernels.tiles import accumulate
from minighost.engine.launch import kernel, share, tile
from minighost.engine.memory import empty

__all__ = [
    "OUTPUTS",
    "PIXELS",
    "TAPS",
    "input_transform_lines_backward",
    "output_transform_lines",
    "input_transform_lines",
    "output_transform_lines_backward",
    "taps_backward",
    "taps_forward",
    "taps_forward_reference",
]

PIXELS = np.array(
    [  # B'
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float64,
)
TAPS = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24  # G
OUTPUTS = np.array(
    [  # A'
        [1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 0],
        [0, 1, 1, 4, 4, 0],
        [0, 1, -1, 8, -8, 1],
    ],
    np.float64,
)

CHUNKS = 32  # of input channels, for the threads to share


# Taps ----------------------------------------------------------------------------------------------------------


def taps_forward_reference(w):
    """The formula: (3, 3, C, OC) -> (36, C, OC)."""
    return np.einsum("au,uvco,bv->abco", TAPS, w, TAPS, optimize=True).reshape(36, *w.shape[2:])


def taps_forward(w):
    """G w G': (3, 3, C, OC) -> (36, C, OC)."""
    C, OC = w.shape[2:]
    out, halves = empty((36, C, OC), w.dtype), empty((min(C, CHUNKS), 18, OC), w.dtype)
    _taps_forward(w, TAPS.astype(w.dtype), halves, out)
    return out


def taps_backward(dws):
    """G' dW G, where dW is the sum of `dws`, which is overwritten: (chunks, 36, C, OC) -> (3, 3, C, OC)."""
    C, OC = dws.shape[2:]
    dw, halves = empty((3, 3, C, OC), dws.dtype), empty((min(C, CHUNKS), 18, OC), dws.dtype)
    _taps_backward(dws, np.ascontiguousarray(TAPS.T, dws.dtype), halves, dw)
    return dw


@kernel
def _taps_forward(work, w, G, halves, out):
    """G w G', an input channel at a time."""
    C, blocks = w.shape[2], len(halves)
    for t in share(work, blocks):
        half = halves[t]
        for c in range(t * C // blocks, (t + 1) * C // blocks):
            for k in range(18):
                a, v = k // 3, k % 3
                _mix(G[a], w[0, v, c], w[1, v, c], w[2, v, c], half[k])
            for k in range(36):
                a, b = k // 6, k % 6
                _mix(G[b], half[3 * a], half[3 * a + 1], half[3 * a + 2], out[k, c])


@kernel
def _taps_backward(work, dws, G, halves, dw):
    """G' dW G, where dW is the sum over chunks; G is given transposed."""
    C, blocks = dw.shape[2], len(halves)
    for t in share(work, blocks):
        half = halves[t]
        for c in range(t * C // blocks, (t + 1) * C // blocks):
            for k in range(36):
                for chunk in range(1, len(dws)):
                    accumulate(dws[chunk, k, c], dws[0, k, c])
            for k in range(18):
                u, b = k // 6, k % 6
                _mix(G[u, :3], dws[0, b, c], dws[0, 6 + b, c], dws[0, 12 + b, c], half[k])
                _mix_in(G[u, 3:], dws[0, 18 + b, c], dws[0, 24 + b, c], dws[0, 30 + b, c], half[k])
            for k in range(9):
                u, v = k // 3, k % 3
                _mix(G[v, :3], half[6 * u], half[6 * u + 1], half[6 * u + 2], dw[u, v, c])
                _mix_in(G[v, 3:], half[6 * u + 3], half[6 * u + 4], half[6 * u + 5], dw[u, v, c])


@tile
def _mix(g, x, y, z, out):
    for k in range(len(out)):
        out[k] = g[0] * x[k] + g[1] * y[k] + g[2] * z[k]


@tile
def _mix_in(g, x, y, z, out):
    for k in range(len(out)):
        out[k] += g[0] * x[k] + g[1] * y[k] + g[2] * z[k]


# Pixels and outputs --------------------------------------------------------------------------------------------


@tile
def input_transform_lines(x0, x1, x2, x3, x4, x5, out, first, line):
    """B' x, into six consecutive lines of `out`."""
    two, output_transform_lines, five = x0.dtype.type(2), x0.dtype.type(4), x0.dtype.type(5)
    y0, y1, y2 = out[first, line], out[first + 1, line], out[first + 2, line]
    y3, y4, y5 = out[first + 3, line], out[first + 4, line], out[first + 5, line]
    L = len(x0)
    for k in range(L):
        y0[k] = output_transform_lines * x0[k] - five * x2[k] + x4[k]
    for k in range(L):
        y1[k] = x3[k] + x4[k] - output_transform_lines * (x1[k] + x2[k])
    for k in range(L):
        y2[k] = x4[k] - x3[k] + output_transform_lines * (x1[k] - x2[k])
    for k in range(L):
        y3[k] = x4[k] - x2[k] + two * (x3[k] - x1[k])
    for k in range(L):
        y4[k] = x4[k] - x2[k] - two * (x3[k] - x1[k])
    for k in range(L):
        y5[k] = output_transform_lines * x1[k] - five * x3[k] + x5[k]


@tile
def input_transform_lines_backward(d, first, line, x0, x1, x2, x3, x4, x5):
    """Its adjoint: B d is added to x."""
    two, output_transform_lines, five = x0.dtype.type(2), x0.dtype.type(4), x0.dtype.type(5)
    d0, d1, d2 = d[first, line], d[first + 1, line], d[first + 2, line]
    d3, d4, d5 = d[first + 3, line], d[first + 4, line], d[first + 5, line]
    L = len(d0)
    for k in range(L):
        x0[k] += output_transform_lines * d0[k]
    for k in range(L):
        x1[k] += output_transform_lines * (d2[k] - d1[k] + d5[k]) + two * (d4[k] - d3[k])
    for k in range(L):
        x2[k] -= five * d0[k] + output_transform_lines * (d1[k] + d2[k]) + d3[k] + d4[k]
    for k in range(L):
        x3[k] += d1[k] - d2[k] + two * (d3[k] - d4[k]) - five * d5[k]
    for k in range(L):
        x4[k] += d0[k] + d1[k] + d2[k] + d3[k] + d4[k]
    for k in range(L):
        x5[k] += d5[k]


@tile
def output_transform_lines(Y, first, step, line, y0, y1, y2, y3):
    """A' Y, of six lines of `Y`, `step` apart."""
    two, output_transform_lines, eight = Y.dtype.type(2), Y.dtype.type(4), Y.dtype.type(8)
    Y0, Y1, Y2 = Y[first, line], Y[first + step, line], Y[first + 2 * step, line]
    Y3, Y4, Y5 = Y[first + 3 * step, line], Y[first + 4 * step, line], Y[first + 5 * step, line]
    L = len(y0)
    for k in range(L):
        y0[k] = Y0[k] + Y1[k] + Y2[k] + Y3[k] + Y4[k]
    for k in range(L):
        y1[k] = Y1[k] - Y2[k] + two * (Y3[k] - Y4[k])
    for k in range(L):
        y2[k] = Y1[k] + Y2[k] + output_transform_lines * (Y3[k] + Y4[k])
    for k in range(L):
        y3[k] = Y1[k] - Y2[k] + eight * (Y3[k] - Y4[k]) + Y5[k]


@tile
def output_transform_lines_backward(d0, d1, d2, d3, dY, first, line):
    """Its adjoint: A d, into six lines of `dY`."""
    two, output_transform_lines, eight = d0.dtype.type(2), d0.dtype.type(4), d0.dtype.type(8)
    Y0, Y1, Y2 = dY[first, line], dY[first + 1, line], dY[first + 2, line]
    Y3, Y4, Y5 = dY[first + 3, line], dY[first + 4, line], dY[first + 5, line]
    L = len(d0)
    for k in range(L):
        Y0[k] = d0[k]
    for k in range(L):
        Y1[k] = d0[k] + d1[k] + d2[k] + d3[k]
    for k in range(L):
        Y2[k] = d0[k] - d1[k] + d2[k] - d3[k]
    for k in range(L):
        Y3[k] = d0[k] + two * d1[k] + output_transform_lines * d2[k] + eight * d3[k]
    for k in range(L):
        Y4[k] = d0[k] - two * d1[k] + output_transform_lines * d2[k] - eight * d3[k]
    for k in range(L):
        Y5[k] = d3[k]
