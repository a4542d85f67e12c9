"""GhostNet for images of 32x32, where the paper's strides would leave one pixel, and a shorter one of our own."""

from minighost.models.ghostnet import GhostNet, Stages
from minighost.models.registry import register
from minighost.type_aliases import Seed

__all__ = ["ghostnet_cifar", "ghostnet_cifar_fast", "ghostnet_short"]

SHORT_STAGES: Stages = [
    (2, [(3, 32, 32, 0)]),
    (1, [(3, 96, 32, 0), (3, 96, 32, 0)]),
    (2, [(3, 128, 64, 0)]),
    (1, [(3, 192, 64, 0.25), (3, 192, 64, 0), (3, 192, 64, 0.25)]),
    (2, [(3, 384, 128, 0)]),
    (1, [(3, 512, 128, 0.25), (3, 512, 128, 0)]),
]


@register("ghostnet_cifar", like="ghostnet")
def ghostnet_cifar(
    width: float = 1.0,
    num_classes: int = 10,
    dropout: float = 0.2,
    ratio: int = 2,
    gate: str = "hard_sigmoid",
    rng: Seed = 0,
    *,
    dw_size: int = 3,
) -> GhostNet:
    """GhostNet for 32x32 images: the stem and the first strided stage keep the size, so maps are 32 32 16 8 4 wide.

    Strides: stem 1; stages 1 1 1 2 1 2 1 2 1 (the paper: stem 2; stages 1 2 1 2 1 2 1 2 1, which leaves 1x1 maps).
    """
    return GhostNet(width, num_classes, 1, (1, 1, 1, 2, 1, 2, 1, 2, 1), dropout, ratio, gate, rng, dw_size=dw_size)


@register("ghostnet_cifar_fast", like="ghostnet")
def ghostnet_cifar_fast(
    width: float = 1.0,
    num_classes: int = 10,
    dropout: float = 0.2,
    ratio: int = 2,
    gate: str = "hard_sigmoid",
    rng: Seed = 0,
    *,
    dw_size: int = 3,
) -> GhostNet:
    """GhostNet for 32x32 images in a hurry: maps are 32 16 16 8 4 wide, with a quarter fewer activations.

    Strides: stem 1; stages 1 2 1 1 1 2 1 2 1. Only the stem and the first bottleneck work at full size.
    """
    return GhostNet(width, num_classes, 1, (1, 2, 1, 1, 1, 2, 1, 2, 1), dropout, ratio, gate, rng, dw_size=dw_size)


@register("ghostnet_short", like="ghostnet")
def ghostnet_short(
    width: float = 1.0,
    num_classes: int = 10,
    dropout: float = 0.2,
    ratio: int = 2,
    gate: str = "hard_sigmoid",
    rng: Seed = 0,
    *,
    dw_size: int = 3,
) -> GhostNet:
    """Ghost bottlenecks in a shape of our own that learns small images quickly: 10 instead of 16, wider where maps are
    large, narrower where they are 4x4. All else is GhostNet.

    Strides: stem 1; stages 2 1 2 1 2 1, so that maps are 32 16 8 4 wide.
    """
    return GhostNet(width, num_classes, 1, None, dropout, ratio, gate, rng, SHORT_STAGES, dw_size=dw_size)
