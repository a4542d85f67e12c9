"""The matrices of Winograd's convolution and the additions that they stand for; `winograd` says what they are for."""

import numpy as np

from minighost.engine.dispatch import inlined
from minighost.engine.kernels.tiles import accumulate
from minighost.engine.launch import kernel, share, tile
from minighost.engine.memory import empty
from minighost.engine.vectors import like

__all__ = [
    "OUTPUTS",
    "PIXELS",
    "TAPS",
    "outputs",
    "outputs_backward",
    "pixels",
    "pixels_backward",
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


# Pixels and outputs, numbers or registers ------------------------------------------------------------------------


@inlined
def pixels(x0, x1, x2, x3, x4, x5):
    """B' x."""
    two, four, five = like(x0, 2), like(x0, 4), like(x0, 5)
    even, odd = x4 - four * x2, x3 - four * x1
    near, far = x4 - x2, two * (x3 - x1)
    return four * x0 - five * x2 + x4, even + odd, even - odd, near + far, near - far, four * x1 - five * x3 + x5


@inlined
def pixels_backward(d0, d1, d2, d3, d4, d5):
    """Its adjoint, B d."""
    two, four, five = like(d0, 2), like(d0, 4), like(d0, 5)
    p, m, q, n = d1 + d2, d1 - d2, d3 + d4, d3 - d4
    x1, x2, x3 = four * (d5 - m) - two * n, like(d0, 0) - (five * d0 + four * p + q), m + two * n - five * d5
    return four * d0, x1, x2, x3, d0 + p + q, d5


@inlined
def outputs(y0, y1, y2, y3, y4, y5):
    """A' y."""
    two, four, eight = like(y0, 2), like(y0, 4), like(y0, 8)
    p, m, q, n = y1 + y2, y1 - y2, y3 + y4, y3 - y4
    return y0 + p + q, m + two * n, p + four * q, m + eight * n + y5


@inlined
def outputs_backward(d0, d1, d2, d3):
    """Its adjoint, A d."""
    two, four, eight = like(d0, 2), like(d0, 4), like(d0, 8)
    near, odd, far, steep = d0 + d2, d1 + d3, d0 + four * d2, two * d1 + eight * d3
    return d0, near + odd, near - odd, far + steep, far - steep, d3


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
