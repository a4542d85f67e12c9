"""SqueezeNet (Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", table 1).

Fire modules between poolings (3x3/2, a last window that reaches over the end counts), and no fully connected layer: a
1x1 convolution makes a map for each class, whose mean is the class's logit.

    1.0   7x7/2 96   pool   16/64 16/64 32/128   pool   32/128 48/192 48/192 64/256   pool   64/256
    1.1   3x3/2 64   pool   16/64 16/64          pool   32/128 32/128                 pool   48/192 48/192 64/256 64/256

s/e is a fire module that squeezes to s channels and expands to e and e. Version 1.1 is the authors' own, of 2016: it
pools earlier, for 2.4 times fewer multiply-adds at the same accuracy.
"""

import numpy as np

from minighost.arguments import number, whole
from minighost.models import initialize
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import Conv2d, Dropout, Fire, GlobalAvgPool, Identity, MaxPool2d, ReLU, Sequential
from minighost.type_aliases import Seed

__all__ = ["SqueezeNet", "squeezenet_cifar"]

STEMS = {"1.0": (96, 7), "1.1": (64, 3)}  # channels, kernel size
STAGES = {  # squeeze and expand of the fire modules, group by group
    "1.0": ([(16, 64), (16, 64), (32, 128)], [(32, 128), (48, 192), (48, 192), (64, 256)], [(64, 256)]),
    "1.1": ([(16, 64), (16, 64)], [(32, 128), (32, 128)], [(48, 192), (48, 192), (64, 256), (64, 256)]),
}


@register(
    "squeezenet",
    year=2016,
    idea="squeeze before every 3x3",
    paper='Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", arXiv 1602.07360',
    side=32,
)
class SqueezeNet(Network):
    """Images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    version : str
        "1.0" or "1.1"; images have at least 21 x 21 or 17 x 17 pixels.
    width : float
        Multiplies all channels, then rounds to multiples of 4.
    num_classes : int
    dropout : float
        In front of the classifier.
    small : bool
        For 32x32 images: a 3x3 stem that keeps their size, and no pooling after it.
    rng : int or numpy.random.Generator

    Raises
    ------
    ValueError
        An unknown version, or a number out of range.

    Notes
    -----
    Initial weights are torchvision's: uniform (He et al. 2015, with fan_in), the classifier's normal with standard
    deviation 0.01; biases 0.
    """

    def __init__(
        self,
        version: str = "1.0",
        width: float = 1.0,
        num_classes: int = 1000,
        dropout: float = 0.5,
        small: bool = False,
        rng: Seed = 0,
    ) -> None:
        if version not in STEMS:
            raise ValueError(f"SqueezeNet: version={version!r} is unknown; choose from {', '.join(map(repr, STEMS))}")
        number("SqueezeNet", "width", width, above=0)
        whole("SqueezeNet", "num_classes", num_classes, 1)
        rng = np.random.default_rng(rng)

        def scaled(channels: int) -> int:
            return make_divisible(channels * width, 4)

        channels, kernel_size = scaled(STEMS[version][0]), STEMS[version][1]
        conv = Conv2d(3, channels, 3, 1, 1, rng=rng) if small else Conv2d(3, channels, kernel_size, 2, rng=rng)
        self.stem = Sequential(conv, ReLU())
        stages = []
        for k, rows in enumerate(STAGES[version]):
            fires = []
            for squeeze, expand in rows:
                fires.append(Fire(channels, scaled(squeeze), scaled(expand), rng))
                channels = 2 * scaled(expand)
            pool = Identity() if small and k == 0 else MaxPool2d(3, 2, ceil_mode=True)
            stages.append(Sequential(pool, *fires))
        self.stages = Sequential(*stages)
        self.dropout = Dropout(dropout, rng)
        self.classifier = Conv2d(channels, num_classes, 1, rng=rng)
        self.act = ReLU()
        self.pool = GlobalAvgPool()
        initialize.draw_uniform(self, Conv2d, lambda w: (6 / initialize.fan_in(w)) ** 0.5, rng)
        initialize.draw_normal(self.classifier, Conv2d, 0.01, rng)


@register("squeezenet_cifar", like="squeezenet")
def squeezenet_cifar(
    version: str = "1.1", width: float = 1.0, num_classes: int = 10, dropout: float = 0.5, rng: Seed = 0
) -> SqueezeNet:
    """SqueezeNet for 32x32 images: stem 1 (3x3, padded), no pooling after it, so that maps are 32 32 16 8 wide."""
    return SqueezeNet(version, width, num_classes, dropout, True, rng)
