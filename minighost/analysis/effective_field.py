"""Which pixels a place of a map really depends on (Luo et al. 2016, "Understanding the effective receptive field in
deep convolutional neural networks", §2).

The formula (`receptive_field`) counts every pixel that could matter. How much it does matter is the gradient: a sign is
drawn for each channel at the centre of a map, and the size of what arrives at the image after the backward is averaged
over images and colours. Its middle is bright and its rim nearly black: many more paths lead through the middle than
along the rim.
"""

import copy
from typing import NamedTuple

import numpy as np

from minighost.arguments import whole
from minighost.nn import Chain, Module, Sequential
from minighost.registry import unknown
from minighost.type_aliases import Array, Seed

__all__ = ["EffectiveField", "effective_field", "up_to"]


class EffectiveField(NamedTuple):
    """The influence of each pixel on the centre of a map.

    Attributes
    ----------
    influence : ndarray, shape (H, W), float64
        Mean size of the gradient; its sum is 1.
    side : float
        Of a square as large as the pixels that matter most and together have 95 % of the influence.
    reach : int
        Side of the smallest square around the centre that holds every pixel of any influence.
    """

    influence: Array
    side: float
    reach: int


def effective_field(
    model: Module, path: str, shape: tuple[int, int, int], images: int = 16, seed: Seed = 0
) -> EffectiveField:
    """Of the output of one module.

    Parameters
    ----------
    model : Module
        A chain of its attributes, and every module on the way to `path` as well; all networks of `models` are.
    path : str
        The module, as in ``stages.2``; its output must be a plane of maps.
    shape : (int, int, int)
        (H, W, C) of an image.
    images : int
        Random images to average over.
    seed : int or numpy.random.Generator

    Notes
    -----
    A copy of the layers computes in float64: with Winograd's transforms, rounding reaches further than the filters do.
    What is below 1e-12 of the largest influence counts as none.

    Returns
    -------
    EffectiveField

    Raises
    ------
    ValueError
        Unknown path, a module inside a block that is no chain, an output without a plane.
    """
    whole("effective_field", "images", images, 1)
    rng, first = np.random.default_rng(seed), copy.deepcopy(up_to(model, path)).astype(np.float64).eval()
    out = first(rng.normal(size=(images, *shape)))
    if out.ndim != 4:
        raise ValueError(f"effective_field: the output of {path} has shape {out.shape[1:]}, which is no plane of maps")
    dout = np.zeros_like(out)
    _, H, W, channels = out.shape
    dout[:, H // 2, W // 2] = rng.choice([-1, 1], (images, channels))
    dx = first.backward(dout)
    influence = abs(dx).mean(axis=(0, 3))
    influence[influence < 1e-12 * influence.max()] = 0
    total = influence.sum()
    influence = influence / total if total else influence
    return EffectiveField(influence, _side(influence), _reach(influence))


def up_to(model: Module, path: str) -> Sequential:
    """The layers of a chain up to and including one of them, as a chain; they are shared, not copied.

    Raises
    ------
    ValueError
        No module of that name; or it lies inside a block that is no chain, where "up to" has no meaning.
    """
    modules = dict(model.named_modules())
    if path not in modules:
        raise unknown("", "layer", path, [name for name in modules if name])
    layers: list[Module] = []
    here, names = model, path.split(".")
    for depth, name in enumerate(names):
        if not isinstance(here, Chain) or getattr(here, "residual", False):
            where = ".".join(names[:depth]) or type(model).__name__
            raise ValueError(
                f"layer {path}: {where} is a {type(here).__name__}, not a chain of layers; name {where} itself"
            )
        for child_name, child in here.named_children():
            if child_name == name:
                here = child
                break
            layers.append(child)
    return Sequential(*layers, here)


def _side(influence: Array) -> float:
    """Side of a square of as many pixels as have 95 % of the influence."""
    ordered = np.sort(influence, axis=None)[::-1].cumsum()
    return float(np.sqrt(np.searchsorted(ordered, 0.95) + 1)) if ordered[-1] else 0.0


def _reach(influence: Array) -> int:
    rows, columns = np.nonzero(influence)
    if not len(rows):
        return 0
    return int(max(np.ptp(rows), np.ptp(columns)) + 1)
