"""Fused 1x1 convolution: normalise a tile of the input, multiply it, and take the result's batch norm sums.

    raw = sum over parts of  gate * act(scale*x + shift) @ w[part's rows]

The input comes in one part or two: a ghost module's intrinsic maps and their ghosts stay separate arrays, and
the product adds what each contributes. Backward, a tile of the gradient passes through batch norm, gives its share of
`dw` and of `dx`, and `dx` is cut by the activation and summed for the batch norm before - one visit to every number.

Letters: R rows of the chunk, C channels in, OC channels out.
"""

import functools
from typing import NamedTuple

import numpy as np

from minighost.engine.activations import is_cut
from minighost.engine.gemm import gemm, transposed
from minighost.engine.kernels.deferred import Deferred, along, lanes
from minighost.engine.kernels.tiles import activated, add_up, finish, fold, multiply_add
from minighost.engine.launch import is_last, kernel, share, thread_id, threads, tile
from minighost.engine.memory import empty, workspace, zeros
from minighost.engine.moments import add_moments, close_moments, room_for_moments

__all__ = ["pointwise_backward", "pointwise_forward"]


class Factor(NamedTuple):
    """One part of the input, and the rows of the weights that belong to it."""

    part: Deferred  # norm repeated along a line of lanes: (3, L)
    w: np.ndarray  # (C, OC)
    transposed: np.ndarray  # (OC, C); in a forward w itself


class FactorGradient(NamedTuple):
    """What the backward leaves for one part."""

    norm: np.ndarray  # (3, L), or (3, 0) where the activation does not cut
    skip: np.ndarray  # (N, H, W, C), a gradient that is added; or (0, H, W, C)
    dx: np.ndarray  # (N, H, W, C)
    dgate: np.ndarray  # (N, C) or (0, C)
    sums: np.ndarray  # (chunks, 2, C), float64
    lanes: np.ndarray  # (threads, 2, L)


def pointwise_forward(parts, w, b=None, summing=True):
    """Forward; its twin is `ops.pointwise_forward` after a batch norm, a ReLU and a gate for each part.

    Parameters
    ----------
    parts : sequence of 1 or 2 Deferred
        Same N, H and W; their channels together are C.
    w : ndarray, shape (C, OC)
    b : ndarray, shape (OC,), optional
    summing : bool
        Whether the statistics are wanted.

    Returns
    -------
    raw : ndarray, shape (N, H, W, OC)
    statistics : ndarray, shape (2, OC), float64
        Mean and variance of raw, for `finalize_stats`; without channels if they are not wanted.
    """
    (N, H, W, split), (C, OC) = parts[0].raw.shape, w.shape
    plan = _plan(N, H * W, split, C, OC, threads().count)
    out, (first, second) = empty((N, H, W, OC), w.dtype), _factors(parts, w, np.asarray)
    partials, statistics = room_for_moments(plan.chunks if summing else 0, OC)
    scratch, moments = workspace(w.dtype, plan.scratch, plan.moments)
    bias, n_threads = w[0, :0] if b is None else b, plan.n_threads
    _forward(
        plan.chunks, plan.step, first, second, bias, scratch, moments, out, partials, statistics, n_threads=n_threads
    )
    return out, statistics


def pointwise_backward(gradient, parts, w, skip_grad=None):
    """Backward of `pointwise_forward`.

    Parameters
    ----------
    gradient : DeferredGradient
    parts, w
        As in the forward.
    skip_grad : ndarray, shape of the first part's raw, optional
        Gradient that reaches the only part another way, cut as its activation cuts; the result is the sum of both. For
        a part without a gate.

    Returns
    -------
    branches : list of (dy, sums, dgate), one per part
        `dy` is the gradient with respect to the part. Without a gate it has been cut if the activation cuts (`is_cut`),
        and then `sums`, of shape (chunks, 2, C), are what `batch_norm_backward` needs. With a gate `sums` mean nothing,
        and `dgate`, of shape (N, C), is the gate's gradient; go on with `gate_backward`.
    dw : ndarray, shape (C, OC)
    """
    (N, H, W, split), (C, OC) = parts[0].raw.shape, w.shape
    plan = _plan(N, H * W, split, C, OC, threads().count)
    n_threads, chunks = plan.n_threads, min(N, plan.chunks)
    a, b = _factors(parts, w, transposed)
    norm_a, norm_b = _cutting_norm(a.part), _cutting_norm(b.part)
    lanes_a, lanes_b = (n_threads, 2, norm_a.shape[1]), (n_threads, 2, norm_b.shape[1])
    scratch, dtiles, sums_a, sums_b, dws = workspace(
        w.dtype, plan.scratch, plan.gradient, lanes_a, lanes_b, (chunks, C, OC)
    )
    da, db = _room(a.part, norm_a, skip_grad, chunks, sums_a), _room(b.part, norm_b, skip_grad, chunks, sums_b)
    dw = empty((C, OC), w.dtype)
    _backward(plan.step, _gradient_lanes(gradient), a, b, scratch, dtiles, da, db, dws, dw, n_threads=n_threads)
    return [(one.dx, one.sums, one.dgate) for one in (da, db)[: len(parts)]], dw


class _Plan(NamedTuple):
    """How a product of these sizes is divided, and the shapes of its scratch memory."""

    n_threads: int
    chunks: int
    step: int  # rows of a tile
    scratch: tuple[int, ...]
    moments: tuple[int, ...]
    gradient: tuple[int, ...]


@functools.lru_cache(1 << 10)
def _plan(N, pixels, split, C, OC, n_threads):
    step, R = _tile_rows(C, OC), N * pixels
    # At least 256 rows a chunk, or 4 chunks if there are few rows; 2 where weights are many for the rows: a product of
    # few rows is slow, and every chunk leaves a sum for `dw` behind.
    chunks = max(1, min(32, R // 32, 2 if R < C * OC // 256 else max(4, R // 256)))
    scratch = n_threads, 2, step * max(split, C - split)
    return _Plan(n_threads, chunks, step, scratch, (n_threads, 3, lanes(OC)), (n_threads, step * OC))


def _tile_rows(C, OC):
    """Rows of a tile whose input and output stay in a 256 KiB share of the cache (float32)."""
    return max(32, min(1024, (1 << 18) // (C + OC) // 32 * 32))


def _factors(parts, w, transpose):
    """A `Factor` for each part, and one without channels where there is only one; `transpose` makes `transposed`."""
    first = parts[0]
    split, second = first.raw.shape[3], parts[1] if len(parts) > 1 else _no_part(first)
    own, rest = w[:split], w[split:]
    return Factor(_lanes(first), own, transpose(own)), Factor(_lanes(second), rest, transpose(rest))


def _no_part(part):
    nothing = np.empty((*part.raw.shape[:3], 0), part.raw.dtype)
    return Deferred(nothing, np.empty((3, 0), nothing.dtype), part.act, nothing[:0, 0, 0])


def _cutting_norm(part):
    """The norm by which a gradient is cut, or one without columns."""
    return part.norm if is_cut(part.act) and not len(part.gate) else np.empty((3, 0), part.raw.dtype)


def _room(part, norm, skip_grad, chunks, lanes):
    C, dtype = part.raw.shape[3], part.raw.dtype
    skip = part.raw[:0] if skip_grad is None else skip_grad
    dgate = zeros(part.gate.shape, dtype)
    return FactorGradient(norm, skip, empty(part.raw.shape, dtype), dgate, empty((chunks, 2, C), np.float64), lanes)


def _lanes(deferred):
    C = deferred.norm.shape[1]
    return deferred._replace(norm=along(deferred.norm, lanes(C))) if C else deferred


def _gradient_lanes(gradient):
    OC = gradient.coefficients.shape[1]
    return gradient._replace(coefficients=along(gradient.coefficients, lanes(OC))) if OC else gradient


@kernel(flops=lambda a: 2 * a.out.size * (len(a.a.w) + len(a.b.w)))
def _forward(work, chunks, step, a, b, bias, scratches, moments, out, partials, statistics):
    N, H, W, OC = out.shape
    R, flat, thread = N * H * W, out.reshape(-1), thread_id(work)
    scratch, moment = scratches[thread], moments[thread]
    for t in share(work, chunks):
        first, last = t * R // chunks, (t + 1) * R // chunks
        moment[:] = 0
        for r0 in range(first, last, step):
            r1 = min(last, r0 + step)
            stretch = flat[r0 * OC : r1 * OC]
            product = stretch.reshape(r1 - r0, OC)
            gemm(_gated(a.part, activated(a.part, r0, r1, scratch[0]), r0, scratch[1]), False, a.w, False, product)
            if len(b.w):
                gated = _gated(b.part, activated(b.part, r0, r1, scratch[0]), r0, scratch[1])
                gemm(gated, False, b.w, True, product)
            for r in range(len(product) if len(bias) else 0):
                for o in range(OC):
                    product[r, o] += bias[o]
            if len(partials):
                add_moments(stretch, r0 == first, moment)
        close_moments(work, t, (last - first) * OC, moment, moment.shape[1], partials, statistics)


@kernel(flops=lambda a: 4 * a.g.raw.size * len(a.dw))
def _backward(work, step, g, a, b, scratches, dtiles, back_a, back_b, dws, dw):
    N, H, W, _ = g.raw.shape
    chunks, split, thread = len(dws), len(a.w), thread_id(work)
    scratch, dtile, lanes_a, lanes_b = scratches[thread], dtiles[thread], back_a.lanes[thread], back_b.lanes[thread]
    for t in share(work, chunks):
        first, last = t * N // chunks * H * W, (t + 1) * N // chunks * H * W
        lanes_a[:] = 0
        lanes_b[:] = 0
        for r0 in range(first, last, step):
            r1 = min(last, r0 + step)
            d = _load_gradient(g, r0, r1, dtile)
            _backward_part(a, d, r0, r1, r0 > first, scratch, dws[t, :split], back_a, lanes_a)
            if len(b.w):
                _backward_part(b, d, r0, r1, r0 > first, scratch, dws[t, split:], back_b, lanes_b)
        fold(lanes_a, lanes_a.shape[1], back_a.sums[t])
        if len(b.w):
            fold(lanes_b, lanes_b.shape[1], back_b.sums[t])
        if is_last(work, chunks):
            add_up(dws, dw)


@tile
def _backward_part(factor, d, r0, r1, add, scratch, dw, back, lanes):
    p, C = factor.part, factor.part.raw.shape[3]
    y = activated(p, r0, r1, scratch[0])
    gemm(_gated(p, y, r0, scratch[1]), True, d, add, dw)
    dx = back.dx.reshape(-1)[r0 * C : r1 * C]
    dy = dx.reshape(r1 - r0, C)
    gemm(d, False, factor.transposed, False, dy)
    if len(p.gate):
        _add_gate_gradient(p, dy, y, r0, back.dgate)
    else:
        x, skip = p.raw.reshape(-1)[r0 * C : r1 * C], back.skip.reshape(-1)[r0 * C : r1 * C]
        finish(dx, x, back.norm, p.act, skip, lanes)


@tile
def _load_gradient(g, r0, r1, scratch):
    OC = g.raw.shape[3]
    d = scratch[: (r1 - r0) * OC]
    dy, x = g.dy.reshape(-1)[r0 * OC : r1 * OC], g.raw.reshape(-1)[r0 * OC : r1 * OC]
    if g.coefficients.shape[1] == 0:
        return dy.reshape(r1 - r0, OC)
    multiply_add(dy, x, g.coefficients, d)
    return d.reshape(r1 - r0, OC)


@tile
def _gated(p, y, r0, scratch):
    """The rows times their image's gate, if there is one."""
    if len(p.gate) == 0:
        return y
    (R, C), HW = y.shape, p.raw.shape[1] * p.raw.shape[2]
    out = scratch[: R * C].reshape(R, C)
    for r in range(R):
        n = (r0 + r) // HW
        for c in range(C):
            out[r, c] = y[r, c] * p.gate[n, c]
    return out


@tile
def _add_gate_gradient(p, dy, y, r0, dgate):
    (R, C), HW = y.shape, p.raw.shape[1] * p.raw.shape[2]
    for r in range(R):
        n = (r0 + r) // HW
        for c in range(C):
            dgate[n, c] += y[r, c] * dy[r, c]
