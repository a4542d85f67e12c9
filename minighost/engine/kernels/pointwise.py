"""Fused 1x1 convolution: normalise a tile of the input, multiply it, and take the result's batch norm sums.

    raw = sum over parts of  gate * max(scale*x + shift, floor) @ w[part's rows]

The input comes in one part or two: a ghost module's intrinsic maps and their ghosts stay separate arrays, and
the product adds what each contributes. Backward, a tile of the gradient passes through batch norm, gives its share of
`dw` and of `dx`, and `dx` is cut by the ReLU and summed for the batch norm in front - one visit to every number.

Letters: R rows of the chunk, C channels in, OC channels out.
"""

import numpy as np

from minighost.engine.gemm import gemm, transposed
from minighost.engine.kernels.deferred import along
from minighost.engine.kernels.tiles import accumulate, add_up, fold, mask_and_add, multiply_add, normalise
from minighost.engine.launch import fetch_add, kernel, share, threads, tile
from minighost.engine.memory import empty, workspace, zeros
from minighost.engine.moments import add_moments, fold_moments, merge_moments, room_for_moments

__all__ = ["pointwise_backward", "pointwise_forward"]


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
    first, second = _two(parts)
    (N, H, W, split), (C, OC) = first.raw.shape, w.shape
    chunks, step, n_threads = _chunks(N * H * W, w), _tile_rows(C, OC), threads().count
    out = empty((N, H, W, OC), w.dtype)
    partials, statistics = room_for_moments(chunks if summing else 0, OC)
    _forward(
        np.zeros(2, np.int64),
        chunks,
        step,
        _lanes(first),
        _lanes(second),
        w[:split],
        w[split:],
        w[0, :0] if b is None else b,
        *workspace(w.dtype, (n_threads, 2, step * max(split, C - split)), (n_threads, 3, _repeats(OC) * OC)),
        out,
        partials,
        statistics,
        n_threads=n_threads,
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
        Gradient that reaches the only part another way, cut as its ReLU cuts; it is added to `dy`, not to `sums`. For a
        part without a gate.

    Returns
    -------
    branches : list of (dy, sums, dgate), one per part
        `dy` is the gradient with respect to the part's activation. Without a gate the ReLU has already cut it, and
        `sums`, of shape (chunks, 2, C), are what `batch_norm_backward` needs. With a gate it is the gradient after the
        gate, `sums` mean nothing, and `dgate`, of shape (N, C), is the gate's gradient; go on with `gate_backward`.
    dw : ndarray, shape (C, OC)
    """
    first, second = _two(parts)
    (N, H, W, split), (C, OC) = first.raw.shape, w.shape
    chunks, step, n_threads = min(N, _chunks(N * H * W, w)), _tile_rows(C, OC), threads().count
    branches = [
        (empty(p.raw.shape, w.dtype), empty((chunks, 2, p.raw.shape[3]), np.float64), zeros(p.gate.shape, w.dtype))
        for p in (first, second)
    ]
    first, second = _lanes(first), _lanes(second)
    scratch, dtiles, lanes1, lanes2, dws = workspace(
        w.dtype,
        (n_threads, 2, step * max(split, C - split)),
        (n_threads, step * OC),
        (n_threads, 2, first.norm.shape[1]),
        (n_threads, 2, second.norm.shape[1]),
        (chunks, C, OC),
    )
    dw = empty((C, OC), w.dtype)
    (dx1, sums1, dgate1), (dx2, sums2, dgate2) = branches
    _backward(
        np.zeros(2, np.int64),
        step,
        _gradient_lanes(gradient),
        first,
        second,
        *transposed(w[:split]),
        *transposed(w[split:]),
        scratch,
        dtiles,
        lanes1,
        lanes2,
        dx1[:0] if skip_grad is None else skip_grad,
        dx1,
        dx2,
        dgate1,
        dgate2,
        dws,
        dw,
        sums1,
        sums2,
        n_threads=n_threads,
    )
    return branches[: len(parts)], dw


def _two(parts):
    """The parts, the second one without channels where there is only one."""
    first = parts[0]
    if len(parts) == 2:
        return parts
    nothing = np.empty((*first.raw.shape[:3], 0), first.raw.dtype)
    return first, first._replace(raw=nothing, norm=first.norm[:, :0], gate=nothing[:0, 0, 0])


def _repeats(C):
    """How often per-channel vectors are repeated to make lanes of at most 512 numbers."""
    k = 1
    while k < 32 and 2 * k * C <= 512:
        k *= 2
    return k


def _lanes(deferred):
    C = deferred.norm.shape[1]
    return deferred._replace(norm=along(deferred.norm, _repeats(C) * C)) if C else deferred


def _gradient_lanes(gradient):
    OC = gradient.coefficients.shape[1]
    return gradient._replace(coefficients=along(gradient.coefficients, _repeats(OC) * OC)) if OC else gradient


def _chunks(R, w):
    """At most 32 chunks of at least 256 rows, or 4 if there are few rows; 2 where weights are many for the rows.

    A product of few rows is slow, and every chunk leaves a sum for `dw` behind.
    """
    return max(1, min(32, R // 32, 2 if R < w.size // 256 else max(4, R // 256)))


def _tile_rows(C, OC):
    """Rows of a tile whose input and output stay in a 256 KiB share of the cache (float32)."""
    return max(32, min(1024, (1 << 18) // (C + OC) // 32 * 32))


@kernel(flops=lambda a: 2 * a.out.size * (len(a.wa) + len(a.wb)))
def _forward(work, counters, chunks, step, a, b, wa, wb, bias, scratches, moments, out, partials, statistics):
    N, H, W, OC = out.shape
    R, flat, thread = N * H * W, out.reshape(-1), fetch_add(counters)
    scratch, moment = scratches[thread], moments[thread]  # this thread's own
    for t in share(work, chunks):
        first, last = t * R // chunks, (t + 1) * R // chunks
        moment[:] = 0
        for r0 in range(first, last, step):
            r1 = min(last, r0 + step)
            stretch = flat[r0 * OC : r1 * OC]
            product = stretch.reshape(r1 - r0, OC)
            gemm(_gated(a, _load(a, r0, r1, scratch[0]), r0, scratch[1]), False, wa, False, False, product)
            if len(wb):
                gemm(_gated(b, _load(b, r0, r1, scratch[0]), r0, scratch[1]), False, wb, False, True, product)
            for r in range(len(product) if len(bias) else 0):
                for o in range(OC):
                    product[r, o] += bias[o]
            if len(partials):
                add_moments(stretch, r0 == first, moment)
        if len(partials):
            fold_moments((last - first) * OC, moment, moment.shape[1], partials[t])
            if fetch_add(counters[1:]) == chunks - 1:
                merge_moments(partials, statistics)


@kernel(flops=lambda a: 4 * a.g.raw.size * len(a.dw))
def _backward(
    work,
    counters,
    step,
    g,
    a,
    b,
    wa,
    transpose_wa,
    wb,
    transpose_wb,
    scratches,
    dtiles,
    lanes_a,
    lanes_b,
    skip_grad,
    dxa,
    dxb,
    dgate_a,
    dgate_b,
    dws,
    dw,
    sums_a,
    sums_b,
):
    N, H, W, _ = g.raw.shape
    chunks, split, thread = len(dws), a.raw.shape[3], fetch_add(counters)
    scratch, dtile, sum_a, sum_b = (
        scratches[thread],
        dtiles[thread],
        lanes_a[thread],
        lanes_b[thread],
    )  # this thread's own
    for t in share(work, chunks):
        first, last = t * N // chunks * H * W, (t + 1) * N // chunks * H * W
        sum_a[:] = 0
        sum_b[:] = 0
        for r0 in range(first, last, step):
            r1 = min(last, r0 + step)
            d = _load_gradient(g, r0, r1, dtile)
            _backward_part(a, d, wa, transpose_wa, r0, r1, r0 > first, scratch, dws[t, :split], dxa, dgate_a, sum_a)
            if len(skip_grad):
                accumulate(skip_grad.reshape(-1)[r0 * split : r1 * split], dxa.reshape(-1)[r0 * split : r1 * split])
            if wb.size:
                _backward_part(b, d, wb, transpose_wb, r0, r1, r0 > first, scratch, dws[t, split:], dxb, dgate_b, sum_b)
        fold(sum_a, sum_a.shape[1], sums_a[t])
        if wb.size:
            fold(sum_b, sum_b.shape[1], sums_b[t])
        if fetch_add(counters[1:]) == chunks - 1:
            add_up(dws, dw)


@tile
def _backward_part(p, d, w, transpose, r0, r1, add, scratch, dw, dx, dgate, lanes):
    C = p.raw.shape[3]
    y = _load(p, r0, r1, scratch[0])
    gemm(_gated(p, y, r0, scratch[1]), True, d, False, add, dw)
    stretch = dx.reshape(-1)[r0 * C : r1 * C]
    dy = stretch.reshape(r1 - r0, C)
    gemm(d, False, w, transpose, False, dy)
    if len(p.gate):
        _add_gate_gradient(p, dy, y, r0, dgate)
    elif p.norm.shape[1]:
        x = p.raw.reshape(-1)[r0 * C : r1 * C]
        mask_and_add(stretch, y.reshape(-1), x, p.norm[2], p.norm[3, 0], lanes[0], lanes[1])


@tile
def _load(p, r0, r1, scratch):
    """Rows r0 to r1 of a part, normalised and rectified; a plain part is read where it lies."""
    C = p.raw.shape[3]
    x = p.raw.reshape(-1)[r0 * C : r1 * C]
    if p.norm.shape[1] == 0:
        return x.reshape(r1 - r0, C)
    y = scratch[: (r1 - r0) * C]
    normalise(x, p.norm[0], p.norm[1], p.norm[3, 0], y)
    return y.reshape(r1 - r0, C)


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
