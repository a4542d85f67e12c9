"""The windows of max and average pooling: kernel size, stride and padding, checked."""

from minighost.engine import check
from minighost.engine.geometry import Geometry, geometry
from minighost.type_aliases import Array, IntPair

__all__ = ["pooling_geometry", "pooling_options"]


def pooling_options(
    op: str, kernel_size: IntPair, stride: IntPair | None = None, padding: IntPair = 0
) -> dict[str, tuple[int, int]]:
    """The options as pairs, by name; TypeError or ValueError if they would fit no image."""
    (KH, KW), (PH, PW) = check.pair(op, "kernel_size", kernel_size, 1), check.pair(op, "padding", padding, 0)
    if 2 * PH > KH or 2 * PW > KW:
        raise ValueError(
            f"{op}: padding={padding} must be at most half of kernel_size={kernel_size}, "
            "or a window would hold nothing but padding"
        )
    stride = (KH, KW) if stride is None else check.pair(op, "stride", stride, 1)
    return {"kernel_size": (KH, KW), "stride": stride, "padding": (PH, PW)}


def pooling_geometry(op: str, x: Array, kernel_size: IntPair, stride: IntPair | None, padding: IntPair) -> Geometry:
    """The `Geometry` of these windows over `x`, checked."""
    return geometry(op, x.shape[1:3], **pooling_options(op, kernel_size, stride, padding))
