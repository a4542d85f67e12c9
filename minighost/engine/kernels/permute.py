"""The channels of two parts in another order, in one piece or two: where one unit of ShuffleNet v2 ends and the next
begins.

Done layer by layer, putting side by side, shuffling and splitting are three passes over memory; here every number is
visited once, normalised and activated on the way. Backward, the gradients of the pieces go back to the parts, through
their activations, and are summed for their batch norms.
"""

import functools
from typing import NamedTuple

import numpy as np

from minighost.engine.kernels.deferred import along, chunks_of, lanes
from minighost.engine.kernels.tiles import activated, finish, fold
from minighost.engine.launch import kernel, share, thread_id, threads, tile
from minighost.engine.memory import empty, workspace, zeros

__all__ = ["permute_backward", "permute_forward"]

_ROWS = 128  # of a tile, which stays in cache


class Moves(NamedTuple):
    """Which channels of a part become which channels of a piece."""

    source: np.ndarray  # uint64: of an index without sign Numba does not ask whether it counts from the end
    target: np.ndarray  # uint64


class Table(NamedTuple):
    """The moves from the parts a and b to the pieces 0 and 1."""

    a0: Moves
    a1: Moves
    b0: Moves
    b1: Moves


def permute_forward(parts, order, n):
    """``concatenate(parts)[..., order]``, its first n channels and the others.

    Parameters
    ----------
    parts : pair of Deferred without gate
    order : ndarray of int64, shape (C,)
    n : int
        At most C.

    Returns
    -------
    pieces : tuple of ndarray, shapes (N, H, W, n) and (N, H, W, C - n)
    """
    a, b = map(_in_lanes, parts)
    table = _table(order.tobytes(), a.raw.shape[3], n)
    pieces = [empty((*a.raw.shape[:3], width), a.raw.dtype) for width in (n, len(order) - n)]
    n_threads, chunks = threads().count, chunks_of(len(a.raw), a.raw.size + b.raw.size)
    (scratch,) = workspace(a.raw.dtype, (n_threads, _ROWS * max(a.raw.shape[3], b.raw.shape[3])))
    _forward(a, b, table, chunks, scratch, *pieces, n_threads=n_threads)
    return tuple(pieces)


def permute_backward(dpieces, parts, order):
    """Backward of `permute_forward`.

    Parameters
    ----------
    dpieces : pair of ndarray, shapes (N, H, W, n) and (N, H, W, C - n)
    parts, order
        As in the forward; each part has an activation that cuts, or none.

    Returns
    -------
    branches : list of (dy, sums)
        One per part, for `batch_norm_backward`; of a part without batch norm the sums are 0.
    """
    first, second = dpieces
    a, b = map(_in_lanes, parts)
    table = _table(order.tobytes(), a.raw.shape[3], first.shape[3])
    chunks = chunks_of(len(first), first.size + second.size)
    of_a, of_b = (zeros((chunks, 2, p.norm.shape[1]), p.raw.dtype) for p in (a, b))
    da, db = (empty(p.raw.shape, p.raw.dtype) for p in (a, b))
    sums_a, sums_b = (empty((chunks, 2, p.raw.shape[3]), np.float64) for p in (a, b))
    _backward(first, second, a, b, table, of_a, of_b, da, db, sums_a, sums_b)
    return [(da, sums_a), (db, sums_b)]


def _in_lanes(deferred):
    """With its numbers per channel repeated, as tiles want them."""
    return deferred._replace(norm=along(deferred.norm, lanes(deferred.norm.shape[1])))


@functools.lru_cache(1 << 8)
def _table(order, split, n):
    order = np.frombuffer(order, np.int64)
    target, from_a = np.arange(len(order)), order < split
    to_0 = target < n
    moves = []
    for part, first_source in ((from_a, 0), (~from_a, split)):
        for piece, first_target in ((to_0, 0), (~to_0, n)):
            mine = part & piece
            places = order[mine] - first_source, target[mine] - first_target
            moves.append(Moves(*(np.array(one, np.uint64) for one in places)))
    return Table(*moves)


@kernel
def _forward(work, a, b, table, chunks, scratch, first, second):
    N, K, tile_of = len(first), first.shape[1] * first.shape[2], scratch[thread_id(work)]
    for t in share(work, chunks):
        last = (t + 1) * N // chunks * K
        for r0 in range(t * N // chunks * K, last, _ROWS):
            r1 = min(last, r0 + _ROWS)
            y = activated(a, r0, r1, tile_of)
            _scatter(y, table.a0, r0, first)
            _scatter(y, table.a1, r0, second)
            y = activated(b, r0, r1, tile_of)
            _scatter(y, table.b0, r0, first)
            _scatter(y, table.b1, r0, second)


@tile
def _scatter(y, moves, r0, piece):
    """Some channels of the rows y to their places in `piece`, whose row r0 is y's first."""
    out, source, target = _as_rows(piece), moves.source, moves.target
    for r in range(len(y)):
        to, of = out[r0 + r], y[r]
        for k in range(len(source)):
            to[target[k]] = of[source[k]]


@tile
def _as_rows(x):
    """(N, H, W, C) as (N*H*W, C), were there no channels at all."""
    N, H, W, C = x.shape
    return x.reshape(N * H * W, C)


@kernel
def _backward(work, first, second, a, b, table, of_a, of_b, da, db, sums_a, sums_b):
    N, K, chunks = len(first), first.shape[1] * first.shape[2], len(sums_a)
    for t in share(work, chunks):
        last = (t + 1) * N // chunks * K
        for r0 in range(t * N // chunks * K, last, _ROWS):
            r1 = min(last, r0 + _ROWS)
            _gather(first, table.a0, r0, r1, da)
            _gather(second, table.a1, r0, r1, da)
            _finish(a, r0, r1, da, of_a[t])
            _gather(first, table.b0, r0, r1, db)
            _gather(second, table.b1, r0, r1, db)
            _finish(b, r0, r1, db, of_b[t])
        fold(of_a[t], of_a.shape[2], sums_a[t])
        fold(of_b[t], of_b.shape[2], sums_b[t])


@tile
def _gather(dpiece, moves, r0, r1, dx):
    """The way back of `_scatter`."""
    d, out, source, target = _as_rows(dpiece), _as_rows(dx), moves.source, moves.target
    for r in range(r0, r1):
        to, of = out[r], d[r]
        for k in range(len(source)):
            to[source[k]] = of[target[k]]


@tile
def _finish(p, r0, r1, dx, totals):
    C = p.raw.shape[3]
    d, x = dx.reshape(-1)[r0 * C : r1 * C], p.raw.reshape(-1)[r0 * C : r1 * C]
    finish(d, x, p.norm, p.act, d[:0], totals)
