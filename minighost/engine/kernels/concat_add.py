"""Parts put side by side, and the sum that ends a bottleneck: all are normalised on the way (He et al. 2016, eq. 1).

The parts are what a ghost module leaves, its intrinsic maps and their ghosts; a ghost module on its own ends here
without a shortcut.
"""

import numpy as np

from minighost.engine.activations import gradient, value
from minighost.engine.kernels.deferred import chunks_of, plain
from minighost.engine.launch import kernel, share, tile
from minighost.engine.memory import empty, zeros

__all__ = ["concat_add_backward", "concat_add_forward"]


def concat_add_forward(parts, shortcut=None):
    """``concatenate(parts) + shortcut``, all normalised.

    Parameters
    ----------
    parts : pair of Deferred without gate, with batch norm
    shortcut : Deferred, shape (N, H, W, C), without activation or gate, optional

    Returns
    -------
    out : ndarray, shape (N, H, W, C)
    """
    a, b = parts
    out = empty((*a.raw.shape[:3], a.raw.shape[3] + b.raw.shape[3]), a.raw.dtype)
    _forward(a, b, _some(shortcut, out), chunks_of(len(out), out.size), out)
    return out


def concat_add_backward(dout, parts, shortcut=None):
    """Backward of `concat_add_forward`.

    Parameters
    ----------
    dout : ndarray, shape (N, H, W, C)
    parts, shortcut
        As in the forward.

    Returns
    -------
    branches : list of (dy, sums)
        One per part, for `batch_norm_backward`; `dy` is the part's share of `dout`, taken through its activation.
    sums : ndarray, shape (chunks, 2, C)
        The shortcut's, if there is one; its `dy` is `dout` itself.
    """
    a, b = parts
    C, split, chunks = dout.shape[3], a.raw.shape[3], chunks_of(len(dout), dout.size)
    da, db = empty(a.raw.shape, dout.dtype), empty(b.raw.shape, dout.dtype)
    totals, sums = zeros((chunks, 3, C), dout.dtype), empty((chunks, 3, C), np.float64)
    _backward(dout, a, b, _some(shortcut, dout), totals, da, db, sums)
    main, short = sums[:, :2], sums[:, ::2]  # sum of dy, and sum of dy * (x - mean) in either branch
    return [(da, main[..., :split]), (db, main[..., split:])], short


def _some(shortcut, out):
    """The shortcut, or one without images."""
    return plain(out[:0]) if shortcut is None else shortcut


@kernel
def _forward(work, a, b, shortcut, chunks, out):
    N, H, W, C = out.shape
    split, K = a.raw.shape[3], H * W
    xa, xb = a.raw.reshape(N * K, split), b.raw.reshape(N * K, C - split)
    xs, rows = shortcut.raw.reshape(len(shortcut.raw) * K, C), out.reshape(N * K, C)
    for t in share(work, chunks):
        r0, r1 = t * N // chunks * K, (t + 1) * N // chunks * K
        _scale_into(xa, a.norm, a.act, r0, r1, rows[:, :split])
        _scale_into(xb, b.norm, b.act, r0, r1, rows[:, split:])
        if len(xs):
            _add_scaled(xs, shortcut.norm, r0, r1, rows)


@tile
def _scale_into(x, norm, act, r0, r1, out):
    """Normalise rows r0 to r1."""
    scale, shift = norm[0], norm[1]
    for r in range(r0, r1):
        for c in range(x.shape[1]):
            out[r, c] = value(act, x[r, c] * scale[c] + shift[c])


@tile
def _add_scaled(x, norm, r0, r1, out):
    if norm.shape[1] == 0:
        for r in range(r0, r1):
            for c in range(x.shape[1]):
                out[r, c] += x[r, c]
    else:
        scale, shift = norm[0], norm[1]
        for r in range(r0, r1):
            for c in range(x.shape[1]):
                out[r, c] += x[r, c] * scale[c] + shift[c]


@kernel
def _backward(work, dout, a, b, shortcut, totals, da, db, sums):
    N, H, W, C = dout.shape
    split, K, chunks = a.raw.shape[3], H * W, len(totals)
    xa, xb = a.raw.reshape(N * K, split), b.raw.reshape(N * K, C - split)
    xs = shortcut.raw.reshape(len(shortcut.raw) * K, C)
    rows, ra, rb = dout.reshape(N * K, C), da.reshape(N * K, split), db.reshape(N * K, C - split)
    for t in share(work, chunks):
        r0, r1 = t * N // chunks * K, (t + 1) * N // chunks * K
        _split(rows[:, :split], xa, a.norm, a.act, r0, r1, ra, totals[t, :, :split])
        _split(rows[:, split:], xb, b.norm, b.act, r0, r1, rb, totals[t, :, split:])
        if shortcut.norm.shape[1]:
            _add_moment(rows, xs, shortcut.norm[2], r0, r1, totals[t, 2])
        for k in range(3):
            for c in range(C):
                sums[t, k, c] = totals[t, k, c]


@tile
def _split(d, x, norm, act, r0, r1, dx, totals):
    """Take one part's columns through its activation, and its sums with them."""
    scale, shift, mean, total, moment = norm[0], norm[1], norm[2], totals[0], totals[1]
    for r in range(r0, r1):
        for c in range(x.shape[1]):
            v = gradient(act, x[r, c] * scale[c] + shift[c], d[r, c])
            dx[r, c] = v
            total[c] += v
            moment[c] += v * (x[r, c] - mean[c])


@tile
def _add_moment(d, x, mean, r0, r1, moment):
    for r in range(r0, r1):
        for c in range(x.shape[1]):
            moment[c] += d[r, c] * (x[r, c] - mean[c])
