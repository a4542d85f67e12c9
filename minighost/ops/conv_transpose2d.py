"""Transposed convolution: the gradient of a convolution with respect to its input, run as a forward.

    out[n, i*SH - PH + u*DH, j*SW - PW + v*DW, o] += x[n, i, j, c] * w[u, v, o, c]

(Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning", §4.) Every pixel is multiplied by the
kernel and added into the larger plane. It has the shape of a convolution's inverse, not its numbers. Its own backward
gathers: `dx` is the convolution with the same weights, and in `dw` x and dout have changed places.

The weights are those of the convolution that is transposed, (KH, KW, OC/G, C), and output channel o belongs to group
``o // (OC/G)`` with that group's C/G channels of x. PyTorch's (C, OC/G, KH, KW) is ``w.transpose(3, 2, 0, 1)``.

The compiled twin has three constructions, in `transposed_methods`; they compute the same up to rounding.
"""

import numpy as np

from minighost.engine import check
from minighost.engine.geometry import met, transposed_geometry
from minighost.ops.bias import bias_gradient
from minighost.ops.conv2d import conv2d_backward, conv2d_forward, group_slices
from minighost.ops.transposed_methods import METHODS, extended
from minighost.type_aliases import Array, Cache, Gradients, IntPair

__all__ = [
    "conv_transpose2d_backward",
    "conv_transpose2d_backward_reference",
    "conv_transpose2d_forward",
    "conv_transpose2d_forward_reference",
]


# The idea ------------------------------------------------------------------------------------------------------


def conv_transpose2d_forward_reference(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: IntPair = 1,
    padding: IntPair = 0,
    output_padding: IntPair = 0,
    dilation: IntPair = 1,
    groups: int = 1,
) -> tuple[Array, Cache]:
    """`conv_transpose2d_forward` by loops over groups and taps, with a product over channels inside."""
    g, (H, W) = transposed_geometry(
        "conv_transpose2d", x.shape[1:3], w.shape[:2], stride, padding, output_padding, dilation
    )
    out = np.zeros((len(x), H, W, w.shape[2] * groups), x.dtype)
    for outs, ins in group_slices(out.shape[3], x.shape[3], groups):
        for u, v in np.ndindex(g.KH, g.KW):
            rows, columns, i, j = met((H, W), g, u, v)
            out[:, rows, columns, outs] += x[:, i, j, ins] @ w[u, v, :, ins].T  # (N, .., C/G) @ (C/G, OC/G)
    return (out if b is None else out + b), (x, w, b, g, groups)


def conv_transpose2d_backward_reference(dout: Array, cache: Cache) -> Gradients:
    """`conv_transpose2d_backward` by the same loops: every product of the forward gives one to `dx`, one to `dw`."""
    x, w, b, g, groups = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for outs, ins in group_slices(dout.shape[3], x.shape[3], groups):
        for u, v in np.ndindex(g.KH, g.KW):
            rows, columns, i, j = met(dout.shape[1:3], g, u, v)
            dx[:, i, j, ins] += dout[:, rows, columns, outs] @ w[u, v, :, ins]
            dw[u, v, :, ins] = np.tensordot(dout[:, rows, columns, outs], x[:, i, j, ins], ((0, 1, 2), (0, 1, 2)))
    return dx, dw, None if b is None else dout.sum((0, 1, 2))


# The same, compiled --------------------------------------------------------------------------------------------


def conv_transpose2d_forward(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: IntPair = 1,
    padding: IntPair = 0,
    output_padding: IntPair = 0,
    dilation: IntPair = 1,
    groups: int = 1,
    method: str | None = None,
) -> tuple[Array, Cache]:
    """Two-dimensional transposed convolution.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    w : ndarray, shape (KH, KW, OC/groups, C)
    b : ndarray, shape (OC,), optional
    stride, padding, dilation : int or (int, int)
        Of the convolution that is transposed: its padding is cut off here.
    output_padding : int or (int, int)
        Rows and columns more at the end, below the stride (or the dilation): several planes convolve to H x W, and
        this says which is meant.
    groups : int
        Must divide C and OC.
    method : {"depth_to_space", "scatter", "zero_insertion"}, optional
        How it is computed; without one as was quickest (``minighost bench conv_transpose``): scattered if there is a
        stride and no groups, else by depth to space.

    Returns
    -------
    out : ndarray, shape (N, OH, OW, OC)
        ``OH = (H-1)*SH - 2*PH + DH*(KH-1) + 1 + output_padding``, OW likewise.
    cache : tuple
        For `conv_transpose2d_backward`.

    Raises
    ------
    TypeError
        If an array is not float32 or float64, or the dtypes differ.
    ValueError
        If shapes do not fit, `groups` does not divide the channels, nothing is left after padding is cut off,
        `output_padding` is too large or there is no such method.

    Notes
    -----
    What is not finite in x or w reaches the outputs in whose definition it appears, and no others; in the backward
    with the exception that `conv2d_forward` names.

    Examples
    --------
    >>> x, w = np.array([1.0, 10.0]).reshape(1, 1, 2, 1), np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    >>> conv_transpose2d_forward(x, w, stride=(1, 2))[0].ravel()
    array([ 1.,  2., 13., 20., 30.])
    """
    x, w = check.array("conv_transpose2d", "x", x, 4), check.array("conv_transpose2d", "w", w, 4)
    b = None if b is None else check.array("conv_transpose2d", "b", b, 1)
    check.same_dtype("conv_transpose2d", x=x, w=w, b=b)
    checked_method("conv_transpose2d", method)
    g, large = transposed_geometry(
        "conv_transpose2d", x.shape[1:3], w.shape[:2], stride, padding, output_padding, dilation
    )
    _check_channels(x, w, b, groups)
    if not (check.finite(x) and check.finite(w)):  # the others multiply zeros of their own
        method = "scatter"
    method = method or ("scatter" if groups == 1 and max(g.SH, g.SW) > 1 else "depth_to_space")
    out = METHODS[method](x, w, b, g, large, groups)
    return out, (x, w, b, g, large, groups)


def conv_transpose2d_backward(dout: Array, cache: Cache) -> Gradients:
    """Gradients of `conv_transpose2d_forward`.

    Parameters
    ----------
    dout : ndarray, shape (N, OH, OW, OC)
    cache : tuple

    Returns
    -------
    dx, dw, db : ndarray
        Shapes of x, w and b; ``db`` is None where there was no bias.
    """
    x, w, b, g, large, groups = cache
    dout = check.array("conv_transpose2d backward", "dout", dout, 4)
    check.shape_is("conv_transpose2d backward", "dout", dout, (len(x), *large, w.shape[2] * groups))
    dx, inner = conv2d_forward(dout, w, None, (g.SH, g.SW), (g.PH, g.PW), (g.DH, g.DW), groups)
    _, dw, _ = conv2d_backward(extended(x, g, large), inner, dx_wanted=False)
    return np.ascontiguousarray(dx[:, : g.OH, : g.OW]), dw, bias_gradient(dout, b)


def checked_method(op: str, method: str | None) -> str | None:
    """Return the name of a construction, or None; ValueError if there is none of that name."""
    if method is not None and method not in METHODS:
        raise ValueError(f"{op}: method={method!r} must be one of {', '.join(map(repr, METHODS))}")
    return method


def _check_channels(x: Array, w: Array, b: Array | None, groups: int) -> None:
    C, per_group = x.shape[3], w.shape[2]
    check.pair("conv_transpose2d", "groups", groups, 1)
    if C % groups:
        raise ValueError(
            f"conv_transpose2d: groups={groups} must divide in_channels={C} ({C} % {groups} = {C % groups})"
        )
    if w.shape[3] != C:
        raise ValueError(
            f"conv_transpose2d: x has {C} channels, but w has shape {w.shape} (KH, KW, OC/groups, C), so it takes "
            f"{w.shape[3]}" + check.channels_first(x, w.shape[3])
        )
    if b is not None:
        check.shape_is("conv_transpose2d", "b", b, (per_group * groups,))
