"""What layers show of a picture: the maps that come out of them."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from minighost.nn import GhostModule, Hook, Module, fusing, hooked
from minighost.registry import unknown
from minighost.type_aliases import Array

__all__ = ["GhostMaps", "ghost_maps", "layer_maps"]


class GhostMaps(NamedTuple):
    """What a ghost module makes of one image.

    Attributes
    ----------
    path : str
    intrinsic : ndarray, shape (H, W, m)
    ghosts : ndarray, shape (H, W, m * (s - 1))
        Ghost i * (s - 1) + j comes from intrinsic map i.
    """

    path: str
    intrinsic: Array
    ghosts: Array


def layer_maps(model: Module, x: Array, paths: Iterable[str]) -> dict[str, Array]:
    """The output of some modules in evaluation.

    Parameters
    ----------
    model : Module
        Its mode is put back.
    x : ndarray, shape (N, H, W, C)
        Normalised images.
    paths : iterable of str
        Names of modules in it, as in ``stages.2.ghost1``.

    Returns
    -------
    dict of str to ndarray
        From path to output, copied, in the order in which the modules ran.

    Raises
    ------
    ValueError
        No module of that name; or it did not run.
    """
    modules = dict(model.named_modules())
    wanted = {}
    for path in paths:
        if path not in modules:
            raise unknown("", "layer", path, [name for name in modules if name])
        wanted[modules[path]] = path
    recorder, training = _Outputs(wanted), model.training
    model.eval()
    try:
        with hooked(list(wanted), recorder), fusing(False):
            model(x)
    finally:
        model.train(training)
    if missing := [path for path in wanted.values() if path not in recorder.outputs]:
        raise ValueError(f"layer {missing[0]}: did not run on these images")
    return recorder.outputs


def ghost_maps(model: Module, image: Array) -> list[GhostMaps]:
    """The maps of every ghost module that has ghosts.

    Parameters
    ----------
    model : Module
    image : ndarray, shape (H, W, C)
        One normalised image.

    Returns
    -------
    list of GhostMaps
        In the network's order; empty for a network without ghost modules.
    """
    paths = [path for path, one in model.named_modules() if isinstance(one, GhostModule) and one.cheap is not None]
    inner = [f"{path}.{part}".removeprefix(".") for path in paths for part in ("primary", "cheap")]
    seen = layer_maps(model, image[None], inner) if inner else {}
    pairs = zip(paths, zip(inner[::2], inner[1::2], strict=True), strict=True)
    return [GhostMaps(path, seen[primary][0], seen[cheap][0]) for path, (primary, cheap) in pairs]


class _Outputs(Hook):
    """Keeps what modules return."""

    def __init__(self, paths: dict[Module, str]) -> None:
        self.paths, self.outputs = paths, dict[str, Array]()

    def after_forward(self, module: Module, x: Array, out: Array) -> None:
        self.outputs[self.paths[module]] = np.array(out)
