"""A network without its head: the maps on the way, for a detector or a segmentation that reads several of them.

Of all maps of one stride the last is taken, the one before the next reduction (Lin et al. 2017, "Feature pyramid
networks", §3). What comes after the last kernel larger than 1x1 only prepares the classifier, and goes.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minighost.nn import Chain, Module, ModuleList, Parameter, Sequential
from minighost.nn.functional import add, materialize
from minighost.type_aliases import Array, InputGrad

__all__ = ["Features"]

SIDE = 512  # of the plane on which strides are read off; nothing is computed
MAPS = 4  # how many strides are offered unless it is said which


class Features(Module):
    """The maps of a network at some strides: images (N, H, W, 3) -> list of (N, H/stride, W/stride, channels).

    Parameters
    ----------
    network : Chain
        Its layers become this module's; they are not copied. Load weights into the network before.
    strides : True or sequence of int
        Pixels of the image from one place of a map to the next. True stands for the four largest that the network
        has: 4, 8, 16, 32 where it is made for images of 224 pixels. Layers after the last map are left out.

    Attributes
    ----------
    strides : tuple of int
        Ascending.
    channels : tuple of int
        Of each map.

    Raises
    ------
    TypeError
        The network is not a chain of its attributes.
    ValueError
        It has no map of such a stride.

    Examples
    --------
    >>> from minighost import models
    >>> features = models.create("ghostnet", width=1.0, features_only=True)
    >>> features.strides, features.channels
    ((4, 8, 16, 32), (24, 40, 112, 160))
    >>> [one.shape for one in features(np.zeros((1, 64, 64, 3), np.float32))]
    [(1, 16, 16, 24), (1, 8, 8, 40), (1, 4, 4, 112), (1, 2, 2, 160)]
    """

    is_block = False

    def __init__(self, network: Module, strides: bool | Sequence[int] = True) -> None:
        name = type(network).__name__
        if not isinstance(network, Chain):
            raise TypeError(f"features_only: {name} must be a Chain, whose attributes run one after the other")
        units = list(_units(network))
        shapes = _shapes(network, units)
        last = {_stride(shape): k for k, shape in enumerate(shapes)}  # where a stride occurs last
        self.strides = _chosen(name, strides, sorted(last))
        ends = [last[stride] + 1 for stride in self.strides]
        self.channels = tuple(shapes[end - 1][2] for end in ends)
        self.stages = ModuleList(Sequential(*units[start:end]) for start, end in zip([0, *ends], ends, strict=False))

    def __call__(self, x: Array) -> list[Array]:  # type: ignore[override]  # several arrays, not one
        """Run `forward`; an error inside it names the path of the layer where it arose."""
        self._cache = None
        try:
            return self.forward(x)
        except (TypeError, ValueError) as error:
            self._name_layer(error)
            raise

    def forward(self, x: Array) -> list[Array]:  # type: ignore[override]
        """(N, H, W, 3) -> the maps, the finest first."""
        maps = []
        for stage in self.stages:
            x = materialize(stage(x))  # each has two readers
            maps.append(x)
        self._cache = [(one.shape, one.dtype) for one in maps]
        return maps

    def backward(self, dout: Sequence[Array | None]) -> InputGrad:  # type: ignore[override]
        """Gradient with respect to the images, if it is wanted.

        Parameters
        ----------
        dout : sequence of ndarray or None
            One for each map; None for a map on which the loss does not depend.
        """
        if len(dout) != len(self.strides) or all(one is None for one in dout):
            given = sum(one is not None for one in dout)
            raise ValueError(
                f"Features backward: dout must be a list of {len(self.strides)} gradients, one per stride "
                f"{self.strides}, None where there is none, but not all None; got {len(dout)} with {given} arrays"
            )
        for one, (shape, dtype) in zip(dout, self._cache or (), strict=False):
            if one is not None:
                self._check_gradient(one, shape, dtype)
        self._take_cache(dout)  # type: ignore[arg-type]
        dx: InputGrad = None
        stages = list(self.stages)
        for k in range(len(stages) - 1, self._first_wanted() - 1, -1):
            total = add(dout[k], dx)
            dx = None if total is None else stages[k].backward(total)
        return dx if self._first_wanted() == 0 else None

    def _first_wanted(self) -> int:
        """The first stage that needs its gradient: where nobody wants that of the images, one that is not frozen."""
        if next(m for m in self.modules() if any(isinstance(v, Parameter) for v in vars(m).values())).dx_wanted:
            return 0
        thawed = (k for k, stage in enumerate(self.stages) if not all(m.frozen for m in stage.modules()))
        return next(thawed, len(self.stages))


def _units(network: Module) -> Iterator[Module]:
    """Layers and blocks up to the last attribute with a kernel larger than 1x1, in order; Sequentials are opened."""
    attributes = list(network.children())
    spatial = [k for k, one in enumerate(attributes) if any(map(_is_spatial, one.modules()))]
    for one in attributes[: max(spatial, default=-1) + 1]:
        yield from _opened(one)


def _opened(module: Module) -> Iterator[Module]:
    if isinstance(module, Sequential):
        for inner in module:
            yield from _opened(inner)
    else:
        yield module


def _is_spatial(module: Module) -> bool:
    options: dict[str, Any] = {**vars(module), **getattr(module, "_options", {})}
    weight = options.get("weight")
    windows = weight.shape[:2] if weight is not None and len(weight.shape) == 4 else (1, 1)
    return options.get("kernel_size", windows) not in (1, (1, 1))


def _shapes(network: Module, units: list[Module]) -> list[tuple[int, ...]]:
    """(H, W, C) after each unit, for a plane of `SIDE` pixels."""
    training, dtype = network.training, next(network.parameters())._data.dtype
    network.eval()
    try:
        x = np.empty((0, SIDE, SIDE, 3), dtype)
        shapes: list[tuple[int, ...]] = []
        for unit in units:
            x = unit(x)
            shapes.append(x.shape[1:])
    finally:
        network.train(training)
    return shapes


def _stride(shape: tuple[int, ...]) -> int:
    """The power of 2 next to it: without padding a plane is a little smaller than its stride says."""
    return 1 << round(math.log2(SIDE / shape[0]))


def _chosen(name: str, strides: bool | Sequence[int], known: list[int]) -> tuple[int, ...]:
    if strides is True:
        return tuple(known[-MAPS:])
    wanted = tuple(strides) if isinstance(strides, (tuple, list)) else (strides,)
    if not wanted or any(stride not in known for stride in wanted):
        raise ValueError(
            f"features_only={strides}: {name} has maps of the strides {', '.join(map(str, known))}; give some of "
            f"these, or True for {tuple(known[-MAPS:])}"
        )
    return tuple(sorted(set(wanted)))
