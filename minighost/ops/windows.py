"""The windows of max and average pooling: kernel size, stride and padding, checked."""

from typing import Any, NamedTuple

import numpy as np

from minighost.engine import check
from minighost.engine.geometry import Geometry, geometry
from minighost.engine.padding import Padding, padding_option, sides
from minighost.type_aliases import IntArray, IntPair

__all__ = ["Windows", "adaptive_bounds", "pooling_options", "pooling_windows"]


class Windows(NamedTuple):
    """Where the windows of a plane are.

    Attributes
    ----------
    g : Geometry
        PH and PW are the padding above and on the left; what is beyond the plane on the other sides is padding too.
    plane : (int, int)
        H, W.
    after : (int, int)
        Padding below and on the right, as it was asked for.
    """

    g: Geometry
    plane: tuple[int, int]
    after: tuple[int, int]

    def bounds(self) -> tuple[IntArray, IntArray]:
        """Where windows begin and end in the plane, padding left out: rows (OH, 2) and columns (OW, 2)."""
        g, (H, W) = self.g, self.plane
        return _clipped(H, g.KH, g.SH, g.OH, g.PH), _clipped(W, g.KW, g.SW, g.OW, g.PW)

    def counts(self, include_pad: bool) -> tuple[IntArray, IntArray]:
        """Rows (OH,) and columns (OW,) that count in each window, padding included or not.

        What a window of ceil mode covers beyond the padding counts in no case.
        """
        g, (H, W), (below, right) = self.g, self.plane, self.after
        return (
            _counts(H, g.KH, g.SH, g.OH, g.PH, below, include_pad),
            _counts(W, g.KW, g.SW, g.OW, g.PW, right, include_pad),
        )


def _clipped(size: int, kernel: int, stride: int, outputs: int, before: int) -> IntArray:
    first = np.arange(outputs) * stride - before
    return np.stack([np.maximum(first, 0), np.minimum(first + kernel, size)], axis=1)


def _counts(size: int, kernel: int, stride: int, outputs: int, before: int, after: int, include_pad: bool) -> IntArray:
    first = np.arange(outputs) * stride - before
    low, high = (-before, size + after) if include_pad else (0, size)
    return np.minimum(first + kernel, high) - np.maximum(first, low)


def pooling_options(
    op: str, kernel_size: IntPair, stride: IntPair | None = None, padding: Padding = 0, ceil_mode: bool = False
) -> dict[str, Any]:
    """The options as pairs, by name; TypeError or ValueError if they would fit no image."""
    KH, KW = check.pair(op, "kernel_size", kernel_size, 1)
    padded = padding_option(op, padding)
    if padded != "same":
        rows, columns = sides(padded, (1, 1), (KH, KW))
        if 2 * max(rows) > KH or 2 * max(columns) > KW:
            raise ValueError(
                f"{op}: padding={padding} must be at most half of kernel_size={kernel_size}, "
                "or a window would hold nothing but padding"
            )
    stride = (KH, KW) if stride is None else check.pair(op, "stride", stride, 1)
    return {"kernel_size": (KH, KW), "stride": stride, "padding": padded, "ceil_mode": bool(ceil_mode)}


def pooling_windows(
    op: str,
    plane: tuple[int, int],
    kernel_size: IntPair,
    stride: IntPair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
) -> Windows:
    """The windows of these options over an H x W `plane`, checked."""
    options = pooling_options(op, kernel_size, stride, padding, ceil_mode)
    (above, below), (left, right) = sides(options["padding"], plane, options["kernel_size"], options["stride"])
    options |= {"padding": (above, left), "after": (below, right)}
    return Windows(geometry(op, plane, **options), plane, (below, right))


def adaptive_bounds(op: str, plane: tuple[int, int], output_size: IntPair) -> tuple[IntArray, IntArray]:
    """Where the windows of adaptive pooling begin and end: rows (OH, 2) and columns (OW, 2)."""
    H, W = plane
    OH, OW = check.pair(op, "output_size", output_size, 1)
    if not H * W:
        raise ValueError(f"{op}: a plane of {H}x{W} pixels cannot be divided into windows; give it at least one pixel")
    return _bounds(H, OH), _bounds(W, OW)


def _bounds(size: int, outputs: int) -> IntArray:
    i = np.arange(outputs)
    return np.stack([i * size // outputs, -(-(i + 1) * size // outputs)], axis=1)
