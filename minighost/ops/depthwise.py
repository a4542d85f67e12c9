"""Depthwise convolution: every channel has filters of its own and meets no other channel.

    out[n, i, j, c*M + m] = b[c*M + m] + sum_{u,v} x[n, i*SH - PH + u*DH, j*SW - PW + v*DW, c] * w[u, v, c, m]

(Howard et al. 2017, "MobileNets", eq. 3; M is the channel multiplier.) It does few multiplications per byte, so
the compiled twin is about memory: an image is copied once into a zero-padded scratch plane, where a tap of the kernel
is a plain product of two contiguous rows of OW*C*M numbers - however few the channels, and with no borders to test.
For a stride SW the padded columns are dealt out into SW phases, so that the row stays contiguous.
"""

import numpy as np

from minighost.ops import check
from minighost.ops.buffers import empty
from minighost.ops.engine import kernel, share, tile
from minighost.ops.geometry import geometry

CHUNKS = 32  # of images; a chunk has a scratch plane and partial sums of its own, whatever the number of threads

__all__ = ["depthwise_backward", "depthwise_backward_reference", "depthwise_forward", "depthwise_forward_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def depthwise_forward_reference(x, w, b=None, stride=1, padding=0, dilation=1):
    """`depthwise_forward` in plain NumPy: one multiplication per tap."""
    g = geometry("depthwise", x.shape[1:3], w.shape[:2], stride, padding, dilation)
    (N, _, _, C), M = x.shape, w.shape[3]
    padded = np.pad(x, [(0, 0), (g.PH, g.PH), (g.PW, g.PW), (0, 0)])
    out = np.zeros((N, g.OH, g.OW, C, M), x.dtype)
    for u in range(g.KH):
        for v in range(g.KW):
            out += _seen(padded, u, v, g)[..., None] * w[u, v]  # (N, OH, OW, C, 1) * (C, M)
    out = out.reshape(N, g.OH, g.OW, C * M)
    return (out if b is None else out + b), (x, w, b, g)


def depthwise_backward_reference(dout, cache):
    """`depthwise_backward` in plain NumPy: the same slices, read for `dw`, added to for `dx`."""
    x, w, b, g = cache
    N, H, W, C = x.shape
    dy = dout.reshape(N, g.OH, g.OW, C, -1)
    padded = np.pad(x, [(0, 0), (g.PH, g.PH), (g.PW, g.PW), (0, 0)])
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    for u in range(g.KH):
        for v in range(g.KW):
            dw[u, v] = np.einsum("nijc,nijcm->cm", _seen(padded, u, v, g), dy)
            _seen(dpadded, u, v, g)[...] += np.einsum("nijcm,cm->nijc", dy, w[u, v])
    dx = dpadded[:, g.PH : g.PH + H, g.PW : g.PW + W]
    return dx, dw, None if b is None else dout.sum((0, 1, 2))


def _seen(padded, u, v, g):
    """The pixels (N, OH, OW, C) that lie under tap (u, v) at all output positions, as a view."""
    return padded[:, u * g.DH :, v * g.DW :][:, : g.OH * g.SH : g.SH, : g.OW * g.SW : g.SW]


# The same, compiled --------------------------------------------------------------------------------------------


def depthwise_forward(x, w, b=None, stride=1, padding=0, dilation=1):
    """Depthwise convolution with a channel multiplier.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
        May be a channel slice ``whole[..., :C]``; it is read in place.
    w : ndarray, shape (KH, KW, C, M)
    b : ndarray, shape (C*M,), optional
    stride, padding, dilation : int or (int, int)

    Returns
    -------
    out : ndarray, shape (N, OH, OW, C*M)
        Channel ``c*M + m`` comes from input channel c (PyTorch's order for ``groups=C``).
    cache : tuple
        For `depthwise_backward`.

    Raises
    ------
    TypeError, ValueError
        If dtypes or shapes do not fit, or the kernel is larger than the padded input.

    Examples
    --------
    >>> x, w = np.ones((1, 3, 3, 1)), np.ones((3, 3, 1, 1))
    >>> depthwise_forward(x, w)[0].item()
    9.0
    """
    x, w = check.channels("depthwise", "x", x), check.array("depthwise", "w", w, 4)
    check.same_dtype("depthwise", x=x, w=w, b=b)
    (N, H, W, C), M = x.shape, w.shape[3]
    if w.shape[2] != C:
        raise ValueError(
            f"depthwise: x has {C} channels but w has shape {w.shape} (KH, KW, C, M), so it takes {w.shape[2]}"
        )
    if b is not None:
        check.shape_is("depthwise", "b", b, (C * M,))
    g = geometry("depthwise", (H, W), w.shape[:2], stride, padding, dilation)
    out = empty((N, g.OH, g.OW, C * M), x.dtype)
    if out.size:
        bias = np.zeros(C * M, x.dtype) if b is None else check.array("depthwise", "b", b, 1)
        cells, planes = _scratch(x.shape, M, g, x.dtype)
        rows = out.reshape(N, g.OH, -1)
        _forward(_wide(x), C, M, _along_rows(w, g), np.tile(bias, g.OW), g, cells, planes, rows)
    return out, (x, w, b, g)


def depthwise_backward(dout, cache):
    """Gradients of `depthwise_forward`.

    Parameters
    ----------
    dout : ndarray, shape (N, OH, OW, C*M)
    cache : tuple

    Returns
    -------
    dx, dw, db : ndarray
        Shapes of x, w and b; ``db`` is None where there was no bias.
    """
    x, w, b, g = cache
    (N, _, _, C), M = x.shape, w.shape[3]
    dout = check.array("depthwise backward", "dout", dout, 4)
    check.shape_is("depthwise backward", "dout", dout, (N, g.OH, g.OW, C * M))
    dws = np.zeros((min(N, CHUNKS), g.KH * g.KW, C * M))  # one partial sum per chunk of images
    dx = empty(x.shape, x.dtype)
    if dout.size:
        (cells, planes), drows = _scratch(x.shape, M, g, x.dtype), dout.reshape(N, g.OH, -1)
        sums = empty((len(dws), g.KH * g.KW, drows.shape[2]), x.dtype)
        _backward_weights(drows, _wide(x), C, M, g, cells, planes, sums, dws)
        turned = (g.DH * (g.KH - 1) - g.PH, g.DW * (g.KW - 1) - g.PW)
        if M == g.SH == g.SW == 1 and min(turned) >= 0:
            # Without stride the gradient is itself a depthwise convolution, with the kernel turned by half a circle.
            dx, _ = depthwise_forward(dout, np.ascontiguousarray(w[::-1, ::-1]), None, 1, turned, (g.DH, g.DW))
        else:
            _backward_pixels(drows, M, _along_rows(w, g), g, cells, planes, dx)
    dw = dws.sum(0).reshape(w.shape).astype(w.dtype)
    db = None if b is None else dout.sum((0, 1, 2), dtype=np.float64).astype(x.dtype)
    return dx, dw, db


def _wide(x):
    """(N, H, W, C) as (N, H, W, P), P >= C: the whole array behind a channel slice."""
    return check.rows(x).reshape(*x.shape[:3], -1)


def _along_rows(w, g):
    """(KH, KW, C, M) -> (KH*KW, OW*C*M): each tap's weights repeated along an output row."""
    return np.tile(w.reshape(g.KH * g.KW, 1, -1), (1, g.OW, 1)).reshape(g.KH * g.KW, -1)


def _scratch(x_shape, M, g, dtype):
    """One padded plane per chunk of images, as cells (chunks, H+2PH, SW, columns per phase, C*M) and as whole lines."""
    N, H, W, C = x_shape
    columns = -(-(W + 2 * g.PW) // g.SW)
    cells = empty((min(N, CHUNKS), H + 2 * g.PH, g.SW, columns, C * M), dtype)
    return cells, cells.reshape(*cells.shape[:3], -1)


@kernel
def _forward(work, x, C, M, w, b, g, cells, planes, out):
    N, OH, _ = out.shape
    chunks = len(planes)
    for t in share(work, chunks):
        plane = planes[t]
        plane[:] = 0
        for n in range(t * N // chunks, (t + 1) * N // chunks):
            _pad(x[n], C, M, g, cells[t])
            for i in range(OH):
                _gather_row(plane, i, C * M, w, b, g, out[n, i])


@tile
def _gather_row(plane, i, CM, w, b, g, out):
    """One output row: its bias, then every tap's product with the pixels under it - three taps at a time."""
    L, taps = len(out), len(w)
    for k in range(L):
        out[k] = b[k]
    for tap in range(0, taps - 2, 3):
        p0, p1 = _under(plane, i, tap, CM, L, g), _under(plane, i, tap + 1, CM, L, g)
        p2 = _under(plane, i, tap + 2, CM, L, g)
        w0, w1, w2 = w[tap], w[tap + 1], w[tap + 2]
        for k in range(L):
            out[k] += p0[k] * w0[k] + p1[k] * w1[k] + p2[k] * w2[k]
    for tap in range(taps // 3 * 3, taps):
        p0, w0 = _under(plane, i, tap, CM, L, g), w[tap]
        for k in range(L):
            out[k] += p0[k] * w0[k]


@tile
def _under(plane, i, tap, CM, L, g):
    """The L numbers of the plane that lie under a tap along output row i: a contiguous piece of one line."""
    u, shift = tap // g.KW, tap % g.KW * g.DW
    start = shift // g.SW * CM
    return plane[i * g.SH + u * g.DH, shift % g.SW, start : start + L]


@kernel
def _backward_weights(work, dout, x, C, M, g, cells, planes, sums, dws):
    N, OH, L = dout.shape
    chunks, taps, CM = dws.shape
    for t in share(work, chunks):
        plane, row, dw = planes[t], sums[t], dws[t]
        plane[:] = 0
        row[:] = 0
        for n in range(t * N // chunks, (t + 1) * N // chunks):
            _pad(x[n], C, M, g, cells[t])
            for tap in range(taps):
                _multiply_rows(dout[n], plane, tap, CM, g, row[tap])
        for tap in range(taps):
            for first in range(0, L, CM):
                for k in range(CM):
                    dw[tap, k] += row[tap, first + k]


@tile
def _multiply_rows(dout, plane, tap, CM, g, row):
    """Add up all output rows' products of gradient and pixels under a tap, four rows at a time."""
    OH, L = dout.shape
    for i in range(0, OH - 3, 4):
        d0, d1, d2, d3 = dout[i], dout[i + 1], dout[i + 2], dout[i + 3]
        p0, p1 = _under(plane, i, tap, CM, L, g), _under(plane, i + 1, tap, CM, L, g)
        p2, p3 = _under(plane, i + 2, tap, CM, L, g), _under(plane, i + 3, tap, CM, L, g)
        for k in range(L):
            row[k] += d0[k] * p0[k] + d1[k] * p1[k] + d2[k] * p2[k] + d3[k] * p3[k]
    for i in range(OH // 4 * 4, OH):
        d0, p0 = dout[i], _under(plane, i, tap, CM, L, g)
        for k in range(L):
            row[k] += d0[k] * p0[k]


@kernel
def _backward_pixels(work, dout, M, w, g, cells, planes, dx):
    N, OH, L = dout.shape
    chunks, taps, CM = len(planes), len(w), cells.shape[4]
    for t in share(work, chunks):
        plane = planes[t]
        for n in range(t * N // chunks, (t + 1) * N // chunks):
            plane[:] = 0
            for i in range(OH):
                for tap in range(taps):
                    d0, w0, p0 = dout[n, i], w[tap], _under(plane, i, tap, CM, L, g)
                    for k in range(L):
                        p0[k] += d0[k] * w0[k]
            _unpad(cells[t], M, g, dx[n])


@tile
def _pad(x, C, M, g, cells):
    """Copy an image into the inside of its padded plane, every channel M times over."""
    H, W, _ = x.shape
    for h in range(H):
        for w in range(W):
            cell = cells[h + g.PH, (w + g.PW) % g.SW, (w + g.PW) // g.SW]
            for m in range(M):
                for c in range(C):
                    cell[c * M + m] = x[h, w, c]


@tile
def _unpad(cells, M, g, dx):
    """The adjoint of `_pad`: sum the M copies and drop the border."""
    H, W, C = dx.shape
    for h in range(H):
        for w in range(W):
            cell = cells[h + g.PH, (w + g.PW) % g.SW, (w + g.PW) // g.SW]
            dx[h, w] = 0
            for m in range(M):
                for c in range(C):
                    dx[h, w, c] += cell[c * M + m]
