"""QuickNet: three blocks of two 3x3 convolutions after a whitening stem, for small images in a hurry.

The shape is that of Jordan 2024, "94 % on CIFAR-10 in 3.29 seconds on a single GPU" (§3; after Page 2019):

    whitening 2x2, both signs, 24 maps       31 x 31     its filters are computed, its biases learnt
    [3x3, maximum of 2x2, norm, GELU]        15 x 15
    [3x3, norm, GELU]                                    64 maps
    the same two with 256 maps                7 x 7
    once more                                 3 x 3      256 maps
    maximum over the plane, linear without bias

which is ``QuickNet(stem=2, act="gelu", head="max", scale=False, momentum=0.4, eps=1e-12)``. By default it has ReLU,
the mean over the last plane, a learnt scale, and a stem of 3x3 patches that keeps the plane's size, so that the planes
of 32, 16, 8 and 4 pixels divide evenly into Winograd's tiles. With ``ratio=2`` the convolutions are ghost modules: half
of the maps are computed, half are their ghosts, made after the pooling.

Every convolution begins with filters that pass on one channel each (§3.3): what the stem has found reaches the
classifier from the first step on.
"""

import functools
from typing import Any

import numpy as np

from minighost.arguments import choice, number, whole
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import (
    BatchNorm2d,
    Conv2d,
    ConvBNAct,
    GhostModule,
    GlobalAvgPool,
    GlobalMaxPool,
    Linear,
    Module,
    PatchWhitening,
    Sequential,
)
from minighost.type_aliases import Array, Seed

__all__ = ["QuickNet"]

WIDTHS = 64, 256, 256  # maps of the three blocks
STEMS: dict[int | str, tuple[int, Any]] = {3: (3, 1), 2: (2, 0), "2x2 same": (2, "same")}  # patch, padding


@register(
    "quicknet",
    year=2024,
    idea="whitening stem, three short blocks",
    paper='Jordan, "94 % on CIFAR-10 in 3.29 seconds on a single GPU", arXiv 2404.00498',
)
class QuickNet(Network):
    """Whitening stem, three blocks (convolution, pooling, convolution), mean or maximum, classifier.

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
    stem : int or str
        3: the 12 directions of largest variance of 3x3 patches, on a padded plane; with ReLU a direction and its
        negative share their bias. 2: all 12 directions of 2x2 patches, on a plane that becomes a pixel smaller; "2x2
        same": the same with a line and a column of zeros at the end, which keep its size.
    act : str
        "relu", "gelu", or another of `ops.ACTIVATIONS`.
    head : str
        "mean" over the last plane, and a linear layer; or "max", and a linear layer without bias, whose weights begin
        with a standard deviation of 1/channels.
    scale : bool
        Whether batch norm learns a scale beside its shift.
    momentum, eps : float
        Of the batch norms.
    rng : int or numpy.random.Generator

    Examples
    --------
    >>> sum(p.size for p in QuickNet(rng=0).parameters())
    1972502
    """

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 10,
        ratio: int = 1,
        plain: int = 0,
        stem: int | str = 3,
        act: str = "relu",
        head: str = "mean",
        scale: bool = True,
        momentum: float = 0.1,
        eps: float = 1e-5,
        rng: Seed = 0,
    ) -> None:
        number("QuickNet", "width", width, above=0)
        choice("QuickNet", "stem", stem, STEMS)
        choice("QuickNet", "head", head, ("mean", "max"))
        whole("QuickNet", "num_classes", num_classes, 1)
        if not isinstance(plain, (int, np.integer)) or not 0 <= plain <= len(WIDTHS):
            raise ValueError(f"QuickNet: plain={plain!r} must be a whole number of blocks, 0 to {len(WIDTHS)}")
        rng, unit = np.random.default_rng(rng), functools.partial(ConvBNAct, momentum=momentum, eps=eps)

        def convolution(inputs: int, outputs: int, pool: int = 1) -> Module:
            if ratio == 1 or len(blocks) < plain:
                return unit(inputs, outputs, 3, act=act, pool=pool, rng=rng)
            return GhostModule(inputs, outputs, 3, ratio, act=act, pool=pool, rng=rng, unit=unit)

        size, padding = STEMS[stem]
        self.stem = PatchWhitening(3, size, 12, padding, "crelu" if size == 3 and act == "relu" else act)
        channels, blocks = 24, []
        for maps in WIDTHS:
            maps = make_divisible(maps * width, 4)
            blocks.append(Sequential(convolution(channels, maps, pool=2), convolution(maps, maps)))
            channels = maps
        self.blocks = Sequential(*blocks)
        self.pool = GlobalAvgPool() if head == "mean" else GlobalMaxPool()
        self.classifier = Linear(channels, num_classes, bias=head == "mean", rng=rng)
        if head == "max":
            w = self.classifier.weight.data
            w /= max(w.std() * channels, np.finfo(w.dtype).tiny)
        for module in self.blocks.modules():
            if isinstance(module, Conv2d) and module.groups == 1:
                _pass_on(module.weight.data)
            if isinstance(module, BatchNorm2d):
                module.weight.frozen = not scale

    def prepare(self, images: Array) -> None:
        """Compute the stem's filters from images (N, H, W, 3), normalised as in training."""
        self.stem.prepare(images, 1e-2 if self.stem.weight.shape[0] == 3 else 5e-4)


def _pass_on(w: Array) -> None:
    """Let the first filters (KH, KW, C, OC) see the middle pixel of one channel each."""
    KH, KW, C, OC = w.shape
    first = np.arange(min(C, OC))
    w[..., first] = 0
    w[KH // 2, KW // 2, first, first] = 1
