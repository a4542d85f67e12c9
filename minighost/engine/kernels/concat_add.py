"""Parts put side by side, and the sum that ends a bottleneck: all are normalised on the way (He et al. 2016, eq. 1).

The parts are what a ghost module leaves, its intrinsic maps and their ghosts; a ghost module on its own ends here
without a shortcut.
"""

import numpy as np

from minighost.engine.kernels.deferred import along, chunks_of, lanes, plain
from minighost.engine.kernels.tiles import accumulate, add_moment, finish, fold, normalise
from minighost.engine.launch import kernel, share, thread_id, threads, tile
from minighost.engine.memory import empty, workspace, zeros
from minighost.engine.vectors import copy

__all__ = ["concat_add_backward", "concat_add_forward"]

_ROWS = 128  # of a tile, which stays in cache


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
    n_threads, C = threads().count, out.shape[3]
    (scratch,) = workspace(out.dtype, (n_threads, _ROWS * C))
    shortcut = _in_lanes(plain(out[:0]) if shortcut is None else shortcut)
    _forward(_in_lanes(a), _in_lanes(b), shortcut, chunks_of(len(out), out.size), scratch, out, n_threads=n_threads)
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
    a, b, shortcut = _in_lanes(a), _in_lanes(b), _in_lanes(plain(dout[:0]) if shortcut is None else shortcut)
    of_a, of_b, of_short = (zeros((chunks, n, p.norm.shape[1]), dout.dtype) for n, p in ((2, a), (2, b), (1, shortcut)))
    sums_a, sums_b, moment = (empty((chunks, n, C), np.float64) for n, C in ((2, split), (2, C - split), (1, C)))
    _backward(dout, a, b, shortcut, of_a, of_b, of_short, da, db, sums_a, sums_b, moment)
    total = np.concatenate([sums_a[:, :1], sums_b[:, :1]], axis=2)
    return [(da, sums_a), (db, sums_b)], np.concatenate([total, moment], axis=1)


def _in_lanes(deferred):
    """With its numbers per channel repeated, as tiles want them."""
    return deferred._replace(norm=along(deferred.norm, lanes(deferred.norm.shape[1])))


@kernel
def _forward(work, a, b, shortcut, chunks, scratch, out):
    N, H, W, C = out.shape
    split, K, tile_of = a.raw.shape[3], H * W, scratch[thread_id(work)]
    xs, flat = shortcut.raw.reshape(-1), out.reshape(-1)
    for t in share(work, chunks):
        last = (t + 1) * N // chunks * K
        for r0 in range(t * N // chunks * K, last, _ROWS):
            r1 = min(last, r0 + _ROWS)
            _place(a, r0, r1, tile_of, C, flat)
            _place(b, r0, r1, tile_of, C, flat[split:])
            if len(xs):
                normed = tile_of[: (r1 - r0) * C]
                normalise(xs[r0 * C : r1 * C], shortcut.norm, shortcut.act, normed)
                accumulate(normed, flat[r0 * C : r1 * C])


@tile
def _place(p, r0, r1, scratch, C, out):
    """Rows r0 to r1 of a part, activated, into `out`, whose rows begin C numbers apart."""
    own = p.raw.shape[3]
    y = scratch[: (r1 - r0) * own]
    normalise(p.raw.reshape(-1)[r0 * own : r1 * own], p.norm, p.act, y)
    for r in range(r1 - r0):
        copy(y, r * own, own, out, (r0 + r) * C)


@kernel
def _backward(work, dout, a, b, shortcut, of_a, of_b, of_short, da, db, sums_a, sums_b, moment):
    N, H, W, C = dout.shape
    split, K, chunks, flat, xs = a.raw.shape[3], H * W, len(moment), dout.reshape(-1), shortcut.raw.reshape(-1)
    for t in share(work, chunks):
        last = (t + 1) * N // chunks * K
        for r0 in range(t * N // chunks * K, last, _ROWS):
            r1 = min(last, r0 + _ROWS)
            _take(a, r0, r1, C, flat, da, of_a[t])
            _take(b, r0, r1, C, flat[split:], db, of_b[t])
            if shortcut.norm.shape[1]:
                add_moment(flat[r0 * C : r1 * C], xs[r0 * C : r1 * C], shortcut.norm[2], of_short[t, 0])
        fold(of_a[t], of_a.shape[2], sums_a[t])
        fold(of_b[t], of_b.shape[2], sums_b[t])
        fold(of_short[t], of_short.shape[2], moment[t])


@tile
def _take(p, r0, r1, C, d, dx, totals):
    """Rows r0 to r1 of `d`, which begin C numbers apart, through a part's activation, and its sums."""
    own, flat = p.raw.shape[3], dx.reshape(-1)
    for r in range(r0, r1):
        copy(d, r * C, own, flat, r * own)
    x = p.raw.reshape(-1)[r0 * own : r1 * own]
    finish(flat[r0 * own : r1 * own], x, p.norm, p.act, d[:0], totals)
