"""What networks are made of: convolution with batch norm and activation, and squeeze-and-excitation."""

from minighost.arguments import choice
from minighost.engine.check import pair
from minighost.engine.padding import Padding
from minighost.nn import functional
from minighost.nn.activations import LAYERS, ClipGate, HardSigmoid, Sigmoid
from minighost.nn.layers import BatchNorm2d, Conv2d, Linear
from minighost.nn.module import Module, backward_onto
from minighost.nn.pooling import MaxPool2d
from minighost.type_aliases import Array, InputGrad, IntPair, Seed

__all__ = ["ConvBNAct", "SqueezeExcite"]

GATES = {"hard_sigmoid": HardSigmoid, "clip": ClipGate, "sigmoid": Sigmoid}


class ConvBNAct(Module):
    """Convolution without bias, maximum over windows if wanted, batch norm, activation: the unit of all networks here.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, dilation, groups, rng
        As in `Conv2d`.
    padding : int, (int, int), ((above, below), (left, right)) or "same", optional
        By default the one that keeps the size at stride 1, ``dilation * (kernel_size - 1) / 2``.
    act : str or None
        "relu" (done by the batch norm in passing), "relu6", "hard_swish", "silu", "gelu", ... (`ops.ACTIVATIONS`), or
        None.
    eps, momentum : float
        Of the batch norm.
    pool : int
        Side of the windows whose maxima the batch norm sees; 1 for no pooling. Before the batch norm pooling costs less
        than after the activation, and differs only in what the statistics are taken of.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair,
        stride: IntPair = 1,
        padding: Padding | None = None,
        dilation: IntPair = 1,
        groups: int = 1,
        act: str | None = "relu",
        eps: float = 1e-5,
        momentum: float = 0.1,
        pool: int = 1,
        rng: Seed = None,
    ) -> None:
        if act is not None:
            choice("ConvBNAct", "act", act, LAYERS)
        if padding is None:
            padding = _same_padding(kernel_size, dilation)
        self.conv = Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias=False, rng=rng
        )
        self.pool = MaxPool2d(pool) if pool != 1 else None
        self.bn = BatchNorm2d(out_channels, eps, momentum, relu=act == "relu")
        self.act = None if act in (None, "relu") else LAYERS[act]()

    def forward(self, x: Array) -> Array:
        """(N, H, W, in_channels) -> (N, OH, OW, out_channels)."""
        y = self.conv(x)
        if self.pool is not None:
            y = self.pool(y)
        y = self.bn(y)
        return y if self.act is None else self.act(y)

    def backward(self, dout: Array, onto: Array | None = None) -> InputGrad:
        """Activation, batch norm, pooling, convolution."""
        self._take_cache(dout)
        if self.act is not None:
            dout = self.act.backward(dout)
        dout = self.bn.backward(dout)
        if self.pool is not None:
            dout = self.pool.backward(dout)
        return backward_onto(self.conv, dout, onto)


class SqueezeExcite(Module):
    """Weigh every channel by a gate that sees the whole plane (Hu et al. 2018, §3).

        out = x * gate(expand(act(reduce(mean over H and W of x))))

    Parameters
    ----------
    channels, hidden : int
        Width of the block and of its bottleneck; `models.squeeze_width` has the families' rules.
    gate : str
        "hard_sigmoid", relu6(x+3)/6; "clip", clip(x, 0, 1); or "sigmoid".
    act : str
        Of the bottleneck: "relu" (the paper's), "silu" (EfficientNet's), or another of `ops.ACTIVATIONS`.
    rng : int or numpy.random.Generator, optional
    """

    def __init__(
        self, channels: int, hidden: int, gate: str = "hard_sigmoid", act: str = "relu", rng: Seed = None
    ) -> None:
        choice("SqueezeExcite", "gate", gate, GATES)
        choice("SqueezeExcite", "act", act, LAYERS)
        self.reduce = Linear(channels, hidden, rng=rng)
        self.act = LAYERS[act]()
        self.expand = Linear(hidden, channels, rng=rng)
        self.gate = GATES[gate]()

    def forward(self, x: Array) -> Array:
        """(N, H, W, channels) -> the same."""
        squeezed, pool_cache = functional.global_avg_pool_forward(x)  # (N, C)
        gate = self.gate(self.expand(self.act(self.reduce(squeezed))))
        out, scale_cache = functional.scale_forward(x, gate)
        self._cache = pool_cache, scale_cache
        return out

    def backward(self, dout: Array) -> InputGrad:
        """x matters twice: as what is scaled, and through its mean as what decides the scale."""
        pool_cache, scale_cache = self._take_cache(dout)
        dx, dgate = functional.scale_backward(dout, scale_cache)
        dsqueezed = self.reduce.backward(self.act.backward(self.expand.backward(self.gate.backward(dgate))))
        return functional.global_avg_pool_backward(dsqueezed, pool_cache, onto=dx)


def _same_padding(kernel_size: IntPair, dilation: IntPair) -> tuple[int, int]:
    KH, KW = pair("ConvBNAct", "kernel_size", kernel_size, 1)
    DH, DW = pair("ConvBNAct", "dilation", dilation, 1)
    return DH * (KH - 1) // 2, DW * (KW - 1) // 2
