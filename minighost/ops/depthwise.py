"""Depthwise convolution: every channel has filters of its own and meets no other channel.

    out[n, i, j, c*M + m] = b[c*M + m] + sum_{u,v} x[n, i*SH - PH + u*DH, j*SW - PW + v*DW, c] * w[u, v, c, m]

(Howard et al. 2017, "MobileNets", eq. 3; M is the channel multiplier.) It does few multiplications per byte, so
the compiled twin is about memory: an image is copied once into a zero-padded scratch plane, where a tap of the kernel
is a plain product of two contiguous rows of OW*C*M numbers - however few the channels, and with no borders to test.
For a stride SW the padded columns are dealt out into SW phases, so that the row stays contiguous.
"""

import numpy as np
from numba import prange

from minighost.ops import check
from minighost.ops.buffers import empty
from minighost.ops.engine import kernel, tile
from minighost.ops.geometry import geometry

__all__ = ["depthwise_backward", "depthwise_backward_reference", "depthwise_forward", "depthwise_forward_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def depthwise_forward_reference(x, w, b=None, stride=1, padding=0, dilation=1):
    """`depthwise_forward` in plain NumPy: one multiplication per tap."""
    g = geometry("depthwise", x.shape[1:3], w.shape[:2], stride, padding, dilation)
    N, C, M = len(x), *w.shape[2:]
    padded = np.pad(x, [(0, 0), (g.PH, g.PH), (g.PW, g.PW), (0, 0)])
    out = np.zeros((N, g.OH, g.OW, C, M), x.dtype)
    for u in range(g.KH):
        for v in range(g.KW):
            out += _under(padded, u, v, g)[..., None] * w[u, v]  # (N, OH, OW, C, 1) * (C, M)
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
            dw[u, v] = np.einsum("nijc,nijcm->cm", _under(padded, u, v, g), dy)
            _under(dpadded, u, v, g)[...] += np.einsum("nijcm,cm->nijc", dy, w[u, v])
    dx = dpadded[:, g.PH : g.PH + H, g.PW : g.PW + W]
    return dx, dw, None if b is None else dout.sum((0, 1, 2))


def _under(padded, u, v, g):
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
        planes, lines = _scratch(x.shape, M, g, x.dtype), out.reshape(N, g.OH, -1)
        _forward(_wide(x), C, M, _along_rows(w, g), np.tile(bias, g.OW), g, planes, lines)
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
    dx = empty(x.shape, x.dtype)
    planes, dplanes = (_scratch(x.shape, M, g, x.dtype) for _ in range(2))
    rows = empty(
        (len(planes), g.KH * g.KW, g.OW * C * M), x.dtype
    )  # per chunk of images: dw, not yet summed along rows
    dws = np.zeros((len(planes), g.KH * g.KW, C * M))
    if dout.size:
        _backward(dout.reshape(N, g.OH, -1), _wide(x), M, _along_rows(w, g), g, planes, dplanes, rows, dws, dx)
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
    """One padded plane per chunk of images, (chunks, H+2PH, SW, columns per phase * C*M)."""
    N, H, W, C = x_shape
    columns = -(-(W + 2 * g.PW) // g.SW)
    return empty((min(N, 32), H + 2 * g.PH, g.SW, columns * C * M), dtype)


@kernel
def _forward(x, C, M, w, b, g, planes, out):
    N, OH, _ = out.shape
    chunks = len(planes)
    for t in prange(chunks):
        plane = planes[t]
        plane[:] = 0
        for n in range(t * N // chunks, (t + 1) * N // chunks):
            _pad(x[n], C, M, g, plane)
            for i in range(OH):
                _gather_row(plane, i, C * M, w, b, g, out[n, i])


@tile
def _gather_row(plane, i, CM, w, b, g, out):
    """One output row: its bias, then every tap's product of a plane row with the tap's weights."""
    L = len(out)
    out[:] = b
    for u in range(g.KH):
        for v in range(g.KW):
            phase, column = v * g.DW % g.SW, v * g.DW // g.SW * CM
            pixels = plane[i * g.SH + u * g.DH, phase, column : column + L]
            weights = w[u * g.KW + v]
            for k in range(L):
                out[k] += pixels[k] * weights[k]


@kernel
def _backward(dout, x, M, w, g, planes, dplanes, rows, dws, dx):
    N, OH, _ = dout.shape
    C = dx.shape[3]
    chunks = len(planes)
    for t in prange(chunks):
        plane, dplane, row = planes[t], dplanes[t], rows[t]
        plane[:] = 0
        row[:] = 0
        for n in range(t * N // chunks, (t + 1) * N // chunks):
            dplane[:] = 0
            _pad(x[n], C, M, g, plane)
            for i in range(OH):
                _scatter_row(dout[n, i], plane, i, C * M, w, g, dplane, row)
            _unpad(dplane, M, g, dx[n])
        _sum_along_rows(row, dws[t])


@tile
def _scatter_row(dout, plane, i, CM, w, g, dplane, dw):
    """The two adjoints of `_gather_row`: each tap's gradient goes to its weights and to the pixels it saw."""
    L = len(dout)
    for u in range(g.KH):
        for v in range(g.KW):
            phase, column = v * g.DW % g.SW, v * g.DW // g.SW * CM
            pixels = plane[i * g.SH + u * g.DH, phase, column : column + L]
            dpixels = dplane[i * g.SH + u * g.DH, phase, column : column + L]
            weights, dweights = w[u * g.KW + v], dw[u * g.KW + v]
            for k in range(L):
                dweights[k] += dout[k] * pixels[k]
                dpixels[k] += dout[k] * weights[k]


@tile
def _sum_along_rows(row, dw):
    """The adjoint of `_along_rows`."""
    taps, CM = dw.shape
    for tap in range(taps):
        for first in range(0, row.shape[1], CM):
            for k in range(CM):
                dw[tap, k] += row[tap, first + k]


@tile
def _pad(x, C, M, g, plane):
    """Copy an image into the inside of its padded plane, every channel M times over."""
    H, W, _ = x.shape
    for h in range(H):
        for w in range(W):
            line = plane[h + g.PH, (w + g.PW) % g.SW]
            k = (w + g.PW) // g.SW * C * M
            for c in range(C):
                for m in range(M):
                    line[k + c * M + m] = x[h, w, c]


@tile
def _unpad(dplane, M, g, dx):
    """The adjoint of `_pad`: sum the M copies and drop the border."""
    H, W, C = dx.shape
    for h in range(H):
        for w in range(W):
            line = dplane[h + g.PH, (w + g.PW) % g.SW]
            k = (w + g.PW) // g.SW * C * M
            for c in range(C):
                total = line[k + c * M]
                for m in range(1, M):
                    total += line[k + c * M + m]
                dx[h, w, c] = total
