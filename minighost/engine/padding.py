"""Padding side by side: how many pixels are put above, below, left and right of a plane.

A caller gives one number, a pair (rows, columns), one pair for each axis ((above, below), (left, right)), or "same",
TensorFlow's SAME: as much as an output of ``ceil(size / stride)`` needs, and where that is odd the last side gets the
larger half. Without a stride PyTorch's ``padding="same"`` is the same.
"""

from typing import Literal

from minighost.engine.check import pair
from minighost.type_aliases import IntPair

__all__ = ["Padding", "Sides", "padding_option", "sides", "symmetric"]

Sides = tuple[tuple[int, int], tuple[int, int]]
"""((above, below), (left, right)), in pixels."""

Padding = IntPair | Sides | Literal["same"]
"""What a caller may give."""


def padding_option(op: str, padding: Padding) -> tuple[int, int] | Sides | Literal["same"]:
    """The padding in its shortest form: a pair, ((above, below), (left, right)) where sides differ, or "same".

    Raises
    ------
    TypeError, ValueError
        If it is none of these, or negative.
    """
    if isinstance(padding, str):
        if padding != "same":
            raise ValueError(
                f'{op}: padding={padding!r} is unknown; give "same", a number, (rows, columns) or '
                "((above, below), (left, right))"
            )
        return "same"
    if not (isinstance(padding, (tuple, list)) and any(isinstance(axis, (tuple, list)) for axis in padding)):
        return pair(op, "padding", padding, 0)  # type: ignore[arg-type]  # which says what is wrong with any other
    if len(padding) != 2:
        raise TypeError(f"{op}: padding={padding!r} must be ((above, below), (left, right))")
    wanted = pair(op, "padding", padding[0], 0), pair(op, "padding", padding[1], 0)
    return symmetric(wanted) or wanted


def sides(
    padding: tuple[int, int] | Sides | Literal["same"],
    plane: tuple[int, int],
    kernel_size: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
) -> Sides:
    """Pixels on each side of an H x W `plane`, for a padding in the form of `padding_option`."""
    if padding == "same":
        height, width = map(_same, plane, kernel_size, stride, dilation)
        return height, width
    first, last = padding
    if isinstance(first, tuple) and isinstance(last, tuple):
        return first, last
    return (first, first), (last, last)  # type: ignore[return-value]  # a pair of numbers


def symmetric(wanted: Sides) -> tuple[int, int] | None:
    """The padding as (rows, columns), if opposite sides get the same."""
    (above, below), (left, right) = wanted
    return (above, left) if (above, left) == (below, right) else None


def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2
