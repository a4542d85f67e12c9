"""The layers that change a plane's size or lay it out in a row; each is a pair of functions of `minighost.ops`."""

from minighost import ops
from minighost.arguments import whole
from minighost.engine.check import pair
from minighost.engine.padding import Padding
from minighost.nn import functional
from minighost.nn.function import Function
from minighost.ops.pad import pad_options
from minighost.ops.windows import pooling_options
from minighost.type_aliases import IntPair

__all__ = [
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool2d",
    "Flatten",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "MaxPool2d",
    "Pad2d",
    "Subsample",
]


class GlobalAvgPool(Function):
    """Mean over the plane, (N, H, W, C) -> (N, C)."""

    _forward, _backward = functional.global_avg_pool_forward, functional.global_avg_pool_backward


class MaxPool2d(Function):
    """Maximum over windows; see `ops.max_pool_forward`.

    Parameters
    ----------
    kernel_size : int or (int, int)
    stride : int or (int, int), optional
        By default the kernel size.
    padding : int, (int, int), ((above, below), (left, right)) or "same"
    ceil_mode : bool
        Whether a last window that reaches over the end counts.
    """

    _forward, _backward = ops.max_pool_forward, ops.max_pool_backward

    def __init__(
        self,
        kernel_size: IntPair,
        stride: IntPair | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
    ) -> None:
        self._options = pooling_options("MaxPool2d", kernel_size, stride, padding, ceil_mode)


class AvgPool2d(Function):
    """Mean over windows; parameters as for `MaxPool2d`, and

    Parameters
    ----------
    count_include_pad : bool
        Whether padded zeros count in the mean; TensorFlow's SAME does not count them.
    """

    _forward, _backward = ops.avg_pool_forward, ops.avg_pool_backward

    def __init__(
        self,
        kernel_size: IntPair,
        stride: IntPair | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        options = pooling_options("AvgPool2d", kernel_size, stride, padding, ceil_mode)
        self._options = options | {"count_include_pad": bool(count_include_pad)}


class Flatten(Function):
    """All numbers of an image in a row, (N, H, W, C) -> (N, H*W*C): pixel after pixel, its channels side by side.

    PyTorch has them channel after channel; `interop` reorders the rows of the linear layer that follows.
    """

    _forward, _backward = ops.flatten_forward, ops.flatten_backward


class Subsample(Function):
    """Every `stride`-th pixel, between channels of zeros; see `ops.subsample_forward`."""

    _forward, _backward = ops.subsample_forward, ops.subsample_backward

    def __init__(self, out_channels: int, stride: IntPair = 1) -> None:
        whole("Subsample", "out_channels", out_channels, 1)
        self._options = {"out_channels": out_channels, "stride": pair("Subsample", "stride", stride, 1)}


class Pad2d(Function):
    """Pixels around each plane; see `ops.pad_forward`.

    Parameters
    ----------
    padding : int, (int, int) or ((above, below), (left, right))
    mode : {"zero", "edge"}
    """

    _forward, _backward = ops.pad_forward, ops.pad_backward

    def __init__(self, padding: Padding, mode: str = "zero") -> None:
        self._options = {"padding": pad_options("Pad2d", padding, mode), "mode": mode}


class GlobalMaxPool(Function):
    """Maximum over the plane, (N, H, W, C) -> (N, C)."""

    _forward, _backward = ops.global_max_pool_forward, ops.global_max_pool_backward


class AdaptiveAvgPool2d(Function):
    """Mean over OH x OW windows, `output_size`, an int or (int, int); see `ops.adaptive_avg_pool_forward`."""

    _forward, _backward = ops.adaptive_avg_pool_forward, ops.adaptive_avg_pool_backward

    def __init__(self, output_size: IntPair) -> None:
        self._options = {"output_size": pair(type(self).__name__, "output_size", output_size, 1)}


class AdaptiveMaxPool2d(AdaptiveAvgPool2d):
    """Maximum over OH x OW windows, `output_size`, an int or (int, int)."""

    _forward, _backward = ops.adaptive_max_pool_forward, ops.adaptive_max_pool_backward
