"""Fused depthwise convolution: normalise an image into a padded plane, convolve it, take the batch norm sums.

In the padded plane (`plane`) the pixels under a tap along an output line are one stretch, so a line of the result is
the sum over taps of two stretches' products, one of them the weights, repeated along the line. Tiles get flat arrays
and the places where stretches begin: a slice for each would take as long as a short line. Backward, one visit to
an image yields `dw`, `dx`, the ReLU's cut and the sums for the batch norm in front. Without a stride, and where input
and output have one size, `dx` is gathered from the gradient's own padded plane with the kernel turned by half a circle;
else it is scattered. One filter a channel.
"""

import numpy as np

from minighost.ops.buffers import empty
from minighost.ops.engine import kernel, share, threads, ticket, tile
from minighost.ops.fused.pending import along, chunks_of
from minighost.ops.fused.plane import collect, fill, places, planes_of
from minighost.ops.fused.tiles import add_moments, finish, fold, fold_moments, multiply_add

__all__ = ["depthwise_backward", "depthwise_forward"]


def depthwise_forward(pending, w, g, b=None, summing=True):
    """Forward; its twin is `ops.depthwise_forward` behind a batch norm and a ReLU.

    Parameters
    ----------
    pending : Pending, with (N, H, W, C) and no gate
    w : ndarray, shape (KH, KW, C)
    g : Geometry
    b : ndarray, shape (C,), optional
    summing : bool
        Whether the sums are wanted.

    Returns
    -------
    raw : ndarray, shape (N, OH, OW, C)
    sums : ndarray, shape (chunks, 2, C), float64
        Of raw and its square, for `measure`; without chunks if they are not wanted.
    """
    x, tickets, chunks, planes, lines = _prepare(pending, g)
    N, _, L = x.shape
    C, OL = w.shape[2], g.OW * w.shape[2]
    out, sums = empty((N, g.OH, g.OW, C), w.dtype), empty((chunks if summing else 0, 2, C), np.float64)
    bias = np.zeros(0, w.dtype) if b is None else np.tile(b, g.OW)
    _forward(
        tickets, chunks, x, along(pending.affine, L), along(w.reshape(-1, C), OL).reshape(-1), bias, g, C,
        places(planes, g, C), planes, lines, empty((len(planes), 3, OL), w.dtype), out.reshape(N, g.OH, OL), sums,
    )  # fmt: skip
    return out, sums


def depthwise_backward(gradient, pending, w, g, dy=None):
    """Backward of `depthwise_forward`.

    Parameters
    ----------
    gradient : PendingGradient
    pending, w, g
        As in the forward.
    dy : ndarray, shape (N, H, W, C), optional
        Gradient that reaches the same activation on another way, already cut by the ReLU; the result is added to it
        in place.

    Returns
    -------
    dy : ndarray, shape (N, H, W, C)
        Gradient with respect to the activation, zero where the ReLU cut.
    sums : ndarray, shape (chunks, 2, C), float64
        For `pass_back`.
    dw : ndarray, shape (KH, KW, C)
    """
    x, tickets, chunks, planes, lines = _prepare(pending, g)
    (N, H, L), C, OL, hands, KK = x.shape, w.shape[2], g.OW * w.shape[2], len(planes), g.KH * g.KW
    dx, add = (empty(pending.raw.shape, w.dtype), False) if dy is None else (dy, True)
    affine, sums = along(pending.affine, L), empty((chunks, 2, C), np.float64)
    dws = empty((chunks, KK, C), np.float64)
    arguments = (
        gradient.dy.reshape(N, g.OH, OL), gradient.raw.reshape(N, g.OH, OL), along(gradient.affine, OL), x, affine,
    )  # fmt: skip
    scratch = places(planes, g, C), planes, empty(planes.shape, w.dtype), lines
    folded = empty((hands, 2, affine.shape[1]), w.dtype), empty((hands, KK * OL), w.dtype)
    results = add, dx.reshape(N, H, L), sums, dws
    same = (2 * g.PH, 2 * g.PW) == (g.DH * (g.KH - 1), g.DW * (g.KW - 1))
    if g.SH == g.SW == 1 and same:
        turned = along(np.ascontiguousarray(w[::-1, ::-1]).reshape(-1, C), L).reshape(-1)
        _backward_gather(tickets, *arguments, turned, g, C, *scratch, *folded, *results)
    else:
        dlines, weights = empty((hands, g.OH, OL), w.dtype), along(w.reshape(-1, C), OL).reshape(-1)
        _backward_scatter(tickets, *arguments, weights, g, C, *scratch, dlines, *folded, *results)
    return dx, sums, dws.sum(0).reshape(w.shape).astype(w.dtype)


def _prepare(pending, g):
    """The input as lines (N, H, W*C); tickets and chunks; for each thread a padded plane and two lines of scratch."""
    N, H, W, C = pending.raw.shape
    hands, dtype = threads().count, pending.raw.dtype
    return (
        pending.raw.reshape(N, H, W * C), np.zeros(1, np.int64), chunks_of(N, pending.raw.size),
        planes_of(hands, H, W, C, g, dtype), empty((hands, 2, W * C), dtype),
    )  # fmt: skip


@kernel
def _forward(work, tickets, chunks, x, affine, w, bias, g, C, places, planes, lines, moments, out, sums):
    N, L, hand = len(x), out.shape[2], ticket(tickets)
    plane, line, moment = planes[hand], lines[hand, 0], moments[hand]  # this thread's own
    plane[:] = 0
    for t in share(work, chunks):
        first, last = t * N // chunks, (t + 1) * N // chunks
        moment[:] = 0
        for n in range(first, last):
            fill(x[n], affine, g, C, line, plane)
            result = out[n].reshape(-1)
            _convolve(plane.reshape(-1), 0, g.OH, plane.shape[3], places, w, g, C, L, result)
            for i in range(g.OH if len(bias) else 0):
                for k in range(len(bias)):
                    out[n, i, k] += bias[k]
            if len(sums):
                add_moments(result, n == first, moment)
        if len(sums):
            fold_moments((last - first) * g.OH * L, moment, sums[t])


@kernel
def _backward_gather(
    work, tickets, dy, raw, daffine, x, affine, w, g, C, places, planes, dplanes, lines, lanes, taps, add, dx, sums, dws
):
    (N, H, L), chunks, hand = x.shape, len(dws), ticket(tickets)
    plane, dplane, row, lane, tap = planes[hand], dplanes[hand], lines[hand], lanes[hand], taps[hand]
    flat, dflat, width, inside = plane.reshape(-1), dplane.reshape(-1), plane.shape[3], g.PW * C
    plane[:] = 0
    dplane[:] = 0
    for t in share(work, chunks):
        lane[:] = 0
        tap[:] = 0
        for n in range(t * N // chunks, (t + 1) * N // chunks):
            fill(x[n], affine, g, C, row[0], plane)
            for i in range(H):
                multiply_add(dy[n, i], raw[n, i], daffine, dplane[0, 0, i + g.PH, inside : inside + L])
            _add_products(dflat, g.PH * width + inside, width, flat, width, places, g.OH, L, tap)
            for i in range(0, H, 2):
                count = min(2, H - i)
                _convolve(dflat, i, count, width, places, w, g, C, L, row.reshape(-1))
                for k in range(count):
                    finish(row[k], x[n, i + k], affine, add, dx[n, i + k], lane)
        _fold_taps(tap, dws[t])
        fold(lane[0], lane[1], sums[t])


@kernel
def _backward_scatter(
    work, tickets, dy, raw, daffine, x, affine, w, g, C, places, planes, dplanes, lines, dlines, lanes, taps, add, dx,
    sums, dws,
):  # fmt: skip
    N, H, L, chunks, hand = len(x), x.shape[1], dy.shape[2], len(dws), ticket(tickets)
    plane, dplane, row, d, lane, tap = planes[hand], dplanes[hand], lines[hand], dlines[hand], lanes[hand], taps[hand]
    flat, dflat, width = plane.reshape(-1), dplane.reshape(-1), plane.shape[3]
    plane[:] = 0
    for t in share(work, chunks):
        lane[:] = 0
        tap[:] = 0
        for n in range(t * N // chunks, (t + 1) * N // chunks):
            fill(x[n], affine, g, C, row[0], plane)
            for i in range(g.OH):
                multiply_add(dy[n, i], raw[n, i], daffine, d[i])
            _add_products(d.reshape(-1), 0, L, flat, width, places, g.OH, L, tap)
            dplane[:] = 0
            _scatter(d.reshape(-1), w, places, width, g.OH, L, dflat)
            for h in range(H):
                collect(dplane, h, g, C, row[0])
                finish(row[0], x[n, h], affine, add, dx[n, h], lane)
        _fold_taps(tap, dws[t])
        fold(lane[0], lane[1], sums[t])


# Indices are unsigned here: at a signed one Numba asks each time whether it counts from the end.


@tile
def _convolve(plane, first, count, width, places, w, g, C, L, out):
    """So many output lines from the first on, without stride and for a 3x3 kernel two at a time."""
    i = 0
    if g.KH == g.KW == 3 and g.SH == g.SW == g.DH == g.DW == 1:
        while i + 2 <= count:
            _two_lines_of_nine(plane, (first + i) * width, width, C, w, L, out, i * L)
            i += 2
    for k in range(i, count):
        _one_line(plane, (first + k) * width, places, w, L, out, k * L)


@tile
def _two_lines_of_nine(plane, start, width, C, w, L, out, target):
    """Two neighbouring lines share weights and pixels."""
    L, C, width, p, q = np.uintp(L), np.uintp(C), np.uintp(width), np.uintp(target), np.uintp(target + L)
    a0, b0 = np.uintp(start), np.uintp(start) + width
    c0, d0 = b0 + width, b0 + width + width
    a1, b1, c1, d1 = a0 + C, b0 + C, c0 + C, d0 + C
    a2, b2, c2, d2 = a1 + C, b1 + C, c1 + C, d1 + C
    w2, w3, w4 = L + L, L + L + L, np.uintp(4) * L
    w5, w6, w7, w8 = w4 + L, w4 + w2, w4 + w3, w4 + w4
    for k in range(L):
        out[p + k] = (
            plane[a0 + k] * w[k] + plane[a1 + k] * w[L + k] + plane[a2 + k] * w[w2 + k]
            + plane[b0 + k] * w[w3 + k] + plane[b1 + k] * w[w4 + k] + plane[b2 + k] * w[w5 + k]
            + plane[c0 + k] * w[w6 + k] + plane[c1 + k] * w[w7 + k] + plane[c2 + k] * w[w8 + k]
        )  # fmt: skip
        out[q + k] = (
            plane[b0 + k] * w[k] + plane[b1 + k] * w[L + k] + plane[b2 + k] * w[w2 + k]
            + plane[c0 + k] * w[w3 + k] + plane[c1 + k] * w[w4 + k] + plane[c2 + k] * w[w5 + k]
            + plane[d0 + k] * w[w6 + k] + plane[d1 + k] * w[w7 + k] + plane[d2 + k] * w[w8 + k]
        )  # fmt: skip


@tile
def _one_line(plane, start, places, w, L, out, target):
    """One output line, three taps at a time."""
    L, o, zero = np.uintp(L), np.uintp(target), out.dtype.type(0)
    for k in range(L):
        out[o + k] = zero
    for tap in range(0, len(places) - 2, 3):
        a, b, c = np.uintp(start + places[tap]), np.uintp(start + places[tap + 1]), np.uintp(start + places[tap + 2])
        x = np.uintp(tap) * L
        y, z = x + L, x + L + L
        for k in range(L):
            out[o + k] += plane[a + k] * w[x + k] + plane[b + k] * w[y + k] + plane[c + k] * w[z + k]
    for tap in range(len(places) // 3 * 3, len(places)):
        a, x = np.uintp(start + places[tap]), np.uintp(tap) * L
        for k in range(L):
            out[o + k] += plane[a + k] * w[x + k]


@tile
def _add_products(d, first, pitch, plane, width, places, lines, L, taps):
    """Add gradient times pixel under every tap, four output lines at a time; d's lines are `pitch` apart."""
    L, two, three = np.uintp(L), np.uintp(2), np.uintp(3)
    pitch, width = np.uintp(pitch), np.uintp(width)
    for i in range(0, lines - 3, 4):
        d0 = np.uintp(first) + np.uintp(i) * pitch
        d1, d2, d3 = d0 + pitch, d0 + two * pitch, d0 + three * pitch
        for tap in range(len(places)):
            p0, o = np.uintp(places[tap]) + np.uintp(i) * width, np.uintp(tap) * L
            p1, p2, p3 = p0 + width, p0 + two * width, p0 + three * width
            for k in range(L):
                taps[o + k] += (
                    d[d0 + k] * plane[p0 + k] + d[d1 + k] * plane[p1 + k]
                    + d[d2 + k] * plane[p2 + k] + d[d3 + k] * plane[p3 + k]
                )  # fmt: skip
    for i in range(lines // 4 * 4, lines):
        d0 = np.uintp(first) + np.uintp(i) * pitch
        for tap in range(len(places)):
            p0, o = np.uintp(places[tap]) + np.uintp(i) * width, np.uintp(tap) * L
            for k in range(L):
                taps[o + k] += d[d0 + k] * plane[p0 + k]


@tile
def _scatter(d, w, places, width, lines, L, dplane):
    """Add every gradient times every weight to the pixel under its tap."""
    L, width = np.uintp(L), np.uintp(width)
    for i in range(lines):
        a = np.uintp(i) * L
        for tap in range(len(places)):
            x, p = np.uintp(tap) * L, np.uintp(places[tap]) + np.uintp(i) * width
            for k in range(L):
                dplane[p + k] += d[a + k] * w[x + k]


@tile
def _fold_taps(taps, dw):
    KK, C = dw.shape
    dw[:] = 0
    for tap in range(KK):
        for first in range(tap * (len(taps) // KK), (tap + 1) * (len(taps) // KK), C):
            for c in range(C):
                dw[tap, c] += taps[first + c]
