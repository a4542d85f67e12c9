"""The sum that ends a bottleneck: normalise both branches on the way into it (He et al. 2016, eq. 1).

The main branch comes in parts that are put side by side, as a ghost module leaves them. Neither branch has a ReLU here.
"""

import numpy as np

from minighost.ops.buffers import empty, zeros
from minighost.ops.engine import kernel, share, tile
from minighost.ops.fused.pending import chunks_of

__all__ = ["residual_backward", "residual_forward"]


def residual_forward(parts, shortcut):
    """``concatenate(parts) + shortcut``, all normalised.

    Parameters
    ----------
    parts : pair of Pending without ReLU or gate
    shortcut : Pending, shape (N, H, W, C), without ReLU or gate

    Returns
    -------
    out : ndarray, shape (N, H, W, C)
    """
    out = empty(shortcut.raw.shape, shortcut.raw.dtype)
    a, b = parts
    _residual_forward(a, b, shortcut, chunks_of(len(out), out.size), out)
    return out


def residual_backward(dout, parts, shortcut):
    """Backward of `residual_forward`.

    Parameters
    ----------
    dout : ndarray, shape (N, H, W, C)
    parts, shortcut
        As in the forward.

    Returns
    -------
    branches : list of (dy, sums)
        One a part, for `pass_back`; `dy` is the part's share of `dout`.
    sums : ndarray, shape (chunks, 2, C)
        The shortcut's; its `dy` is `dout` itself.
    """
    a, b = parts
    C, split, chunks = dout.shape[3], a.raw.shape[3], chunks_of(len(dout), dout.size)
    da, db = empty(a.raw.shape, dout.dtype), empty(b.raw.shape, dout.dtype)
    means = np.concatenate([a.affine[2], b.affine[2]])
    totals, sums = zeros((chunks, 3, C), dout.dtype), np.zeros((chunks, 3, C))
    _residual_backward(dout, a, b, means, shortcut, totals, da, db, sums)
    main, short = sums[:, :2], sums[:, ::2]  # sum of dy, and sum of dy * (x - mean) in either branch
    return [(da, main[..., :split]), (db, main[..., split:])], short


@kernel
def _residual_forward(work, a, b, shortcut, chunks, out):
    N, H, W, C = out.shape
    split, K = a.raw.shape[3], H * W
    xa, xb = a.raw.reshape(N * K, split), b.raw.reshape(N * K, C - split)
    xs, rows = shortcut.raw.reshape(N * K, C), out.reshape(N * K, C)
    for t in share(work, chunks):
        r0, r1 = t * N // chunks * K, (t + 1) * N // chunks * K
        _scale_into(xa, a.affine, r0, r1, 0, rows)
        _scale_into(xb, b.affine, r0, r1, split, rows)
        _add_scaled(xs, shortcut.affine, r0, r1, rows)


@tile
def _scale_into(x, affine, r0, r1, first, out):
    """Normalise rows r0 to r1 into the columns of `out` from `first` on."""
    scale, shift = affine[0], affine[1]
    for r in range(r0, r1):
        for c in range(x.shape[1]):
            out[r, first + c] = x[r, c] * scale[c] + shift[c]


@tile
def _add_scaled(x, affine, r0, r1, out):
    if affine.shape[1] == 0:
        for r in range(r0, r1):
            for c in range(x.shape[1]):
                out[r, c] += x[r, c]
    else:
        scale, shift = affine[0], affine[1]
        for r in range(r0, r1):
            for c in range(x.shape[1]):
                out[r, c] += x[r, c] * scale[c] + shift[c]


@kernel
def _residual_backward(work, dout, a, b, means, shortcut, totals, da, db, sums):
    N, H, W, C = dout.shape
    split, K, chunks = a.raw.shape[3], H * W, len(totals)
    xa, xb, xs = a.raw.reshape(N * K, split), b.raw.reshape(N * K, C - split), shortcut.raw.reshape(N * K, C)
    rows, ra, rb = dout.reshape(N * K, C), da.reshape(N * K, split), db.reshape(N * K, C - split)
    for t in share(work, chunks):
        r0, r1 = t * N // chunks * K, (t + 1) * N // chunks * K
        total, moment, short = totals[t, 0], totals[t, 1], totals[t, 2]
        _split(rows, xa, means[:split], r0, r1, 0, ra, total[:split], moment[:split])
        _split(rows, xb, means[split:], r0, r1, split, rb, total[split:], moment[split:])
        if shortcut.affine.shape[1]:
            _add_moment(rows, xs, shortcut.affine[2], r0, r1, short)
        for k in range(3):
            for c in range(C):
                sums[t, k, c] = totals[t, k, c]


@tile
def _split(d, x, mean, r0, r1, first, dx, total, moment):
    """Take the columns from `first` on for one part, and its sums with them."""
    for r in range(r0, r1):
        for c in range(x.shape[1]):
            v = d[r, first + c]
            dx[r, c] = v
            total[c] += v
            moment[c] += v * (x[r, c] - mean[c])


@tile
def _add_moment(d, x, mean, r0, r1, moment):
    for r in range(r0, r1):
        for c in range(x.shape[1]):
            moment[c] += d[r, c] * (x[r, c] - mean[c])
