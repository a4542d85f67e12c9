"""QuickNet: three blocks of two 3x3 convolutions after a whitening stem, for small images in a hurry.

The shape is that of Jordan 2024, "94 % on CIFAR-10 in 3.29 seconds on a single GPU" (§3; after Page 2019), with ReLU in
place of GELU, the mean over the last plane in place of its maximum, and a stem of 3x3 patches that keeps the plane's
size, so that the planes of 32, 16, 8 and 4 pixels divide evenly into Winograd's tiles. With ``ratio=2`` the
convolutions are ghost modules: half of the maps are computed, half are their ghosts, made after the pooling.

Every convolution begins with filters that pass on one channel each (§3.3): what the stem has found reaches the
classifier from the first step on.
"""

import numpy as np

from minighost.arguments import number, whole
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import Conv2d, ConvBNAct, GhostModule, GlobalAvgPool, Linear, Module, PatchWhitening, Sequential
from minighost.type_aliases import Array, Seed

__all__ = ["QuickNet"]

WIDTHS = 64, 256, 256  # maps of the three blocks


@register(
    "quicknet",
    year=2024,
    idea="whitening stem, three short blocks",
    paper='Jordan, "94 % on CIFAR-10 in 3.29 seconds on a single GPU", arXiv 2404.00498',
)
class QuickNet(Network):
    """Whitening stem, three blocks (convolution, pooling, convolution), mean, classifier.

    Images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    width : float
        Multiplies the maps of the blocks, then rounds to multiples of 4.
    num_classes : int
    ratio : int
        1 for ordinary convolutions, 2 for ghost modules.
    plain : int
        The number of blocks, counted from the stem, that have ordinary convolutions whatever the ratio: the first is
        narrow, so that ghosts save little there.
    rng : int or numpy.random.Generator

    Examples
    --------
    >>> sum(p.size for p in QuickNet(rng=0).parameters())
    1972502
    """

    def __init__(
        self, width: float = 1.0, num_classes: int = 10, ratio: int = 1, plain: int = 0, rng: Seed = 0
    ) -> None:
        number("QuickNet", "width", width, above=0)
        whole("QuickNet", "num_classes", num_classes, 1)
        if not isinstance(plain, (int, np.integer)) or not 0 <= plain <= len(WIDTHS):
            raise ValueError(f"QuickNet: plain={plain!r} must be a whole number of blocks, 0 to {len(WIDTHS)}")
        rng = np.random.default_rng(rng)

        def convolution(inputs: int, outputs: int, pool: int = 1) -> Module:
            if ratio == 1 or len(blocks) < plain:
                return ConvBNAct(inputs, outputs, 3, pool=pool, rng=rng)
            return GhostModule(inputs, outputs, 3, ratio, pool=pool, rng=rng)

        self.stem = PatchWhitening(3, 3, filters=12, padding=1)
        channels, blocks = 24, []
        for maps in WIDTHS:
            maps = make_divisible(maps * width, 4)
            blocks.append(Sequential(convolution(channels, maps, pool=2), convolution(maps, maps)))
            channels = maps
        self.blocks = Sequential(*blocks)
        self.pool = GlobalAvgPool()
        self.classifier = Linear(channels, num_classes, rng=rng)
        for module in self.blocks.modules():
            if isinstance(module, Conv2d) and module.groups == 1:
                _pass_on(module.weight.data)

    def prepare(self, images: Array) -> None:
        """Compute the stem's filters from images (N, H, W, 3), normalised as in training."""
        self.stem.prepare(images)


def _pass_on(w: Array) -> None:
    """Let the first filters (KH, KW, C, OC) see the middle pixel of one channel each."""
    KH, KW, C, OC = w.shape
    first = np.arange(min(C, OC))
    w[..., first] = 0
    w[KH // 2, KW // 2, first, first] = 1
