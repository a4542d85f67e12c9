"""VGG-16 of ghost modules for CIFAR-10 (Han et al. 2020, "GhostNet: More features from cheap operations", table 3).

All thirteen convolutions become ghost modules, the first one too; batch norm and ReLU are inside, and none follows. So
the paper's cells come out: 7.7 M parameters and 158 M multiply-adds for s = 2 and d = 3, 3.3 M and 65 M for s = 5. (Its
weights include the hidden layer of 512 features, its multiply-adds do not.)
"""

import numpy as np

from minighost.models.registry import register
from minighost.models.vgg import VGGCifar, plain_unit
from minighost.nn import GhostModule, Module
from minighost.type_aliases import Seed

__all__ = ["ghost_vgg16_cifar"]


@register(
    "ghost_vgg16_cifar",
    year=2020,
    idea="a VGG of ghost modules",
    paper='Han et al., "GhostNet: More features from cheap operations", arXiv 1911.11907',
    side=32,
)
def ghost_vgg16_cifar(
    s: int = 2,
    d: int = 3,
    fc512: bool = True,
    replace_first: bool = True,
    width: float = 1.0,
    num_classes: int = 10,
    rng: Seed = 0,
) -> VGGCifar:
    """`vgg16_cifar` of ghost modules of ratio `s` and cheap kernel size `d`; `replace_first` also in front."""
    rng = np.random.default_rng(rng)

    def ghost(in_channels: int, out_channels: int) -> Module:
        return GhostModule(in_channels, out_channels, 3, s, d, rng=rng)

    return VGGCifar(width, num_classes, fc512, rng, ghost, ghost if replace_first else plain_unit(True, rng))
