"""Where a window lands: stride, padding, dilation and groups, checked once, before anything is allocated."""

from typing import NamedTuple

from minighost.engine.check import pair
from minighost.errors import PlaneTooSmall
from minighost.type_aliases import IntPair

__all__ = ["Geometry", "geometry", "met", "output_size", "transposed_geometry"]


class Geometry(NamedTuple):
    """How a kernel of KH x KW taps walks over an H x W plane: S stride, P padding, D dilation, O output."""

    KH: int
    KW: int
    SH: int
    SW: int
    PH: int
    PW: int
    DH: int
    DW: int
    OH: int
    OW: int


def output_size(
    size: int, kernel: int, stride: int, padding: int, dilation: int, after: int | None = None, ceil_mode: bool = False
) -> int:
    """``floor((size + padding + after - dilation*(kernel-1) - 1) / stride) + 1``, the windows that fit along one axis.

    `after` is the padding at the end, by default that at the beginning. In ceil mode a last window that reaches over
    the end counts too, if it begins in the input or in the padding before it (PyTorch's rule).
    """
    after = padding if after is None else after
    steps, rest = divmod(size + padding + after - dilation * (kernel - 1) - 1, stride)
    one_more = ceil_mode and rest > 0 and (steps + 1) * stride < size + padding
    return steps + 1 + one_more


def geometry(
    op: str,
    plane: tuple[int, int],
    kernel_size: IntPair,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
    after: tuple[int, int] | None = None,
    ceil_mode: bool = False,
) -> Geometry:
    """Check the numbers and return a `Geometry`.

    Parameters
    ----------
    op : str
        Name for the messages.
    plane, kernel_size : (int, int)
        H, W and KH, KW.
    stride, padding, dilation : int or (int, int)
    after : (int, int), optional
        Padding below and on the right; by default `padding` is on all sides.
    ceil_mode : bool
        As in `output_size`.

    Raises
    ------
    ValueError
        If a number is out of range or the kernel is larger than the padded plane.
    """
    (H, W), (KH, KW) = plane, pair(op, "kernel_size", kernel_size, 1)
    SH, SW = pair(op, "stride", stride, 1)
    PH, PW = pair(op, "padding", padding, 0)
    DH, DW = pair(op, "dilation", dilation, 1)
    below, right = (PH, PW) if after is None else after
    OH = output_size(H, KH, SH, PH, DH, below, ceil_mode)
    OW = output_size(W, KW, SW, PW, DW, right, ceil_mode)
    if OH < 1 or OW < 1:
        reach = (DH * (KH - 1) + 1, DW * (KW - 1) + 1)
        raise PlaneTooSmall(
            f"{op}: the kernel reaches over {reach[0]}x{reach[1]} pixels (size {KH}x{KW}, dilation {DH}x{DW}), more "
            f"than the padded input has: {H + PH + below}x{W + PW + right} (input {H}x{W}, padding {PH}x{PW}"
            f"{'' if (below, right) == (PH, PW) else f' above and left, {below}x{right} below and right'}); "
            "pad more or use a smaller kernel"
        )
    return Geometry(KH, KW, SH, SW, PH, PW, DH, DW, OH, OW)


def transposed_geometry(
    op: str,
    plane: tuple[int, int],
    kernel_size: IntPair,
    stride: IntPair = 1,
    padding: IntPair = 0,
    output_padding: IntPair = 0,
    dilation: IntPair = 1,
) -> tuple[Geometry, tuple[int, int]]:
    """The convolution that a transposed convolution of an H x W `plane` is the transpose of, and the plane it reads.

    Parameters
    ----------
    op : str
        Name for the messages.
    plane, kernel_size, stride, padding, output_padding, dilation
        Of the transposed convolution.

    Returns
    -------
    g : Geometry
        Of the convolution; its ``(OH, OW)`` is `plane`.
    large : (int, int)
        ``(H-1)*SH - 2*PH + DH*(KH-1) + 1 + output_padding`` rows, columns likewise.

    Raises
    ------
    ValueError
        If a number is out of range, or nothing of the large plane is left.
    """
    KH, KW = pair(op, "kernel_size", kernel_size, 1)
    (SH, SW), (DH, DW) = pair(op, "stride", stride, 1), pair(op, "dilation", dilation, 1)
    (PH, PW), extra = pair(op, "padding", padding, 0), pair(op, "output_padding", output_padding, 0)
    for more, S, D in zip(extra, (SH, SW), (DH, DW), strict=True):
        if more >= max(S, D):
            raise ValueError(
                f"{op}: output_padding={output_padding} must be less than the stride or the dilation, "
                f"{more} < max({S}, {D}), or it would add whole rows of zeros; reduce it"
            )
    g = Geometry(KH, KW, SH, SW, PH, PW, DH, DW, *plane)
    H = (g.OH - 1) * SH - 2 * PH + DH * (KH - 1) + 1 + extra[0]
    W = (g.OW - 1) * SW - 2 * PW + DW * (KW - 1) + 1 + extra[1]
    if min(*plane, H, W) < 1:
        raise ValueError(
            f"{op}: a plane of {g.OH}x{g.OW} pixels becomes one of {H}x{W} (kernel {KH}x{KW}, stride {SH}x{SW}, "
            f"padding {PH}x{PW}, dilation {DH}x{DW}); both must have at least one pixel"
        )
    return g, (H, W)


def met(plane: tuple[int, int], g: Geometry, u: int, v: int) -> tuple[slice, slice, slice, slice]:
    """Where tap (u, v) meets pixels, not padding: slices of the H x W `plane`'s two axes, then of the output's two."""
    (rows, out_rows), (columns, out_columns) = (
        _met(plane[0], u * g.DH - g.PH, g.SH, g.OH),
        _met(plane[1], v * g.DW - g.PW, g.SW, g.OW),
    )
    return rows, columns, out_rows, out_columns


def _met(size: int, offset: int, stride: int, outputs: int) -> tuple[slice, slice]:
    """Along one axis output i sees pixel ``i*stride + offset``."""
    first, last = max(0, -(offset // stride)), min(outputs - 1, (size - 1 - offset) // stride)
    if last < first:
        return slice(0), slice(0)
    return slice(first * stride + offset, last * stride + offset + 1, stride), slice(first, last + 1)
