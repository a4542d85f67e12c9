"""Convolution with stride, padding, dilation and groups.

    out[n, i, j, o] = b[o] + sum_{u,v,c} x[n, i*SH - PH + u*DH, j*SW - PW + v*DW, c] * w[u, v, c, o]

where output channel o belongs to group ``o // (OC/G)`` and c runs over that group's C/G channels only (Krizhevsky et
al. 2012; the kernel is not flipped). The compiled twin builds the im2col patches of one tile of output rows, multiplies
them while they are in cache, and goes on to the next tile: the whole im2col matrix never exists. Two special cases have
kernels of their own: `pointwise` needs no patches, `depthwise` no products.
"""

import numpy as np

from minighost.ops import check
from minighost.ops.buffers import empty, zeros
from minighost.ops.depthwise import depthwise_backward, depthwise_forward
from minighost.ops.engine import kernel, share, tile
from minighost.ops.geometry import geometry
from minighost.ops.pointwise import pointwise_backward, pointwise_forward

__all__ = ["conv2d_backward", "conv2d_backward_reference", "conv2d_forward", "conv2d_forward_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def conv2d_forward_reference(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """`conv2d_forward` by loops: over groups, output positions and taps, with a product over channels inside."""
    g = geometry("conv2d", x.shape[1:3], w.shape[:2], stride, padding, dilation)
    out = np.zeros((len(x), g.OH, g.OW, w.shape[3]), x.dtype)
    for ins, outs in _group_slices(x.shape[3], w.shape[3], groups):
        for i, j, u, v, h, k in _visits(x.shape, g):
            out[:, i, j, outs] += x[:, h, k, ins] @ w[u, v, :, outs]  # (N, C/G) @ (C/G, OC/G)
    return (out if b is None else out + b), (x, w, b, g, groups)


def conv2d_backward_reference(dout, cache):
    """`conv2d_backward` by the same loops: every product of the forward gives one to `dx` and one to `dw`."""
    x, w, b, g, groups = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for ins, outs in _group_slices(x.shape[3], w.shape[3], groups):
        for i, j, u, v, h, k in _visits(x.shape, g):
            dx[:, h, k, ins] += dout[:, i, j, outs] @ w[u, v, :, outs].T
            dw[u, v, :, outs] += x[:, h, k, ins].T @ dout[:, i, j, outs]
    return dx, dw, None if b is None else dout.sum((0, 1, 2))


def _group_slices(C, OC, G):
    """Per group the channels it reads and the channels it writes."""
    for k in range(G):
        yield slice(k * C // G, (k + 1) * C // G), slice(k * OC // G, (k + 1) * OC // G)


def _visits(x_shape, g):
    """Output position (i, j), tap (u, v) and the pixel (h, k) that lies under it, padding left out."""
    for i, j, u, v in np.ndindex(g.OH, g.OW, g.KH, g.KW):
        h, k = i * g.SH + u * g.DH - g.PH, j * g.SW + v * g.DW - g.PW
        if 0 <= h < x_shape[1] and 0 <= k < x_shape[2]:
            yield i, j, u, v, h, k


# The same, compiled --------------------------------------------------------------------------------------------


def conv2d_forward(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """Two-dimensional convolution.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    w : ndarray, shape (KH, KW, C/groups, OC)
    b : ndarray, shape (OC,), optional
    stride, padding, dilation : int or (int, int)
        Zeros are padded on both sides.
    groups : int
        Must divide C and OC. ``groups=C`` is a depthwise convolution.

    Returns
    -------
    out : ndarray, shape (N, OH, OW, OC)
        ``OH = (H + 2*PH - DH*(KH-1) - 1) // SH + 1``, OW likewise.
    cache : tuple
        For `conv2d_backward`.

    Raises
    ------
    TypeError
        If an array is not float32 or float64, or the dtypes differ.
    ValueError
        If shapes do not fit, `groups` does not divide the channels, or the kernel is larger than the padded input.

    Examples
    --------
    >>> x = np.arange(9.0).reshape(1, 3, 3, 1)
    >>> conv2d_forward(x, np.ones((3, 3, 1, 1)))[0].item()
    36.0
    """
    x, w = check.channels("conv2d", "x", x), check.array("conv2d", "w", w, 4)
    check.same_dtype("conv2d", x=x, w=w, b=b)
    g = geometry("conv2d", x.shape[1:3], w.shape[:2], stride, padding, dilation)
    KH, KW, C, OC = _channels_fit(x, w, b, groups)
    if groups == C and groups > 1:
        weights = np.ascontiguousarray(w.reshape(KH, KW, C, -1))
        out, inner = depthwise_forward(x, weights, b, stride, padding, dilation)
        return out, (depthwise_backward, inner, w.shape)
    x = check.array("conv2d", "x", x, 4)
    if groups == 1 and (KH, KW) == (g.SH, g.SW) == (1, 1) and (g.PH, g.PW) == (0, 0):
        out, inner = pointwise_forward(x, w.reshape(C, OC), b)
        return out, (pointwise_backward, inner, w.shape)
    out = empty((len(x), g.OH, g.OW, OC), x.dtype)
    if out.size:
        bias = np.zeros(OC, x.dtype) if b is None else check.array("conv2d", "b", b, 1)
        lines = len(x) * g.OH
        chunks = min(lines, 32)
        per_tile = _lines_per_tile(g)
        patches, products = _scratch(chunks, per_tile * g.OW, w, groups)
        _forward(x, _by_group(w, groups), bias, g, chunks, per_tile, patches, products, out.reshape(lines * g.OW, OC))
    return out, (_im2col_backward, (x, w, b, g, groups), w.shape)


def conv2d_backward(dout, cache):
    """Gradients of `conv2d_forward`.

    Parameters
    ----------
    dout : ndarray, shape (N, OH, OW, OC)
    cache : tuple

    Returns
    -------
    dx, dw, db : ndarray
        Shapes of x, w and b; ``db`` is None where there was no bias.
    """
    backward, inner, w_shape = cache
    dx, dw, db = backward(dout, inner)
    return dx, dw.reshape(w_shape), db


def _im2col_backward(dout, cache):
    x, w, b, g, groups = cache
    (N, _, _, _), OC = x.shape, w.shape[3]
    dout = check.array("conv2d backward", "dout", dout, 4)
    check.shape_is("conv2d backward", "dout", dout, (N, g.OH, g.OW, OC))
    dx = zeros(x.shape, x.dtype)
    weights = _by_group(w, groups)
    # One partial sum of dw per chunk of images; few of them where the weights are many.
    chunks = min(max(N, 1), max(4, min(32, (1 << 24) // w.size)))
    dws = zeros((chunks, 2, *weights.shape), x.dtype)  # [t, 0] is the sum, [t, 1] the tile's share
    if dout.size:
        per_tile = min(g.OH, _lines_per_tile(g))
        patches, products = _scratch(chunks, per_tile * g.OW, w, groups)
        _backward(dout, x, weights, g, per_tile, patches, products, dws, dx)
    dw = dws[:, 0].sum(0)  # (G, KH*KW*C/G, OC/G)
    dw = dw.reshape(groups, *w.shape[:3], OC // groups).transpose(1, 2, 3, 0, 4)
    return dx, dw.reshape(w.shape), None if b is None else dout.sum((0, 1, 2), dtype=np.float64).astype(x.dtype)


def _channels_fit(x, w, b, groups):
    C, (KH, KW, per_group, OC) = x.shape[3], w.shape
    check.pair("conv2d", "groups", groups, 1)
    for name, channels in (("in_channels", C), ("out_channels", OC)):
        if channels % groups:
            raise ValueError(
                f"conv2d: groups={groups} must divide {name}={channels} ({channels} % {groups} = {channels % groups})"
            )
    if per_group * groups != C:
        raise ValueError(
            f"conv2d: x has {C} channels, but w has shape {w.shape} (KH, KW, C/groups, OC), so with groups={groups} "
            f"it takes {per_group} * {groups} = {per_group * groups}"
        )
    if b is not None:
        check.shape_is("conv2d", "b", b, (OC,))
    return KH, KW, C, OC


def _by_group(w, G):
    """(KH, KW, C/G, OC) -> (G, KH*KW*C/G, OC/G): one contiguous matrix per group."""
    KH, KW, C, OC = w.shape
    return np.ascontiguousarray(w.reshape(KH * KW * C, G, OC // G).swapaxes(0, 1))


def _lines_per_tile(g):
    """Output rows of a tile: about 192 windows, so that patches and products stay in cache."""
    return max(1, 192 // g.OW)


def _scratch(chunks, windows, w, G):
    """Per chunk: the patches of one tile for every group, and one group's product."""
    KH, KW, C, OC = w.shape
    return empty((chunks, G, windows, KH * KW * C), w.dtype), empty((chunks, windows, OC // G), w.dtype)


@kernel
def _forward(work, x, w, b, g, chunks, per_tile, patches, products, out):
    G, _, width = w.shape
    lines = len(x) * g.OH
    for t in share(work, chunks):
        start, stop = t * lines // chunks, (t + 1) * lines // chunks
        for first in range(start, stop, per_tile):
            last = min(stop, first + per_tile)
            r0, r1 = first * g.OW, last * g.OW
            _gather(x, g, first, last, patches[t])
            for k in range(G):
                product = products[t, : r1 - r0]
                np.dot(patches[t, k, : r1 - r0], w[k], product)
                for r in range(r0, r1):
                    for o in range(width):
                        out[r, k * width + o] = product[r - r0, o] + b[k * width + o]


@kernel
def _backward(work, dout, x, w, g, per_tile, patches, products, dws, dx):
    N, (G, _, width), chunks = len(x), w.shape, len(dws)
    for t in share(
        work, chunks
    ):  # chunks of whole images: windows overlap within an image only, so each pixel has one writer
        for line in range(t * N // chunks * g.OH, (t + 1) * N // chunks * g.OH, per_tile):
            last = min((t + 1) * N // chunks * g.OH, line + per_tile)
            windows = (last - line) * g.OW
            _gather(x, g, line, last, patches[t])
            for k in range(G):
                patch, dproduct = patches[t, k, :windows], products[t, :windows]
                _read_group(dout, k * width, line * g.OW, dproduct)
                np.dot(patch.T, dproduct, dws[t, 1, k])
                dws[t, 0, k] += dws[t, 1, k]
                np.dot(dproduct, w[k].T, patch)  # the patches have done their duty: their gradient takes their place
            _scatter(patches[t], g, line, last, dx)


@tile
def _read_group(dout, first, r0, dproduct):
    N, OH, OW, OC = dout.shape
    rows = dout.reshape(N * OH * OW, OC)
    for r in range(len(dproduct)):
        for o in range(dproduct.shape[1]):
            dproduct[r, o] = rows[r0 + r, first + o]


@tile
def _gather(x, g, first, last, patches):
    """im2col of the output rows `first` to `last` (counted over all images), one matrix per group."""
    _, H, W, _ = x.shape
    G, C = len(patches), patches.shape[2] // (g.KH * g.KW)
    for line in range(first, last):
        n, i = line // g.OH, line % g.OH
        for j in range(g.OW):
            r = (line - first) * g.OW + j
            for u in range(g.KH):
                h = i * g.SH + u * g.DH - g.PH
                for v in range(g.KW):
                    k, s = j * g.SW + v * g.DW - g.PW, (u * g.KW + v) * C
                    inside = 0 <= h < H and 0 <= k < W
                    for group in range(G):
                        if inside:
                            for c in range(C):
                                patches[group, r, s + c] = x[n, h, k, group * C + c]
                        else:
                            for c in range(C):
                                patches[group, r, s + c] = 0


@tile
def _scatter(dpatches, g, first, last, dx):
    """col2im of the same rows: the adjoint of `_gather`."""
    _, H, W, _ = dx.shape
    G, C = len(dpatches), dpatches.shape[2] // (g.KH * g.KW)
    for line in range(first, last):
        n, i = line // g.OH, line % g.OH
        for j in range(g.OW):
            r = (line - first) * g.OW + j
            for u in range(g.KH):
                h = i * g.SH + u * g.DH - g.PH
                for v in range(g.KW):
                    k, s = j * g.SW + v * g.DW - g.PW, (u * g.KW + v) * C
                    if 0 <= h < H and 0 <= k < W:
                        for group in range(G):
                            for c in range(C):
                                dx[n, h, k, group * C + c] += dpatches[group, r, s + c]
