"""Fused depthwise convolution: normalise an image into a padded plane, convolve it, take the batch norm sums.

The plane is the one of `ops.depthwise`: lines of W*C numbers, a border of zeros, for a stride SW its columns dealt out
into SW phases, so that the pixels under a tap are always one unbroken stretch. Zero padding is put around the
*normalised* image, as it must be. Backward, one visit to an image yields `dw`, `dx`, the ReLU's cut and the sums for
the batch norm in front. Without a stride, `dx` is gathered from the gradient's own padded plane with the kernel turned
by half a circle; with one it is scattered.

Kernels are K x K with K odd, padding K//2, dilation 1, one filter a channel: what these networks use.
"""

import numpy as np

from minighost.ops.buffers import empty, zeros
from minighost.ops.engine import kernel, share, tile
from minighost.ops.fused.pending import chunks_of
from minighost.ops.fused.tiles import add_moments, fold, fold_moments, multiply_add, normalise, set_pivot
from minighost.ops.geometry import geometry

__all__ = ["depthwise_backward", "depthwise_forward"]


def depthwise_forward(pending, w, stride=1):
    """Forward; its twin is `ops.depthwise_forward` behind a batch norm and a ReLU.

    Parameters
    ----------
    pending : Pending, with (N, H, W, C) and no gate
    w : ndarray, shape (K, K, C), K odd
    stride : int

    Returns
    -------
    raw : ndarray, shape (N, OH, OW, C)
    sums : ndarray, shape (chunks, 2, C), float64
        Of raw and its square, for `measure`.
    """
    g, x, planes, line = _prepare(pending, w, stride)
    N, H, L = x.shape
    C, chunks = w.shape[2], len(planes)
    out, sums = empty((N, g.OH, g.OW, C), w.dtype), np.zeros((chunks, 2, C))
    moments = zeros((chunks, 3, g.OW * C), w.dtype)
    _forward(
        x, _along(pending.affine, C, L), _along(w.reshape(-1, C), C, g.OW * C), g, C, planes, line, moments,
        out.reshape(N, g.OH, -1), sums,
    )  # fmt: skip
    return out, sums


def depthwise_backward(gradient, pending, w, stride=1, dy=None):
    """Backward of `depthwise_forward`.

    Parameters
    ----------
    gradient : PendingGradient
    pending, w, stride
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
    dw : ndarray, shape (K, K, C)
    """
    g, x, planes, line = _prepare(pending, w, stride)
    N, H, L = x.shape
    (K, _, C), OL, chunks = w.shape, g.OW * w.shape[2], len(planes)
    dx, add = (empty(pending.raw.shape, w.dtype), False) if dy is None else (dy, True)
    sums, dws = np.zeros((chunks, 2, C)), np.zeros((chunks, K * K, C))
    lanes = zeros((chunks, 2, pending.affine.shape[1] * L // C), w.dtype)
    taps = zeros((chunks, K * K, OL), w.dtype)
    arguments = (
        gradient.dy.reshape(N, g.OH, OL), gradient.raw.reshape(N, g.OH, OL), _along(gradient.affine, C, OL),
        x, _along(pending.affine, C, L),
    )  # fmt: skip
    results = add, dx.reshape(N, H, L), lanes, sums, taps, dws
    if stride == 1:
        turned = np.ascontiguousarray(w[::-1, ::-1]).reshape(-1, C)
        _backward_gather(*arguments, _along(turned, C, L), g, C, planes, empty(planes.shape, w.dtype), line, *results)
    else:
        dlines = empty((chunks, g.OH, 1, OL), w.dtype)
        weights = _along(w.reshape(-1, C), C, OL)
        _backward_scatter(*arguments, weights, g, C, planes, empty(planes.shape, w.dtype), line, dlines, *results)
    return dx, sums, dws.sum(0).reshape(w.shape).astype(w.dtype)


def _prepare(pending, w, stride):
    """The geometry, the input as lines (N, H, W*C), and per chunk a padded plane and two lines of scratch."""
    (N, H, W, C), K = pending.raw.shape, len(w)
    g = geometry("depthwise", (H, W), (K, K), stride, K // 2)
    chunks, columns = chunks_of(N, pending.raw.size), -(-(W + 2 * g.PW) // g.SW)
    planes = empty((chunks, H + 2 * g.PH, g.SW, columns * C), w.dtype)
    return g, pending.raw.reshape(N, H, W * C), planes, empty((chunks, 2, W * C), w.dtype)


def _along(rows, C, L):
    """Per-channel rows (..., C) repeated along a line of L numbers."""
    return np.tile(rows, (1, L // C)) if rows.shape[1] else rows


@kernel
def _forward(work, x, affine, w, g, C, planes, lines, moments, out, sums):
    N, chunks = len(x), len(planes)
    for t in share(work, chunks):
        first, last = t * N // chunks, (t + 1) * N // chunks
        plane, pivot, total, squares = planes[t], moments[t, 0], moments[t, 1], moments[t, 2]
        plane[:] = 0
        for n in range(first, last):
            _fill(x[n], affine, g, C, lines[t, 0], plane)
            _convolve(plane, w, g, C, out[n])
            if n == first:
                set_pivot(out[n, 0], pivot)
            add_moments(out[n].reshape(-1), pivot, total, squares)
        fold_moments((last - first) * g.OH * len(pivot), pivot, total, squares, sums[t])


@kernel
def _backward_gather(
    work, dy, raw, daffine, x, affine, w, g, C, planes, dplanes, lines, add, dx, lanes, sums, taps, dws
):
    (N, H, L), chunks = x.shape, len(planes)
    for t in share(work, chunks):
        plane, dplane, row = planes[t], dplanes[t], lines[t]
        plane[:] = 0
        dplane[:] = 0
        for n in range(t * N // chunks, (t + 1) * N // chunks):
            _fill(x[n], affine, g, C, row[0], plane)
            for i in range(H):
                inside = dplane[i + g.PH, 0, g.PW * C : g.PW * C + L]
                multiply_add(dy[n, i], raw[n, i], daffine[0], daffine[1], daffine[2], inside)
            for tap in range(len(w)):
                _add_products(dplane, g.PH, g.PW * C, plane, tap, g, C, taps[t, tap])
            for i in range(0, H, 2):
                _two_lines(dplane, i, w, g, C, row)
                for k in range(min(2, H - i)):
                    y = plane[i + k + g.PH, 0, g.PW * C : g.PW * C + L]
                    _finish(row[k], y, x[n, i + k], affine, add, dx[n, i + k], lanes[t])
        _fold_taps(taps[t], dws[t])
        fold(lanes[t, 0], lanes[t, 1], sums[t])


@kernel
def _backward_scatter(
    work, dy, raw, daffine, x, affine, w, g, C, planes, dplanes, lines, dlines, add, dx, lanes, sums, taps, dws
):
    N, H, chunks = len(x), x.shape[1], len(planes)
    for t in share(work, chunks):
        plane, dplane, d, row = planes[t], dplanes[t], dlines[t], lines[t]
        plane[:] = 0
        for n in range(t * N // chunks, (t + 1) * N // chunks):
            _fill(x[n], affine, g, C, row[0], plane)
            _multiply_lines(dy[n], raw[n], daffine, d)
            dplane[:] = 0
            for tap in range(len(w)):
                _add_products(d, 0, 0, plane, tap, g, C, taps[t, tap])
                _scatter(d, w[tap], tap, g, C, dplane)
            for h in range(H):
                _collect(dplane, h, g, C, row[0])
                _collect(plane, h, g, C, row[1])
                _finish(row[0], row[1], x[n, h], affine, add, dx[n, h], lanes[t])
        _fold_taps(taps[t], dws[t])
        fold(lanes[t, 0], lanes[t, 1], sums[t])


@tile
def _multiply_lines(dy, raw, affine, out):
    for i in range(len(dy)):
        multiply_add(dy[i], raw[i], affine[0], affine[1], affine[2], out[i, 0])


@tile
def _fill(x, affine, g, C, line, plane):
    """Normalise an image into the inside of its plane."""
    H, L = x.shape
    for h in range(H):
        source = x[h]
        if affine.shape[1]:
            target = plane[h + g.PH, 0, g.PW * C : g.PW * C + L] if g.SW == 1 else line
            normalise(source, affine[0], affine[1], affine[3, 0], target)
            source = target
        if g.SW > 1 or affine.shape[1] == 0:
            for w in range(L // C):
                cell, pixel = _cell(plane, h, w, g, C), source[w * C : (w + 1) * C]
                for c in range(C):
                    cell[c] = pixel[c]


@tile
def _collect(plane, h, g, C, line):
    """Line h of the inside of a plane, put together from its phases."""
    for w in range(len(line) // C):
        cell, pixel = _cell(plane, h, w, g, C), line[w * C : (w + 1) * C]
        for c in range(C):
            pixel[c] = cell[c]


@tile
def _cell(plane, h, w, g, C):
    """Where pixel (h, w) of the image lies in the plane."""
    k = w + g.PW
    return plane[h + g.PH, k % g.SW, k // g.SW * C : (k // g.SW + 1) * C]


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
    if g.KH == 3 and i + 1 < g.OH:
        o0, o1 = out[0], out[1]
        a0, b0, c0, d0 = plane[i, 0], plane[i + 1, 0], plane[i + 2, 0], plane[i + 3, 0]
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
    L = len(out)
    out[:] = 0
    for tap in range(len(w)):
        p, weight = _under(plane, i, tap, g, C, L), w[tap]
        for k in range(L):
            out[k] += p[k] * weight[k]


@tile
def _under(plane, i, tap, g, C, L):
    """The L numbers of the plane that lie under a tap along output line i."""
    u, v = tap // g.KW, tap % g.KW
    start = v // g.SW * C
    return plane[i * g.SH + u, v % g.SW, start : start + L]


@tile
def _add_products(d, top, left, plane, tap, g, C, total):
    """Add gradient times pixel under a tap over all output lines, four at a time; d's first one is at (top, left)."""
    L = len(total)
    right = left + L
    for i in range(0, g.OH - 3, 4):
        d0, d1 = d[top + i, 0, left:right], d[top + i + 1, 0, left:right]
        d2, d3 = d[top + i + 2, 0, left:right], d[top + i + 3, 0, left:right]
        p0, p1 = _under(plane, i, tap, g, C, L), _under(plane, i + 1, tap, g, C, L)
        p2, p3 = _under(plane, i + 2, tap, g, C, L), _under(plane, i + 3, tap, g, C, L)
        for k in range(L):
            total[k] += d0[k] * p0[k] + d1[k] * p1[k] + d2[k] * p2[k] + d3[k] * p3[k]
    for i in range(g.OH // 4 * 4, g.OH):
        d0, p0 = d[top + i, 0, left:right], _under(plane, i, tap, g, C, L)
        for k in range(L):
            total[k] += d0[k] * p0[k]


@tile
def _scatter(d, weight, tap, g, C, dplane):
    L = len(weight)
    for i in range(g.OH):
        d0, p = d[i, 0], _under(dplane, i, tap, g, C, L)
        for k in range(L):
            p[k] += d0[k] * weight[k]


@tile
def _finish(d, y, x, affine, add, dx, lanes):
    """Cut the gradient of a line where the ReLU cut, add it to what is there, and take the sums of the result."""
    zero = d.dtype.type(0)
    if not add:
        dx[:] = zero
    if affine.shape[1] == 0:
        for k in range(len(d)):
            dx[k] += d[k]
        return
    mean, floor, total, moment = affine[2], affine[3, 0], lanes[0], lanes[1]
    for k in range(len(d)):
        v = dx[k] + (zero if y[k] <= floor else d[k])
        dx[k] = v
        total[k] += v
        moment[k] += v * (x[k] - mean[k])


@tile
def _fold_taps(taps, dw):
    C = dw.shape[1]
    for tap in range(len(taps)):
        for first in range(0, taps.shape[1], C):
            for c in range(C):
                dw[tap, c] += taps[tap, first + c]
