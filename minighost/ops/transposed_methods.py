"""Three constructions of a transposed convolution out of other operations.

`scatter`          multiplies each pixel by all taps, and adds what falls on the same place: `col2im` of a product.
`zero_insertion`   puts S - 1 zeros between pixels, pads by D*(K-1) - P, and convolves with the flipped kernel. Of
                   S*S products all but one are with a zero.
`depth_to_space`   sorts the taps by where they end up: those with the same ``u*D mod S`` meet the same outputs, so they
                   are a small kernel of their own without a stride, ceil((D*(K-1) + 1) / S) taps along an axis. One
                   convolution with all S*S of them, whose channels `depth_to_space` interleaves; then the padding is
                   cut off (Shi et al. 2016, "Is the deconvolution layer the same as a convolutional layer?"). Where the
                   kernel is no multiple of the stride, or is dilated, some of these taps are zero.

The last wastes no products where the stride divides the kernel, needs no room for all products at once, and the taps
can be sorted once and for all (`regroup_taps`): folded inference does it.

Here g is the `Geometry` of the convolution that is transposed, with x for its output, and `large` is the plane that it
reads; `conv_transpose2d_forward` has checked all arguments.
"""

import math
from typing import NamedTuple

import numpy as np

from minighost.engine.geometry import Geometry, geometry, met, transposed_geometry
from minighost.engine.memory import empty, zeros
from minighost.ops.conv2d import conv2d_forward
from minighost.ops.depth_to_space import spread
from minighost.ops.im2col import col2im
from minighost.type_aliases import Array, IntPair

__all__ = ["RegroupedTaps", "conv_transpose2d_regrouped", "regroup_taps"]


def scatter(x, w, b, g, large, groups):
    """Each pixel times each tap, then `col2im`."""
    per_group, C = w.shape[2], x.shape[3]
    x = extended(x, g, large)
    taps = w.reshape(g.KH, g.KW, per_group, groups, C // groups).transpose(4, 3, 0, 1, 2)  # (C/G, G, KH, KW, OC/G)
    products, _ = conv2d_forward(x, np.ascontiguousarray(taps).reshape(1, 1, C // groups, -1), groups=groups)
    products = products.reshape(*x.shape[:3], groups, g.KH, g.KW, per_group).transpose(0, 1, 2, 4, 5, 3, 6)
    cols = np.ascontiguousarray(products).reshape(math.prod(x.shape[:3]), g.KH * g.KW * groups * per_group)
    shape = (len(x), *large, per_group * groups)
    out = col2im(cols, shape, (g.KH, g.KW), (g.SH, g.SW), (g.PH, g.PW), (g.DH, g.DW))
    return out if b is None else out + b


def zero_insertion(x, w, b, g, large, groups):
    """Zeros between the pixels and around them, then a convolution with the flipped kernel."""
    per_group, C = w.shape[2], x.shape[3]
    reach = g.DH * (g.KH - 1), g.DW * (g.KW - 1)
    spaced = zeros((len(x), large[0] + reach[0], large[1] + reach[1], C), x.dtype)
    first = g._replace(PH=g.PH - reach[0], PW=g.PW - reach[1])
    rows, columns, i, j = met(spaced.shape[1:3], first, 0, 0)
    spaced[:, rows, columns] = x[:, i, j]
    flipped = w[::-1, ::-1].reshape(g.KH, g.KW, per_group, groups, C // groups).transpose(0, 1, 4, 3, 2)
    flipped = np.ascontiguousarray(flipped).reshape(g.KH, g.KW, C // groups, groups * per_group)
    return conv2d_forward(spaced, flipped, b, dilation=(g.DH, g.DW), groups=groups)[0]


def depth_to_space(x, w, b, g, large, groups):
    """A convolution without stride with the taps of each phase, then depth to space."""
    return _interleaved(x, _regrouped(w, g, groups), b, g, large, groups)


METHODS = {"depth_to_space": depth_to_space, "scatter": scatter, "zero_insertion": zero_insertion}


def extended(x: Array, g: Geometry, large: tuple[int, int]) -> Array:
    """`x` with the zeros that the convolution's further windows see, if `output_padding` makes room for any."""
    more = geometry("conv_transpose2d", large, (g.KH, g.KW), (g.SH, g.SW), (g.PH, g.PW), (g.DH, g.DW))
    sides = [(0, 0), (0, more.OH - g.OH), (0, more.OW - g.OW), (0, 0)]
    return np.pad(x, sides) if (more.OH, more.OW) != (g.OH, g.OW) else x


# Taps that are sorted once -------------------------------------------------------------------------------------


class RegroupedTaps(NamedTuple):
    """The weights of a transposed convolution as those of a convolution without stride, and its options.

    Attributes
    ----------
    w : ndarray, shape (taps, taps, C/groups, groups*SH*SW*OC/groups)
        Output channels in the order (group, row and column within the block, channel of the group).
    kernel_size, stride, padding, output_padding, dilation : int or (int, int)
    groups : int
    """

    w: Array
    kernel_size: IntPair
    stride: IntPair = 1
    padding: IntPair = 0
    output_padding: IntPair = 0
    dilation: IntPair = 1
    groups: int = 1


def regroup_taps(
    w: Array,
    stride: IntPair = 1,
    padding: IntPair = 0,
    output_padding: IntPair = 0,
    dilation: IntPair = 1,
    groups: int = 1,
) -> RegroupedTaps:
    """Sort the taps of a transposed convolution by the place in a block of outputs that they contribute to.

    Parameters
    ----------
    w : ndarray, shape (KH, KW, OC/groups, C)
    stride, padding, output_padding, dilation, groups
        As for `conv_transpose2d_forward`.

    Returns
    -------
    RegroupedTaps
        For `conv_transpose2d_regrouped`. It does not follow later changes of `w`.
    """
    g, _ = transposed_geometry("regroup_taps", (99, 99), w.shape[:2], stride, padding, output_padding, dilation)
    return RegroupedTaps(_regrouped(w, g, groups), w.shape[:2], stride, padding, output_padding, dilation, groups)


def conv_transpose2d_regrouped(x: Array, taps: RegroupedTaps, b: Array | None = None) -> Array:
    """`conv_transpose2d_forward` with taps that `regroup_taps` has sorted.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
        Finite numbers; a NaN may reach neighbours.
    taps : RegroupedTaps
    b : ndarray, shape (OC,), optional

    Returns
    -------
    ndarray, shape (N, OH, OW, OC)
    """
    w, kernel_size, *options, groups = taps
    g, large = transposed_geometry("conv_transpose2d", x.shape[1:3], kernel_size, *options)
    return _interleaved(x, w, b, g, large, groups)


def _regrouped(w, g, groups):
    """(KH, KW, OC/G, C) -> (taps, taps, C/G, G*SH*SW*OC/G), each small flipped kernel."""
    per_group, C = w.shape[2:]
    reach = g.DH * (g.KH - 1) + 1, g.DW * (g.KW - 1) + 1
    rows, columns = -(-reach[0] // g.SH), -(-reach[1] // g.SW)
    padded = np.zeros((rows * g.SH, columns * g.SW, per_group, C), w.dtype)
    padded[: reach[0] : g.DH, : reach[1] : g.DW] = w
    split = padded.reshape(rows, g.SH, columns, g.SW, per_group, groups, C // groups)[::-1, :, ::-1]
    phases = np.ascontiguousarray(split.transpose(0, 2, 6, 5, 1, 3, 4))  # (.., .., C/G, G, SH, SW, OC/G)
    return phases.reshape(rows, columns, C // groups, -1)


def _interleaved(x, w, b, g, large, groups):
    padding, start = crop(g, large, w.shape[:2])
    as_it_is = g.SH == g.SW == 1 and geometry("conv_transpose2d", x.shape[1:3], w.shape[:2], 1, padding)[-2:] == large
    phases, _ = conv2d_forward(x, w, b if as_it_is else None, padding=padding, groups=groups)
    if as_it_is:
        return phases
    out = empty((len(x), *large, w.shape[3] // (g.SH * g.SW)), x.dtype)
    spread(phases, out, (g.SH, g.SW), groups, start, b)
    return out


def crop(g: Geometry, large: tuple[int, int], taps: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """How far the convolution of regrouped taps is padded, and where in its interleaved result the output starts.

    Blocks of outputs that are padding as a whole, at both ends, need not be computed.
    """
    padding, start = [], []
    for size, wanted, K, S, P in zip((g.OH, g.OW), large, taps, (g.SH, g.SW), (g.PH, g.PW), strict=True):
        after = (size + K - 1) * S - P - wanted
        blocks = min(max(0, min(P, after) // S), K - 1)
        padding.append(K - 1 - blocks)
        start.append(P - blocks * S)
    return (padding[0], padding[1]), (start[0], start[1])
