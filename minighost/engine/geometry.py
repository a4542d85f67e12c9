"""Where a window lands: stride, padding, dilation and groups, checked once, before anything is allocated."""

from typing import NamedTuple

from minighost.engine.check import pair
from minighost.type_aliases import IntPair

__all__ = ["Geometry", "geometry", "met", "output_size"]


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


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """``floor((size + 2*padding - dilation*(kernel-1) - 1) / stride) + 1``, the windows that fit along one axis."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def geometry(
    op: str,
    plane: tuple[int, int],
    kernel_size: IntPair,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
) -> Geometry:
    """Check the numbers and return a `Geometry`.

    Parameters
    ----------
    op : str
        Name for the messages.
    plane, kernel_size : (int, int)
        H, W and KH, KW.
    stride, padding, dilation : int or (int, int)

    Raises
    ------
    ValueError
        If a number is out of range or the kernel is larger than the padded plane.
    """
    (H, W), (KH, KW) = plane, pair(op, "kernel_size", kernel_size, 1)
    SH, SW = pair(op, "stride", stride, 1)
    PH, PW = pair(op, "padding", padding, 0)
    DH, DW = pair(op, "dilation", dilation, 1)
    OH, OW = output_size(H, KH, SH, PH, DH), output_size(W, KW, SW, PW, DW)
    if OH < 1 or OW < 1:
        reach = (DH * (KH - 1) + 1, DW * (KW - 1) + 1)
        raise ValueError(
            f"{op}: the kernel reaches over {reach[0]}x{reach[1]} pixels (size {KH}x{KW}, dilation {DH}x{DW}), more "
            f"than the padded input has: {H + 2 * PH}x{W + 2 * PW} (input {H}x{W}, padding {PH}x{PW}); "
            "pad more or use a smaller kernel"
        )
    return Geometry(KH, KW, SH, SW, PH, PW, DH, DW, OH, OW)


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
