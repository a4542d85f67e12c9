"""The elementary layers: each owns its parameters and hands the mathematics to `minighost.ops`."""

from typing import Any, NamedTuple

import numpy as np

from minighost import ops
from minighost.arguments import number, whole
from minighost.engine import check
from minighost.engine.check import pair
from minighost.engine.padding import Padding, padding_option, sides, symmetric
from minighost.nn import functional, initial, limit
from minighost.nn.functional import add, materialize
from minighost.nn.module import BY_LAYERS, Module
from minighost.nn.parameter import Buffer, Parameter
from minighost.type_aliases import Array, InputGrad, IntPair, Seed

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "Identity",
    "Linear",
]


class _WithBorder(NamedTuple):
    border: Any
    conv: Any


class Conv2d(Module):
    """Convolution; see `ops.conv2d_forward`.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or (int, int)
    padding : int, (int, int), ((above, below), (left, right)) or "same"
        Zeros around the plane. "same" is TensorFlow's SAME: as many as an output of ``ceil(size / stride)`` needs, the
        odd one below and on the right; without a stride PyTorch's "same".
    groups : int
        Must divide both channel numbers; ``groups=in_channels`` is depthwise.
    bias : bool
    rng : int or numpy.random.Generator, optional
        For the weights: normal, standard deviation ``sqrt(2 / fan_out)`` with fan_out = KH*KW*out_channels/groups
        (He et al. 2015, eq. 14).

    Attributes
    ----------
    weight : Parameter, shape (KH, KW, in_channels/groups, out_channels)
    bias : Parameter, shape (out_channels,), or None
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair,
        stride: IntPair = 1,
        padding: Padding = 0,
        dilation: IntPair = 1,
        groups: int = 1,
        bias: bool = True,
        rng: Seed = None,
    ) -> None:
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            whole("Conv2d", name, value, 1)
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(
                    f"Conv2d: groups={groups} must divide {name}={channels} "
                    f"({channels} % {groups} = {channels % groups})"
                )
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride, self.dilation = pair("Conv2d", "stride", stride, 1), pair("Conv2d", "dilation", dilation, 1)
        self.padding, self.groups = padding_option("Conv2d", padding), groups
        KH, KW = self.kernel_size
        shape = (KH, KW, in_channels // groups, out_channels)
        limit.count(shape)
        std = np.sqrt(2 * groups / (KH * KW * out_channels))
        self.weight = Parameter(initial.normal(rng, std, shape))
        self.bias = Parameter(np.zeros(out_channels, np.float32)) if bias else None

    def forward(self, x: Array) -> Array:
        """(N, H, W, in_channels) -> (N, OH, OW, out_channels)."""
        bias = None if self.bias is None else self.bias._data
        x, padding, border = self._padded(x)
        out, cache = functional.conv2d_forward(
            x, self.weight._data, bias, self.stride, padding, self.dilation, self.groups, lazy=self.training
        )
        self._cache = cache if border is None else _WithBorder(border, cache)
        return out

    def _padded(self, x: Any) -> tuple[Any, Any, Any]:
        """x, the padding that is left to the convolution, and what the backward of the rest needs, or None.

        Kernels pad opposite sides alike; where they differ the border is laid around x here.
        """
        padding = self.padding
        if type(padding) is tuple and type(padding[0]) is int:
            return x, padding, None
        wanted = sides(padding_option("Conv2d", padding), x.shape[1:3], self.kernel_size, self.stride, self.dilation)
        both = symmetric(wanted)
        if both is not None:
            return x, both, None
        x, border = ops.pad_forward(x, wanted)
        return x, (0, 0), border

    def backward(self, dout: Array, onto: Array | None = None) -> InputGrad:
        """Gradient with respect to x, plus `onto` if that is given; adds to `weight.grad` and `bias.grad`."""
        cache = self._take_cache(dout)
        if isinstance(cache, _WithBorder):
            dx, dw, db = functional.conv2d_backward(dout, cache.conv, self.dx_wanted)
            dx = add(ops.pad_backward(dx, cache.border), onto) if self.dx_wanted else None
        else:
            dx, dw, db = functional.conv2d_backward(dout, cache, self.dx_wanted, onto)
        self.weight.accumulate(dw)
        if self.bias is not None:
            self.bias.accumulate(db)
        return dx

    @property
    def macs(self) -> int:  # type: ignore[override]  # a number that follows from the last forward
        """Multiply-adds per image at the last forward: OH*OW*KH*KW*(in_channels/groups)*out_channels."""
        return 0 if self.output_shape is None else self.output_shape[0] * self.output_shape[1] * self.weight.size


class BatchNorm2d(Module):
    """Batch normalisation; see `ops.batch_norm_forward`.

    Parameters
    ----------
    num_features : int
        Channels C.
    eps : float
        Added to the variance; > 0.
    momentum : float
        ``running = (1 - momentum) * running + momentum * batch``; from 0 to 1.
    relu : bool
        Apply a ReLU in the same pass over memory.

    Attributes
    ----------
    weight, bias : Parameter, shape (C,)
        gamma and beta; 1 and 0 at the start.
    running_mean, running_var : Buffer, shape (C,)
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, relu: bool = False) -> None:
        whole("BatchNorm2d", "num_features", num_features, 1)
        if momentum is None:
            raise TypeError(
                "BatchNorm2d: momentum=None, PyTorch's mean over all batches, is not offered; give a number from 0 to 1"
            )
        number("BatchNorm2d", "momentum", momentum, least=0, most=1)
        number("BatchNorm2d", "eps", eps, least=0)
        limit.count((4, num_features))
        self.eps, self.momentum, self.relu = eps, momentum, relu
        self.weight, self.bias = (Parameter(np.full(num_features, v, np.float32)) for v in (1, 0))
        self.running_mean, self.running_var = (Buffer(np.full(num_features, v, np.float32)) for v in (0, 1))

    def forward(self, x: Array) -> Array:
        """(N, H, W, C) -> (N, H, W, C)."""
        gamma, beta, mean, var = (v._data for v in (self.weight, self.bias, self.running_mean, self.running_var))
        if self.training:
            mean, var = self.running_mean.data, self.running_var.data  # they will be written to
        if self._has_own("backward", BatchNorm2d):
            x = materialize(x)  # a lazy result would come back with a gradient that is already cut
        out, self._cache = functional.batch_norm_forward(
            x, gamma, beta, mean, var, self.training, self.momentum, self.eps, self.relu
        )
        return out

    def backward(self, dout: Array) -> InputGrad:
        """Gradient with respect to x; adds to `weight.grad` and `bias.grad`."""
        dx, dgamma, dbeta = functional.batch_norm_backward(dout, self._take_cache(dout))
        self.weight.accumulate(dgamma)
        self.bias.accumulate(dbeta)
        return dx


class BatchNorm1d(BatchNorm2d):
    """Batch normalisation of rows (N, C), as of images of a single pixel; parameters as for `BatchNorm2d`."""

    def forward(self, x: Array) -> Array:
        """(N, C) -> (N, C)."""
        x = check.array("batch_norm", "x", materialize(x), 2)
        return super().forward(x[:, None, None])[:, 0, 0]

    def backward(self, dout: Array) -> InputGrad:
        """Gradient with respect to x; adds to `weight.grad` and `bias.grad`."""
        if self._output is not None:
            self._check_gradient(dout, *self._output)
            dout = dout[:, None, None]
        return super().backward(dout)[:, 0, 0]


class Linear(Module):
    """``x @ weight + bias`` on rows (N, in_features).

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
    rng : int or numpy.random.Generator, optional
        For the weights: uniform between ``-1/sqrt(in_features)`` and ``1/sqrt(in_features)``; the bias starts at 0.

    Attributes
    ----------
    weight : Parameter, shape (in_features, out_features)
    bias : Parameter, shape (out_features,), or None
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, rng: Seed = None) -> None:
        whole("Linear", "in_features", in_features, 1)
        whole("Linear", "out_features", out_features, 1)
        limit.count((in_features, out_features))
        self.weight = Parameter(initial.uniform(rng, 1 / np.sqrt(in_features), (in_features, out_features)))
        self.bias = Parameter(np.zeros(out_features, np.float32)) if bias else None

    def forward(self, x: Array) -> Array:
        """(N, in_features) -> (N, out_features)."""
        out, self._cache = ops.linear_forward(x, self.weight._data, None if self.bias is None else self.bias._data)
        return out

    def backward(self, dout: Array) -> InputGrad:
        """Gradient with respect to x; adds to `weight.grad` and `bias.grad`."""
        dx, dw, db = ops.linear_backward(dout, self._take_cache(dout))
        self.weight.accumulate(dw)
        if self.bias is not None:
            self.bias.accumulate(db)
        return dx

    @property
    def macs(self) -> int:  # type: ignore[override]  # a number that follows from the weights
        """Multiply-adds per row: in_features * out_features."""
        return self.weight.size


class Identity(Module):
    """What comes in goes out."""

    def forward(self, x: Array) -> Array:
        """Return x."""
        self._cache = BY_LAYERS  # it has nothing to keep
        return x

    def backward(self, dout: Array) -> InputGrad:
        """Return dout."""
        self._take_cache(dout)
        return dout


class Dropout(Module):
    """Silence each number with probability `p` while training; `rng` (an int or a Generator) draws the mask."""

    def __init__(self, p: float = 0.5, rng: Seed = None) -> None:
        number("Dropout", "p", p, least=0, below=1)
        self.p, self.rng = p, np.random.default_rng(rng)

    def forward(self, x: Array) -> Array:
        """Same shape; unchanged in evaluation."""
        out, mask = ops.dropout_forward(x, self.p if self.training else 0.0, self.rng)
        self._cache = (mask,)
        return out

    def backward(self, dout: Array) -> InputGrad:
        """The same mask."""
        return ops.dropout_backward(dout, *self._take_cache(dout))
