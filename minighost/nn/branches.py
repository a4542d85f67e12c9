"""A convolution that is trained as several beside one another, and the one that they are in the end.

Ding et al. 2021, "RepVGG: Making VGG-style ConvNets great again", §3:

    training     out = act(bn(conv 3x3 (x)) + bn(conv 1x1 (x)) + bn(x))
    inference    out = act(conv 3x3 (x) + bias)

Like a residual block, the sum is easier to train than the single convolution. In evaluation every branch is linear, so
that the sum is one convolution: `merge_branches` computes it. MobileOne (Vasu et al. 2023, "MobileOne: An improved one
millisecond mobile backbone", §3.2) and GhostNetV3 (Liu et al. 2024) have several branches of the full kernel size.
"""

from collections.abc import Iterator

import numpy as np

from minighost.arguments import choice, whole
from minighost.engine.check import pair
from minighost.nn import functional
from minighost.nn.activations import LAYERS
from minighost.nn.blocks import ConvBNAct, SqueezeExcite
from minighost.nn.containers import Chain, ModuleList
from minighost.nn.layers import BatchNorm2d, Conv2d
from minighost.nn.module import Module, backward_onto
from minighost.type_aliases import Array, InputGrad, IntPair, Seed

__all__ = ["ConvAct", "ConvBranches"]


class ConvBranches(Module):
    """Parallel convolutions with batch norm, summed; then squeeze-and-excitation, if wanted, and activation.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, groups, act, eps, momentum, rng
        As in `ConvBNAct`. The padding keeps the size at stride 1.
    branches : int
        How many have the full kernel size.
    se_hidden : int
        Width of the squeeze-and-excitation's bottleneck (its gate is a sigmoid); 0 for none.

    Attributes
    ----------
    kernels : ModuleList of ConvBNAct
        The branches of the full kernel size.
    pointwise : ConvBNAct or None
        A 1x1 branch, if the kernel is larger than that.
    identity : BatchNorm2d or None
        A branch that is batch norm alone, if input and output have the same shape.

    Raises
    ------
    ValueError
        A kernel is even and has no centre for the 1x1 kernel; otherwise as in `Conv2d`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair,
        stride: IntPair = 1,
        groups: int = 1,
        act: str | None = "relu",
        eps: float = 1e-5,
        momentum: float = 0.1,
        rng: Seed = None,
        *,
        branches: int = 1,
        se_hidden: int = 0,
    ) -> None:
        whole("ConvBranches", "branches", branches, 1)
        kernel, strides = _odd("ConvBranches", kernel_size), pair("ConvBranches", "stride", stride, 1)
        rng = np.random.default_rng(rng)

        def branch(kernel_size: IntPair) -> ConvBNAct:
            return ConvBNAct(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                groups=groups,
                act=None,
                eps=eps,
                momentum=momentum,
                rng=rng,
            )

        self.kernels = ModuleList(branch(kernel_size) for _ in range(branches))
        self.pointwise = branch(1) if kernel != (1, 1) else None
        same = in_channels == out_channels and strides == (1, 1)
        self.identity = BatchNorm2d(in_channels, eps, momentum) if same else None
        self.se = SqueezeExcite(out_channels, se_hidden, "sigmoid", rng=rng) if se_hidden else None
        self.act = _activation("ConvBranches", act)

    def branches(self) -> Iterator[Module]:
        """Yield what is summed."""
        yield from self.kernels
        for branch in (self.pointwise, self.identity):
            if branch is not None:
                yield branch

    def forward(self, x: Array) -> Array:
        """(N, H, W, in_channels) -> (N, OH, OW, out_channels)."""
        *others, out = [branch(x) for branch in self.branches()]
        sums = []
        for y in reversed(others):  # the largest kernel comes last: it adds the rest where it writes
            out, cache = functional.add_forward(y, out)
            sums.append(cache)
        self._cache = (sums,)
        if self.se is not None:
            out = self.se(out)
        return out if self.act is None else self.act(out)

    def backward(self, dout: Array, onto: Array | None = None) -> InputGrad:
        """Every sum hands its gradient to both terms; what the branches return meets again at x."""
        (sums,) = self._take_cache(dout)
        if self.act is not None:
            dout = self.act.backward(dout)
        if self.se is not None:
            dout = self.se.backward(dout)
        dys = []
        for cache in reversed(sums):
            dy, dout = functional.add_backward(dout, cache)
            dys.append(dy)
        dx = onto
        for branch, dy in reversed(list(zip(self.branches(), [*dys, dout], strict=True))):
            dx = backward_onto(branch, dy, dx)
        return dx


class ConvAct(Chain):
    """Convolution with bias, squeeze-and-excitation if wanted, activation: what `ConvBranches` is when merged.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, groups, act, rng, se_hidden
        As in `ConvBranches`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair,
        stride: IntPair = 1,
        groups: int = 1,
        act: str | None = "relu",
        rng: Seed = None,
        *,
        se_hidden: int = 0,
    ) -> None:
        KH, KW = _odd("ConvAct", kernel_size)
        rng = np.random.default_rng(rng)
        self.conv = Conv2d(
            in_channels, out_channels, (KH, KW), stride, (KH // 2, KW // 2), groups=groups, bias=True, rng=rng
        )
        self.se = SqueezeExcite(out_channels, se_hidden, "sigmoid", rng=rng) if se_hidden else None
        self.act = _activation("ConvAct", act)


def _odd(owner: str, kernel_size: IntPair) -> tuple[int, int]:
    KH, KW = pair(owner, "kernel_size", kernel_size, 1)
    if KH % 2 == 0 or KW % 2 == 0:
        raise ValueError(f"{owner}: kernel_size={kernel_size} must be odd, or it has no centre for a 1x1 kernel")
    return KH, KW


def _activation(owner: str, act: str | None) -> Module | None:
    return None if act is None else LAYERS[choice(owner, "act", act, LAYERS)]()
