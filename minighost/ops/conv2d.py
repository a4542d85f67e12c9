"""Convolution with stride, padding, dilation and groups.

    out[n, i, j, o] = b[o] + sum_{u,v,c} x[n, i*SH - PH + u*DH, j*SW - PW + v*DW, c] * w[u, v, c, o]

where output channel o belongs to group ``o // (OC/G)`` and c runs over that group's C/G channels only (Krizhevsky et
al. 2012; the kernel is not flipped). The compiled twin is the kernel that training uses, `engine.kernels.conv`, with
nothing to fuse; two special cases have kernels of their own: `pointwise` needs no taps, `depthwise` no products.
"""

import numpy as np

from minighost.engine import check, kernels
from minighost.engine.geometry import geometry, met
from minighost.ops.bias import bias_gradient
from minighost.ops.depthwise import depthwise_backward, depthwise_forward
from minighost.ops.pointwise import pointwise_backward, pointwise_forward
from minighost.type_aliases import Array, Cache, Gradients, InputGrad, IntPair

__all__ = ["conv2d_backward", "conv2d_backward_reference", "conv2d_forward", "conv2d_forward_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def conv2d_forward_reference(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
    groups: int = 1,
) -> tuple[Array, Cache]:
    """`conv2d_forward` by loops: over groups, output positions and taps, with a product over channels inside."""
    g = geometry("conv2d", x.shape[1:3], w.shape[:2], stride, padding, dilation)
    out = np.zeros((len(x), g.OH, g.OW, w.shape[3]), x.dtype)
    for ins, outs in group_slices(x.shape[3], w.shape[3], groups):
        for i, j, u, v, h, k in _visits(x.shape, g):
            out[:, i, j, outs] += x[:, h, k, ins] @ w[u, v, :, outs]  # (N, C/G) @ (C/G, OC/G)
    return (out if b is None else out + b), (x, w, b, g, groups)


def conv2d_backward_reference(dout: Array, cache: Cache) -> Gradients:
    """`conv2d_backward` by the same loops: every product of the forward gives one to `dx` and one to `dw`."""
    x, w, b, g, groups = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for ins, outs in group_slices(x.shape[3], w.shape[3], groups):
        for i, j, u, v, h, k in _visits(x.shape, g):
            dx[:, h, k, ins] += dout[:, i, j, outs] @ w[u, v, :, outs].T
            dw[u, v, :, outs] += x[:, h, k, ins].T @ dout[:, i, j, outs]
    return dx, dw, None if b is None else dout.sum((0, 1, 2))


def group_slices(C, OC, G):
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


def conv2d_forward(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
    groups: int = 1,
) -> tuple[Array, Cache]:
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

    Notes
    -----
    A NaN or an infinity reaches the outputs and gradients in the definition of which it appears, and no others. One
    exception: in the forward of a 3x3 kernel without stride between 16 channels or more, one in x reaches all outputs
    of its tiles of 4x4 (`engine.kernels.winograd`).

    Examples
    --------
    >>> x = np.arange(9.0).reshape(1, 3, 3, 1)
    >>> conv2d_forward(x, np.ones((3, 3, 1, 1)))[0].item()
    36.0
    """
    x, w = check.channels("conv2d", "x", x), check.array("conv2d", "w", w, 4)
    b = None if b is None else check.array("conv2d", "b", b, 1)
    check.same_dtype("conv2d", x=x, w=w, b=b)
    g = geometry("conv2d", x.shape[1:3], w.shape[:2], stride, padding, dilation)
    KH, KW, C, OC = channels_fit(x, w, b, groups)
    if groups == C and groups > 1:
        out, inner = depthwise_forward(x, w.reshape(KH, KW, C, -1), b, stride, padding, dilation)
        return out, (depthwise_backward, inner, w.shape)
    x = check.array("conv2d", "x", x, 4)
    if groups == 1 and (KH, KW) == (g.SH, g.SW) == (1, 1) and (g.PH, g.PW) == (0, 0):
        out, inner = pointwise_forward(x, w.reshape(C, OC), b)
        return out, (pointwise_backward, inner, w.shape)
    if not x.size * OC:
        out = np.zeros((len(x), g.OH, g.OW, OC), x.dtype) + (0 if b is None else b)
        return out, (_dense_backward, (x, w, b, g, groups), w.shape)
    if not check.finite(w):
        return _forward_tap_by_tap(x, w, b, g, groups), (_dense_backward, (x, w, b, g, groups), w.shape)
    out, _ = kernels.conv_forward(kernels.plain(x), w, g, groups, b, summing=False)
    return out, (_dense_backward, (x, w, b, g, groups), w.shape)


def conv2d_backward(dout: Array, cache: Cache, dx_wanted: bool = True) -> tuple[InputGrad, Array, Array | None]:
    """Gradients of `conv2d_forward`.

    Parameters
    ----------
    dout : ndarray, shape (N, OH, OW, OC)
    cache : tuple
    dx_wanted : bool
        False spares the work where x is an image, whose gradient nobody asks for.

    Returns
    -------
    dx, dw, db : ndarray
        Shapes of x, w and b; ``dx`` is None where it is not wanted, ``db`` where there was no bias.
    """
    backward, inner, w_shape = cache
    if backward is _dense_backward:
        return backward(dout, inner, dx_wanted)
    dx, dw, db = backward(dout, inner)
    return dx if dx_wanted else None, dw.reshape(w_shape), db


def _dense_backward(dout, cache, dx_wanted):
    x, w, b, g, groups = cache
    dout = check.array("conv2d backward", "dout", dout, 4)
    check.shape_is("conv2d backward", "dout", dout, (len(x), g.OH, g.OW, w.shape[3]))
    db = bias_gradient(dout, b)
    if not x.size * dout.size:
        return np.zeros_like(x) if dx_wanted else None, np.zeros_like(w), db
    dx, _, dw = kernels.conv_backward(kernels.plain_gradient(dout), kernels.plain(x), w, g, groups, dx_wanted)
    if not (check.finite(w) and check.finite(dw)):  # `dw` meets all numbers of x and dout
        dx, dw = _backward_tap_by_tap(dout, x, w, g, groups, dx_wanted)
    return dx, dw, db


# The kernel multiplies zeros: of padding, and of pixels that belong to nobody. Zero times infinity or NaN is NaN, where
# the definition has no product at all; so what is not finite goes the way below, which is as exact and less quick.


@np.errstate(all="ignore")
def _forward_tap_by_tap(x, w, b, g, groups):
    out = np.zeros((len(x), g.OH, g.OW, w.shape[3]), x.dtype)
    for ins, outs in group_slices(x.shape[3], w.shape[3], groups):
        for u, v in np.ndindex(g.KH, g.KW):
            h, k, i, j = met(x.shape[1:3], g, u, v)
            out[:, i, j, outs] += x[:, h, k, ins] @ w[u, v, :, outs]
    return out if b is None else out + b


@np.errstate(all="ignore")
def _backward_tap_by_tap(dout, x, w, g, groups, dx_wanted):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for ins, outs in group_slices(x.shape[3], w.shape[3], groups):
        for u, v in np.ndindex(g.KH, g.KW):
            h, k, i, j = met(x.shape[1:3], g, u, v)
            dw[u, v, :, outs] = np.tensordot(x[:, h, k, ins], dout[:, i, j, outs], ((0, 1, 2), (0, 1, 2)))
            if dx_wanted:
                dx[:, h, k, ins] += dout[:, i, j, outs] @ w[u, v, :, outs].T
    return dx if dx_wanted else None, dw


def channels_fit(x: Array, w: Array, b: Array | None, groups: int) -> tuple[int, int, int, int]:
    """Return the numbers KH, KW, C, OC of a convolution of x, or say why there is none."""
    C, (KH, KW, per_group, OC) = x.shape[3], w.shape
    check.pair("conv2d", "groups", groups, 1)
    for name, channels in (("in_channels", C), ("out_channels", OC)):
        if channels % groups:
            raise ValueError(
                f"conv2d: groups={groups} must divide {name}={channels} ({channels} % {groups} = {channels % groups})"
                + check.channels_first(x, per_group * groups)
            )
    if per_group * groups != C:
        raise ValueError(
            f"conv2d: x has {C} channels, but w has shape {w.shape} (KH, KW, C/groups, OC), so with groups={groups} "
            f"it takes {per_group} * {groups} = {per_group * groups}" + check.channels_first(x, per_group * groups)
        )
    if b is not None:
        check.shape_is("conv2d", "b", b, (OC,))
    return KH, KW, C, OC
