"""Fused depthwise convolution: normalise an image into a padded plane, convolve it, take the batch norm sums.

In the padded plane (`plane`) the pixels under a tap along an output line are one stretch, so a line of the result is
the sum over taps of two stretches' products, one of them the weights, repeated along the line. Tiles get flat arrays
and the places where stretches begin: a slice for each would take as long as a short line. Backward, one visit to
an image yields `dw`, `dx`, the ReLU's cut and the sums for the batch norm in front. `dx` is a convolution too, of the
gradient in a padded plane of its own: without a stride with all taps, turned by half a circle; with one, each phase of
the pixels was seen by some of the taps only (`plane.input_gradient_taps`). One filter a channel.

Nine taps of a long line are more than the first cache holds; so all lines are walked through a stretch at a time.
"""

import numpy as np

from minighost.engine.kernels.deferred import along, chunks_of
from minighost.engine.kernels.plane import fill, input_gradient_taps, interleave, planes_of, tap_offsets
from minighost.engine.kernels.tiles import finish, fold, line_of, multiply_add
from minighost.engine.launch import fetch_add, kernel, share, threads, tile
from minighost.engine.memory import empty
from minighost.engine.moments import add_moments, fold_moments, merge_moments, room_for_moments

__all__ = ["depthwise_backward", "depthwise_forward"]

STRETCH = 512  # numbers of a line; the weights of nine taps for so many take 18 KiB in single precision


def depthwise_forward(deferred, w, g, b=None, summing=True):
    """Forward; its twin is `ops.depthwise_forward` behind a batch norm and a ReLU.

    Parameters
    ----------
    deferred : Deferred, with (N, H, W, C) and no gate
    w : ndarray, shape (KH, KW, C)
    g : Geometry
    b : ndarray, shape (C,), optional
    summing : bool
        Whether the statistics are wanted.

    Returns
    -------
    raw : ndarray, shape (N, OH, OW, C)
    statistics : ndarray, shape (2, C), float64
        Mean and variance of raw, for `finalize_stats`; without channels if they are not wanted.
    """
    x, counters, chunks, planes, lines = _prepare(deferred, g)
    N, _, L = x.shape
    C, OL = w.shape[2], g.OW * w.shape[2]
    out = empty((N, g.OH, g.OW, C), w.dtype)
    partials, statistics = room_for_moments(chunks if summing else 0, C)
    bias = np.zeros(0, w.dtype) if b is None else np.tile(b, g.OW)
    _forward(
        counters,
        chunks,
        x,
        along(deferred.norm, L),
        along(w.reshape(-1, C), OL).reshape(-1),
        bias,
        g,
        C,
        tap_offsets(planes, g, C),
        planes,
        lines,
        empty((len(planes), 3, OL), w.dtype),
        out.reshape(N, g.OH, OL),
        partials,
        statistics,
        n_threads=len(planes),
    )
    return out, statistics


def depthwise_backward(gradient, deferred, w, g, skip_grad=None, overwrite_skip=False):
    """Backward of `depthwise_forward`.

    Parameters
    ----------
    gradient : DeferredGradient
    pending, w, g
        As in the forward.
    skip_grad : ndarray, shape (N, H, W, C), optional
        Gradient that reaches the same activation another way, cut as the ReLU cuts; the result is the sum of both.
    overwrite_skip : bool
        Write the result into `skip_grad`.

    Returns
    -------
    dy : ndarray, shape (N, H, W, C)
        Gradient with respect to the activation, zero where the ReLU cut.
    sums : ndarray, shape (chunks, 2, C), float64
        For `batch_norm_backward`.
    dw : ndarray, shape (KH, KW, C)
    """
    x, counters, chunks, planes, lines = _prepare(deferred, g)
    (N, _, L), C, OL, n_threads, KK = x.shape, w.shape[2], g.OW * w.shape[2], len(planes), g.KH * g.KW
    dx = skip_grad.reshape(x.shape) if overwrite_skip else empty(x.shape, w.dtype)
    skip = dx[:0] if skip_grad is None else skip_grad.reshape(x.shape)
    norm, sums = along(deferred.norm, L), empty((chunks, 2, C), np.float64)
    width, dws = planes.shape[4], empty((chunks, KK, C), np.float64)
    above, before, taps, offsets, bounds = input_gradient_taps(g, width, C)
    _backward(
        counters,
        gradient.dy.reshape(N, g.OH, OL),
        gradient.raw.reshape(N, g.OH, OL),
        along(gradient.coefficients, OL),
        x,
        norm,
        along(w.reshape(-1, C)[taps], width).reshape(-1),
        g,
        C,
        tap_offsets(planes, g, C),
        above,
        before,
        offsets,
        bounds,
        planes,
        empty((n_threads, above + planes.shape[3], before + width), w.dtype),
        lines,
        empty((n_threads, g.SW, width), w.dtype),
        empty((n_threads, 2, norm.shape[1]), w.dtype),
        empty((n_threads, KK * OL), w.dtype),
        skip,
        dx,
        sums,
        dws,
        n_threads=n_threads,
    )
    return dx.reshape(deferred.raw.shape), sums, dws.sum(0).reshape(w.shape).astype(w.dtype)


def _prepare(deferred, g):
    """The input as lines (N, H, W*C); tickets and chunks; for each thread a padded plane and two lines of scratch."""
    N, H, W, C = deferred.raw.shape
    n_threads, dtype = threads().count, deferred.raw.dtype
    return (
        deferred.raw.reshape(N, H, W * C),
        np.zeros(2, np.int64),
        chunks_of(N, deferred.raw.size),
        planes_of(n_threads, H, W, C, g, dtype),
        empty((n_threads, 2, W * C), dtype),
    )


@kernel
def _forward(
    work, counters, chunks, x, norm, w, bias, g, C, tap_offsets, planes, lines, moments, out, partials, statistics
):
    N, L, thread = len(x), out.shape[2], fetch_add(counters)
    plane, line, moment = planes[thread], lines[thread, 0], moments[thread]  # this thread's own
    plane[:] = 0
    for t in share(work, chunks):
        first, last = t * N // chunks, (t + 1) * N // chunks
        moment[:] = 0
        for n in range(first, last):
            fill(x[n], norm, g, C, line, plane)
            result = out[n].reshape(-1)
            _convolve(plane.reshape(-1), 0, g.OH, plane.shape[3], tap_offsets, w, L, g, C, L, result)
            for i in range(g.OH if len(bias) else 0):
                for k in range(len(bias)):
                    out[n, i, k] += bias[k]
            if len(partials):
                add_moments(result, n == first, moment)
        if len(partials):
            fold_moments((last - first) * g.OH * L, moment, partials[t])
            if fetch_add(counters[1:]) == chunks - 1:
                merge_moments(partials, statistics)


@kernel
def _backward(
    work,
    counters,
    dy,
    raw,
    coefficients,
    x,
    norm,
    w,
    g,
    C,
    tap_offsets,
    above,
    before,
    offsets,
    bounds,
    planes,
    dplanes,
    lines,
    phases,
    lanes,
    taps,
    skip,
    dx,
    sums,
    dws,
):
    N, H, L, chunks, thread = len(x), x.shape[1], dy.shape[2], len(dws), fetch_add(counters)
    plane, dplane, row, lane, tap = planes[thread], dplanes[thread], lines[thread], lanes[thread], taps[thread]
    dflat, width = dplane.reshape(-1), dplane.shape[1]
    plane[:] = 0
    dplane[:] = 0
    for t in share(work, chunks):
        lane[:] = 0
        tap[:] = 0
        for n in range(t * N // chunks, (t + 1) * N // chunks):
            fill(x[n], norm, g, C, row[0], plane)
            for i in range(g.OH):
                multiply_add(dy[n, i], raw[n, i], coefficients, dplane[above + i, before : before + L])
            _add_products(
                dflat, above * width + before, width, plane.reshape(-1), plane.shape[3], tap_offsets, g, L, tap
            )
            for h in range(0, H, 2):
                count = min(2, H - h)
                _convolve_back(dflat, h, count, width, offsets, bounds, w, g, C, phases[thread], row)
                for k in range(count):
                    finish(row[k], x[n, h + k], norm, line_of(skip, n, h + k), dx[n, h + k], lane)
        _fold_taps(tap, dws[t])
        fold(lane, sums[t])


@tile
def _convolve_back(d, h, count, width, offsets, bounds, w, g, C, phases, rows):
    """So many lines of the image's gradient from line h on, into `rows`."""
    pitch = phases.shape[1]
    if g.SH == g.SW == 1:
        start = (h + g.PH) * width + g.PW * C
        _convolve(d, start, count, width, offsets, w, pitch, g, C, rows.shape[1], rows.reshape(-1))
        return
    for k in range(count):
        line, first = (h + k + g.PH) // g.SH, (h + k + g.PH) % g.SH * g.SW
        for p in range(g.SW):
            a, b = bounds[first + p], bounds[first + p + 1]
            _convolve(d, line * width, 1, width, offsets[a:b], w[a * pitch : b * pitch], pitch, g, C, pitch, phases[p])
        interleave(phases.reshape(-1), 0, pitch, g, C, rows[k])


@tile
def _convolve(plane, start, count, width, tap_offsets, w, pitch, g, C, L, out):
    """So many output lines, for a 3x3 kernel without stride two at a time; a tap's weights are `pitch` numbers."""
    for s in range(0, L, STRETCH):
        n, i = min(STRETCH, L - s), 0
        if _is_nine(g):
            while i + 2 <= count:
                _two_lines_of_nine(plane, start + i * width + s, width, C, w, pitch, s, n, out, i * L + s, L)
                i += 2
        for k in range(i, count):
            _one_line(plane, start + k * width + s, tap_offsets, w, pitch, s, n, out, k * L + s)


@tile
def _is_nine(g):
    return g.KH == g.KW == 3 and g.SH == g.SW == g.DH == g.DW == 1


# Indices are unsigned here: at a signed one Numba asks each time whether it counts from the end.


@tile
def _two_lines_of_nine(plane, start, width, C, w, pitch, s, n, out, target, L):
    """Two neighbouring lines share weights and pixels."""
    pitch, C, width, p, q = np.uintp(pitch), np.uintp(C), np.uintp(width), np.uintp(target), np.uintp(target + L)
    n = np.uintp(n)
    a0, b0 = np.uintp(start), np.uintp(start) + width
    c0, d0 = b0 + width, b0 + width + width
    a1, b1, c1, d1 = a0 + C, b0 + C, c0 + C, d0 + C
    a2, b2, c2, d2 = a1 + C, b1 + C, c1 + C, d1 + C
    w0 = np.uintp(s)
    w1, w2 = w0 + pitch, w0 + pitch + pitch
    w3, w4, w5 = w2 + pitch, w2 + pitch + pitch, w2 + pitch + pitch + pitch
    w6, w7, w8 = w5 + pitch, w5 + pitch + pitch, w5 + pitch + pitch + pitch
    for k in range(n):
        u = (
            plane[a0 + k] * w[w0 + k]
            + plane[a1 + k] * w[w1 + k]
            + plane[a2 + k] * w[w2 + k]
            + plane[b0 + k] * w[w3 + k]
            + plane[b1 + k] * w[w4 + k]
            + plane[b2 + k] * w[w5 + k]
            + plane[c0 + k] * w[w6 + k]
            + plane[c1 + k] * w[w7 + k]
            + plane[c2 + k] * w[w8 + k]
        )
        v = (
            plane[b0 + k] * w[w0 + k]
            + plane[b1 + k] * w[w1 + k]
            + plane[b2 + k] * w[w2 + k]
            + plane[c0 + k] * w[w3 + k]
            + plane[c1 + k] * w[w4 + k]
            + plane[c2 + k] * w[w5 + k]
            + plane[d0 + k] * w[w6 + k]
            + plane[d1 + k] * w[w7 + k]
            + plane[d2 + k] * w[w8 + k]
        )
        out[p + k], out[q + k] = u, v  # what has been read before a write need not be read again


@tile
def _one_line(plane, start, tap_offsets, w, pitch, s, n, out, target):
    """One output line, three taps at a time."""
    n, pitch, s, o, zero = np.uintp(n), np.uintp(pitch), np.uintp(s), np.uintp(target), out.dtype.type(0)
    for k in range(n):
        out[o + k] = zero
    for tap in range(0, len(tap_offsets) - 2, 3):
        a, b, c = (
            np.uintp(start + tap_offsets[tap]),
            np.uintp(start + tap_offsets[tap + 1]),
            np.uintp(start + tap_offsets[tap + 2]),
        )
        x = np.uintp(tap) * pitch + s
        y, z = x + pitch, x + pitch + pitch
        for k in range(n):
            out[o + k] += plane[a + k] * w[x + k] + plane[b + k] * w[y + k] + plane[c + k] * w[z + k]
    for tap in range(len(tap_offsets) // 3 * 3, len(tap_offsets)):
        a, x = np.uintp(start + tap_offsets[tap]), np.uintp(tap) * pitch + s
        for k in range(n):
            out[o + k] += plane[a + k] * w[x + k]


@tile
def _add_products(d, first, pitch, plane, width, tap_offsets, g, L, taps):
    """Add gradient times pixel under every tap, four output lines at a time; d's lines are `pitch` apart."""
    nine, fours = _is_nine(g), g.OH // 4 * 4
    for s in range(0, L, STRETCH):
        n = min(STRETCH, L - s)
        for i in range(0, fours, 4):
            line, start = first + i * pitch + s, i * width + s
            for tap in range(3 if nine else 0):
                _four_lines_of_three(
                    d, line, pitch, plane, tap_offsets[tap] + start, width, taps, tap * L + s, 3 * L, n
                )
            for tap in range(0 if nine else len(tap_offsets)):
                _four_lines(d, line, pitch, plane, tap_offsets[tap] + start, width, taps, tap * L + s, n)
        for i in range(fours, g.OH):
            for tap in range(len(tap_offsets)):
                _a_line(d, first + i * pitch + s, plane, tap_offsets[tap] + i * width + s, taps, tap * L + s, n)


@tile
def _four_lines_of_three(d, first, pitch, plane, offset, width, taps, tap, column, n):
    """For the three taps of a kernel's column, which see mostly the same lines."""
    n, pitch, width, o0 = np.uintp(n), np.uintp(pitch), np.uintp(width), np.uintp(tap)
    o1, o2 = o0 + np.uintp(column), o0 + np.uintp(column) + np.uintp(column)
    d0, p0 = np.uintp(first), np.uintp(offset)
    d1, d2, d3 = d0 + pitch, d0 + pitch + pitch, d0 + pitch + pitch + pitch
    p1, p2, p3 = p0 + width, p0 + width + width, p0 + width + width + width
    p4, p5 = p3 + width, p3 + width + width
    for k in range(n):
        a, b, c, e = d[d0 + k], d[d1 + k], d[d2 + k], d[d3 + k]
        x1, x2, x3, x4 = plane[p1 + k], plane[p2 + k], plane[p3 + k], plane[p4 + k]
        u = taps[o0 + k] + a * plane[p0 + k] + b * x1 + c * x2 + e * x3
        v = taps[o1 + k] + a * x1 + b * x2 + c * x3 + e * x4
        t = taps[o2 + k] + a * x2 + b * x3 + c * x4 + e * plane[p5 + k]
        taps[o0 + k], taps[o1 + k], taps[o2 + k] = u, v, t


@tile
def _four_lines(d, first, pitch, plane, offset, width, taps, tap, n):
    pitch, width, o, d0, p0 = np.uintp(pitch), np.uintp(width), np.uintp(tap), np.uintp(first), np.uintp(offset)
    n = np.uintp(n)
    d1, d2, d3 = d0 + pitch, d0 + pitch + pitch, d0 + pitch + pitch + pitch
    p1, p2, p3 = p0 + width, p0 + width + width, p0 + width + width + width
    for k in range(n):
        taps[o + k] += (
            d[d0 + k] * plane[p0 + k]
            + d[d1 + k] * plane[p1 + k]
            + d[d2 + k] * plane[p2 + k]
            + d[d3 + k] * plane[p3 + k]
        )


@tile
def _a_line(d, first, plane, offset, taps, tap, n):
    n, o, d0, p0 = np.uintp(n), np.uintp(tap), np.uintp(first), np.uintp(offset)
    for k in range(n):
        taps[o + k] += d[d0 + k] * plane[p0 + k]


@tile
def _fold_taps(taps, dw):
    KK, C = dw.shape
    dw[:] = 0
    for tap in range(KK):
        for first in range(tap * (len(taps) // KK), (tap + 1) * (len(taps) // KK), C):
            for c in range(C):
                dw[tap, c] += taps[first + c]
