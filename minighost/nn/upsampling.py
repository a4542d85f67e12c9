"""The layers that make a plane larger: transposed convolution, resizing, and channels that become pixels."""

import numpy as np

from minighost import ops
from minighost.arguments import whole
from minighost.engine.check import pair
from minighost.engine.geometry import output_size, transposed_geometry
from minighost.nn import initial, limit
from minighost.nn.function import Function
from minighost.nn.functional import materialize
from minighost.nn.module import Module
from minighost.nn.parameter import Parameter
from minighost.ops.conv_transpose2d import checked_method
from minighost.ops.depth_to_space import checked_block
from minighost.type_aliases import Array, InputGrad, IntPair, Seed

__all__ = ["ConvTranspose2d", "DepthToSpace", "Resize", "SpaceToDepth"]


class ConvTranspose2d(Module):
    """Transposed convolution; see `ops.conv_transpose2d_forward`.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, output_padding, dilation : int or (int, int)
    groups : int
        Must divide both channel numbers.
    bias : bool
    method : {"depth_to_space", "scatter", "zero_insertion"}, optional
        How it is computed; by default as is quickest.
    rng : int or numpy.random.Generator, optional
        For the weights: normal, standard deviation ``sqrt(2 / (KH*KW*out_channels/groups))``, which is He's of the
        convolution that runs backward.

    Attributes
    ----------
    weight : Parameter, shape (KH, KW, out_channels/groups, in_channels)
    bias : Parameter, shape (out_channels,), or None
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair,
        stride: IntPair = 1,
        padding: IntPair = 0,
        output_padding: IntPair = 0,
        dilation: IntPair = 1,
        groups: int = 1,
        bias: bool = True,
        method: str | None = None,
        rng: Seed = None,
    ) -> None:
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            whole("ConvTranspose2d", name, value, 1)
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(
                    f"ConvTranspose2d: groups={groups} must divide {name}={channels} "
                    f"({channels} % {groups} = {channels % groups})"
                )
        g, _ = transposed_geometry(  # of a plane that is large enough for any padding
            "ConvTranspose2d", (1 << 20, 1 << 20), kernel_size, stride, padding, output_padding, dilation
        )
        self.kernel_size, self.stride, self.padding = (g.KH, g.KW), (g.SH, g.SW), (g.PH, g.PW)
        self.output_padding, self.dilation = pair("ConvTranspose2d", "output_padding", output_padding, 0), (g.DH, g.DW)
        self.groups, self.method = groups, checked_method("ConvTranspose2d", method)
        shape = (g.KH, g.KW, out_channels // groups, in_channels)
        limit.count(shape)
        self.weight = Parameter(initial.normal(rng, np.sqrt(2 * groups / (g.KH * g.KW * out_channels)), shape))
        self.bias = Parameter(np.zeros(out_channels, np.float32)) if bias else None

    def forward(self, x: Array) -> Array:
        """(N, H, W, in_channels) -> (N, OH, OW, out_channels)."""
        out, self._cache = ops.conv_transpose2d_forward(
            materialize(x),
            self.weight._data,
            None if self.bias is None else self.bias._data,
            self.stride,
            self.padding,
            self.output_padding,
            self.dilation,
            self.groups,
            self.method,
        )
        return out

    def backward(self, dout: Array) -> InputGrad:
        """Gradient with respect to x; adds to `weight.grad` and `bias.grad`."""
        dx, dw, db = ops.conv_transpose2d_backward(dout, self._take_cache(dout))
        self.weight.accumulate(dw)
        if self.bias is not None:
            self.bias.accumulate(db)
        return dx

    @property
    def macs(self) -> int:  # type: ignore[override]  # a number that follows from the last forward
        """Multiply-adds per image at the last forward: H*W*KH*KW*in_channels*(out_channels/groups), of the input plane.

        It is the number of products that are scattered. Zeros that a construction multiplies, and products that fall
        on the padding, make no difference to it.
        """
        if self.output_shape is None:
            return 0
        options = self.output_shape[:2], self.output_padding, self.kernel_size, self.stride, self.padding, self.dilation
        H, W = (output_size(size - more, K, S, P, D) for size, more, K, S, P, D in zip(*options, strict=True))
        return H * W * self.weight.size


class Resize(Module):
    """Resize the plane, to a size or by a factor; see `ops.resize_nearest_forward`, `ops.resize_bilinear_forward`.

    Parameters
    ----------
    size : int or (int, int), optional
        OH, OW.
    factor : int or (int, int), optional
        OH/H, OW/W. Either `size` or this.
    mode : {"nearest", "bilinear"}
    """

    def __init__(self, size: IntPair | None = None, factor: IntPair | None = None, mode: str = "nearest") -> None:
        if (size is None) == (factor is None):
            raise ValueError(f"Resize: give either size or factor, got size={size}, factor={factor}")
        if mode not in ("nearest", "bilinear"):
            raise ValueError(f"Resize: mode={mode!r} must be 'nearest' or 'bilinear'")
        self.size = None if size is None else pair("Resize", "size", size, 1)
        self.factor = None if factor is None else pair("Resize", "factor", factor, 1)
        self.mode = mode

    def forward(self, x: Array) -> Array:
        """(N, H, W, C) -> (N, OH, OW, C)."""
        x = materialize(x)
        H, W = self.factor or (1, 1)
        size = self.size or (x.shape[-3] * H, x.shape[-2] * W) if x.ndim == 4 else 1
        resize = ops.resize_nearest_forward if self.mode == "nearest" else ops.resize_bilinear_forward
        out, self._cache = resize(x, size)
        return out

    def backward(self, dout: Array) -> InputGrad:
        """Gradient with respect to x."""
        resize = ops.resize_nearest_backward if self.mode == "nearest" else ops.resize_bilinear_backward
        return resize(dout, self._take_cache(dout))


class DepthToSpace(Function):
    """Channels become blocks of pixels; see `ops.depth_to_space_forward`.

    Parameters
    ----------
    block : int or (int, int)
    order : {"DCR", "CRD"}
        CRD is PyTorch's `PixelShuffle`.
    """

    _forward, _backward = ops.depth_to_space_forward, ops.depth_to_space_backward

    def __init__(self, block: IntPair, order: str = "DCR") -> None:
        self._options = {"block": checked_block(type(self).__name__, block, order), "order": order}


class SpaceToDepth(DepthToSpace):
    """Blocks of pixels become channels; parameters as for `DepthToSpace`, whose inverse it is."""

    _forward, _backward = ops.space_to_depth_forward, ops.space_to_depth_backward
