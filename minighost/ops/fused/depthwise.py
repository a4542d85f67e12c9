"""Fused depthwise convolution: normalise an image into a padded plane, convolve it, take the batch norm sums.

In the padded plane (`plane`) the pixels under a tap along an output line are one stretch, so a line of the result is
the sum over taps of two stretches' products, one of them the weights, repeated along the line. Backward, one visit to
an image yields `dw`, `dx`, the ReLU's cut and the sums for the batch norm in front. Without a stride, and where input
and output have one size, `dx` is gathered from the gradient's own padded plane with the kernel turned by half a circle;
else it is scattered. One filter a channel.
"""

import numpy as np

from minighost.ops.buffers import empty
from minighost.ops.engine import kernel, share, threads, ticket, tile
from minighost.ops.fused.pending import along, chunks_of
from minighost.ops.fused.plane import collect, fill, planes_of, under
from minighost.ops.fused.sums import added
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
        tickets, chunks, x, along(pending.affine, L), along(w.reshape(-1, C), OL), bias, g, C, planes, lines,
        empty((len(planes), 3, OL), w.dtype), out.reshape(N, g.OH, OL), sums,
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
    scratch = planes, empty(planes.shape, w.dtype), lines
    folded = empty((hands, 2, affine.shape[1]), w.dtype), empty((hands, KK, OL), w.dtype)
    results = add, dx.reshape(N, H, L), sums, dws
    same = (2 * g.PH, 2 * g.PW) == (g.DH * (g.KH - 1), g.DW * (g.KW - 1))
    if g.SH == g.SW == 1 and same:
        turned = along(np.ascontiguousarray(w[::-1, ::-1]).reshape(-1, C), L)
        _backward_gather(tickets, *arguments, turned, g, C, *scratch, *folded, *results)
    else:
        dlines, weights = empty((hands, g.OH, OL), w.dtype), along(w.reshape(-1, C), OL)
        _backward_scatter(tickets, *arguments, weights, g, C, *scratch, dlines, *folded, *results)
    return dx, sums, added(dws).reshape(w.shape).astype(w.dtype)


def _prepare(pending, g):
    """The input as lines (N, H, W*C); tickets and chunks; for each thread a padded plane and two lines of scratch."""
    N, H, W, C = pending.raw.shape
    hands, dtype = threads().count, pending.raw.dtype
    return (
        pending.raw.reshape(N, H, W * C), np.zeros(1, np.int64), chunks_of(N, pending.raw.size),
        planes_of(hands, H, W, C, g, dtype), empty((hands, 2, W * C), dtype),
    )  # fmt: skip


@kernel
def _forward(work, tickets, chunks, x, affine, w, bias, g, C, planes, lines, moments, out, sums):
    N, hand = len(x), ticket(tickets)
    plane, line, moment = planes[hand], lines[hand, 0], moments[hand]  # this thread's own
    plane[:] = 0
    for t in share(work, chunks):
        first, last = t * N // chunks, (t + 1) * N // chunks
        moment[:] = 0
        for n in range(first, last):
            fill(x[n], affine, g, C, line, plane)
            _convolve(plane, w, g, C, out[n])
            for i in range(g.OH if len(bias) else 0):
                for k in range(len(bias)):
                    out[n, i, k] += bias[k]
            if len(sums):
                add_moments(out[n].reshape(-1), n == first, moment)
        if len(sums):
            fold_moments((last - first) * g.OH * len(moment[0]), moment, sums[t])


@kernel
def _backward_gather(
    work, tickets, dy, raw, daffine, x, affine, w, g, C, planes, dplanes, lines, lanes, taps, add, dx, sums, dws
):
    (N, H, L), chunks, hand = x.shape, len(dws), ticket(tickets)
    plane, dplane, row, lane, tap = planes[hand], dplanes[hand], lines[hand], lanes[hand], taps[hand]
    plane[:] = 0
    dplane[:] = 0
    for t in share(work, chunks):
        lane[:] = 0
        tap[:] = 0
        for n in range(t * N // chunks, (t + 1) * N // chunks):
            fill(x[n], affine, g, C, row[0], plane)
            for i in range(H):
                inside = dplane[0, 0, i + g.PH, g.PW * C : g.PW * C + L]
                multiply_add(dy[n, i], raw[n, i], daffine, inside)
            _add_products(dplane[0, 0], g.PH, g.PW * C, plane, g, C, tap)
            for i in range(0, H, 2):
                _two_lines(dplane, i, w, g, C, row)
                for k in range(min(2, H - i)):
                    finish(row[k], x[n, i + k], affine, add, dx[n, i + k], lane)
        _fold_taps(tap, dws[t])
        fold(lane[0], lane[1], sums[t])


@kernel
def _backward_scatter(
    work, tickets, dy, raw, daffine, x, affine, w, g, C, planes, dplanes, lines, dlines, lanes, taps, add, dx, sums, dws
):
    N, H, chunks, hand = len(x), x.shape[1], len(dws), ticket(tickets)
    plane, dplane, row, d, lane, tap = planes[hand], dplanes[hand], lines[hand], dlines[hand], lanes[hand], taps[hand]
    plane[:] = 0
    for t in share(work, chunks):
        lane[:] = 0
        tap[:] = 0
        for n in range(t * N // chunks, (t + 1) * N // chunks):
            fill(x[n], affine, g, C, row[0], plane)
            _multiply_lines(dy[n], raw[n], daffine, d)
            dplane[:] = 0
            _add_products(d, 0, 0, plane, g, C, tap)
            for k in range(len(w)):
                _scatter(d, w[k], k, g, C, dplane)
            for h in range(H):
                collect(dplane, h, g, C, row[0])
                finish(row[0], x[n, h], affine, add, dx[n, h], lane)
        _fold_taps(tap, dws[t])
        fold(lane[0], lane[1], sums[t])


@tile
def _multiply_lines(dy, raw, affine, out):
    for i in range(len(dy)):
        multiply_add(dy[i], raw[i], affine, out[i])


@tile
def _convolve(plane, w, g, C, out):
    if g.SH == g.SW == 1:
        for i in range(0, g.OH, 2):
            _two_lines(plane, i, w, g, C, out[i : i + 2])
    else:
        for i in range(g.OH):
            _one_line(plane, i, w, g, C, out[i])


@tile
def _two_lines(plane, i, w, g, C, out):
    """Output lines i and i+1 without stride; for a 3x3 kernel both at once, for they share lines and weights."""
    L = out.shape[1]
    if g.KH == g.KW == 3 and g.DH == g.DW == 1 and i + 1 < g.OH:
        o0, o1 = out[0], out[1]
        a0, b0, c0, d0 = plane[0, 0, i], plane[0, 0, i + 1], plane[0, 0, i + 2], plane[0, 0, i + 3]
        a1, b1, c1, d1 = a0[C:], b0[C:], c0[C:], d0[C:]
        a2, b2, c2, d2 = a1[C:], b1[C:], c1[C:], d1[C:]
        w0, w1, w2, w3, w4, w5, w6, w7, w8 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8]
        for k in range(L):
            o0[k] = (
                a0[k] * w0[k] + a1[k] * w1[k] + a2[k] * w2[k]
                + b0[k] * w3[k] + b1[k] * w4[k] + b2[k] * w5[k]
                + c0[k] * w6[k] + c1[k] * w7[k] + c2[k] * w8[k]
            )  # fmt: skip
            o1[k] = (
                b0[k] * w0[k] + b1[k] * w1[k] + b2[k] * w2[k]
                + c0[k] * w3[k] + c1[k] * w4[k] + c2[k] * w5[k]
                + d0[k] * w6[k] + d1[k] * w7[k] + d2[k] * w8[k]
            )  # fmt: skip
    else:
        for k in range(min(2, g.OH - i)):
            _one_line(plane, i + k, w, g, C, out[k])


@tile
def _one_line(plane, i, w, g, C, out):
    """One output line, a row of the kernel after the other."""
    L, zero = len(out), out.dtype.type(0)
    for k in range(L):
        out[k] = zero
    for tap in range(len(w)):
        p, weight = under(plane, i, tap, g, C, L), w[tap]
        for k in range(L):
            out[k] += p[k] * weight[k]


@tile
def _add_products(d, top, left, plane, g, C, taps):
    """Add gradient times pixel under every tap, four output lines at a time; d's first number is at (top, left)."""
    L = taps.shape[1]
    right = left + L
    for i in range(0, g.OH - 3, 4):
        d0, d1 = d[top + i, left:right], d[top + i + 1, left:right]
        d2, d3 = d[top + i + 2, left:right], d[top + i + 3, left:right]
        for tap in range(len(taps)):
            p0, p1 = under(plane, i, tap, g, C, L), under(plane, i + 1, tap, g, C, L)
            p2, p3 = under(plane, i + 2, tap, g, C, L), under(plane, i + 3, tap, g, C, L)
            total = taps[tap]
            for k in range(L):
                total[k] += d0[k] * p0[k] + d1[k] * p1[k] + d2[k] * p2[k] + d3[k] * p3[k]
    for i in range(g.OH // 4 * 4, g.OH):
        d0 = d[top + i, left:right]
        for tap in range(len(taps)):
            p0, total = under(plane, i, tap, g, C, L), taps[tap]
            for k in range(L):
                total[k] += d0[k] * p0[k]


@tile
def _scatter(d, weight, tap, g, C, dplane):
    L = len(weight)
    for i in range(g.OH):
        d0, p = d[i], under(dplane, i, tap, g, C, L)
        for k in range(L):
            p[k] += d0[k] * weight[k]


@tile
def _fold_taps(taps, dw):
    C = dw.shape[1]
    dw[:] = 0
    for tap in range(len(taps)):
        for first in range(0, taps.shape[1], C):
            for c in range(C):
                dw[tap, c] += taps[tap, first + c]
