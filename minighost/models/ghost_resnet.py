"""ResNets of ghost modules (Han et al. 2020, "GhostNet: More features from cheap operations", §4.1 and §4.2).

Every convolution of a block becomes a ghost module of its kernel size and stride, projections included; the stem stays
as it is, unless ``replace_first=True``. Batch norm and ReLU are inside the module, so that none follows it.

The paper gives 0.43 M parameters and 63 M multiply-adds for Ghost-ResNet-56, which are those with ghosts of 1x1 kernels
(d = 1): 430,090 and 63,222,400. With 3x3 kernels (d = 3) there are 438,154 and 65,286,784. Of Ghost-ResNet-50 its
multiply-adds (2.2 G for s = 2, 1.2 G for s = 4) are those here, its parameters (13.0 M and 6.5 M) are not: with batch
norms 13,953,512 and 8,151,752. The ghost modules of the authors' code have biases and no batch norm
(``bn="none", conv_bias=True``), which leaves 13,927,016 and 8,125,256.
"""

from collections.abc import Sequence
from typing import Any

from minighost.models.registry import register
from minighost.models.resnet import ResNet, blocks_of
from minighost.models.resnet_imagenet import ResNetImageNet
from minighost.nn import BatchNorm2d, Conv2d, ConvBNAct, GhostModule, Module, ReLU, Sequential
from minighost.nn.ghost_variants import variant
from minighost.nn.residual import Unit
from minighost.type_aliases import Seed

__all__ = ["ghost_resnet50", "ghost_resnet50_cifar", "ghost_resnet56_cifar", "ghost_resnet_cifar", "ghost_unit"]

_PAPER = 'Han et al., "GhostNet: More features from cheap operations", arXiv 1911.11907'


class _Biased(GhostModule):
    """A ghost module without batch norm and activation."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, s: int, d: int, stride: int, bias: bool, rng: Seed
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, s, d, stride, act=False, rng=rng)
        m = self.intrinsic
        self.primary = Conv2d(in_channels, m, kernel_size, stride, kernel_size // 2, bias=bias, rng=rng)
        if self.cheap is not None:
            self.cheap = Conv2d(m, m * (s - 1), d, padding=d // 2, groups=m, bias=bias, rng=rng)


def ghost_unit(
    s: int = 2, d: int | Sequence[int] = 3, bn: str = "inside", conv_bias: bool = False, module: str = "standard"
) -> Unit:
    """What makes a ghost module where a `ConvBNAct` would be.

    Parameters
    ----------
    s : int
        Ratio.
    d : int or sequence of int
        Kernel size of the cheap operation; of several, each makes its share of the ghosts.
    bn : str
        "inside", after both convolutions of the module; "none"; or "inside+outside": once more after the module, a
        known mistake, here to be recognised by its number of parameters.
    conv_bias : bool
        Whether the convolutions have biases; only without batch norm, which would take them away again.
    module : str
        "standard", or a variant that asks what a part of the module is worth (`nn.ghost_variants`): "pointwise",
        "linear", "all_cheap", "ghosts_first".

    Raises
    ------
    ValueError
        `bn` or `module` is unknown, or what is asked for does not go together.
    """
    made = variant("ghost_resnet", module)
    if bn not in ("inside", "inside+outside", "none"):
        raise ValueError(f"ghost_resnet: bn={bn!r} is unknown; choose from 'inside', 'inside+outside', 'none'")
    if conv_bias and bn != "none":
        raise ValueError(f"ghost_resnet: conv_bias=True needs bn='none', not {bn!r}: batch norm would undo the biases")
    if bn == "none" and (module != "standard" or not isinstance(d, int)):
        raise ValueError(f"ghost_resnet: bn='none' goes with module='standard' and one d, not {module!r} and d={d}")

    def unit(
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        act: str | None = "relu",
        rng: Seed = None,
    ) -> Module:
        if bn == "none":
            one: Any = d
            ghost: Module = _Biased(in_channels, out_channels, kernel_size, s, one, stride, conv_bias, rng)
            return Sequential(ghost, ReLU()) if act else ghost
        ghost = made(in_channels, out_channels, kernel_size, s, d, stride, act == "relu", rng=rng)
        return ghost if bn == "inside" else Sequential(ghost, BatchNorm2d(out_channels, relu=act == "relu"))

    return unit


@register("ghost_resnet_cifar", year=2020, idea="a ResNet of ghost modules", paper=_PAPER)
def ghost_resnet_cifar(
    depth: int = 20,
    s: int = 2,
    d: int | Sequence[int] = 3,
    shortcut: str = "A",
    replace_first: bool = False,
    bn: str = "inside",
    width: float = 1.0,
    num_classes: int = 10,
    rng: Seed = 0,
    module: str = "standard",
) -> ResNet:
    """The `ResNet` of 6n + 2 layers of ghost modules; `replace_first` asks for one in place of the stem too.

    `module` exchanges a part of every ghost module, as in `ghost_unit`.
    """
    unit = ghost_unit(s, d, bn, module=module)
    return ResNet(blocks_of(depth), width, num_classes, rng, shortcut, unit, unit if replace_first else ConvBNAct)


@register("ghost_resnet56_cifar", like="ghost_resnet_cifar")
def ghost_resnet56_cifar(
    s: int = 2,
    d: int = 3,
    shortcut: str = "A",
    replace_first: bool = False,
    bn: str = "inside",
    width: float = 1.0,
    num_classes: int = 10,
    rng: Seed = 0,
) -> ResNet:
    """The paper's Ghost-ResNet-56."""
    return ghost_resnet_cifar(56, s, d, shortcut, replace_first, bn, width, num_classes, rng)


@register("ghost_resnet50", like="ghost_resnet_cifar")
def ghost_resnet50(
    s: int = 2,
    d: int = 3,
    bn: str = "inside",
    conv_bias: bool = False,
    width: float = 1.0,
    num_classes: int = 1000,
    rng: Seed = 0,
) -> ResNetImageNet:
    """ResNet-50 (stride on the 3x3) of ghost modules but for its stem."""
    return ResNetImageNet(50, "3x3", width, num_classes, False, ghost_unit(s, d, bn, conv_bias), rng)


@register("ghost_resnet50_cifar", like="ghost_resnet_cifar")
def ghost_resnet50_cifar(
    s: int = 2, d: int = 3, width: float = 1.0, num_classes: int = 10, rng: Seed = 0
) -> ResNetImageNet:
    """Ghost-ResNet-50 for 32x32 images: strides as in `resnet50_cifar`, so that maps are 32 32 16 8 4 wide."""
    return ResNetImageNet(50, "3x3", width, num_classes, True, ghost_unit(s, d), rng)
