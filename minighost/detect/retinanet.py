"""RetinaNet: a network's maps, a pyramid on them, and at each of its places classes and boxes of nine anchors.

Lin et al. 2017, "Focal loss for dense object detection", §4, on GhostNet as in Han et al. 2020, "GhostNet: More
features from cheap operations", §4.3.2:

    images     the network without its head            maps C3, C4, C5 of strides 8, 16, 32
    maps       the feature pyramid                     P3 to P7 of strides 8 to 128
    each map   4 x (3x3 + ReLU), 3x3                   a logit for each class at each anchor
               4 x (3x3 + ReLU), 3x3, weights apart    four offsets at each anchor

The two towers have the same weights on all maps. A layer remembers one forward, so there is one tower per map, and the
parameters of all are those of the first.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from minighost.arguments import choice, number, whole
from minighost.detect.anchors import anchors as anchors_of
from minighost.detect.fpn import FeaturePyramid
from minighost.models.features import Features
from minighost.models.initialize import draw_normal
from minighost.models.registry import DETECTORS, create, register, takes
from minighost.nn import Buffer, Chain, Conv2d, Module, ModuleList, Parameter, ReLU, Sequential, limit
from minighost.nn.folding import evaluating
from minighost.nn.module import backward_onto
from minighost.type_aliases import Array, ArrayLike, InputGrad, Seed

__all__ = ["RetinaNet", "Tower", "ghostnet_retinanet"]

MAPS, FURTHER = 3, 2  # how many of the network's and how many after them, unless it is said which strides
DEPTH, STD = 4, 0.01
HEAD = 10_000_000  # weights at most of a network's head, which is made and dropped


class Tower(Chain):
    """Convolutions that see one map of the pyramid: (N, H, W, width) -> (N, H, W, channels).

    Parameters
    ----------
    width, channels : int
    std : float
        Standard deviation of the first weights of all layers but the last.
    rng : int or numpy.random.Generator, optional
        For the weights: normal; of the last layer with a standard deviation of 0.01. Biases begin at 0.
    """

    def __init__(self, width: int, channels: int, std: float = STD, rng: Seed = None) -> None:
        rng = np.random.default_rng(rng)
        layers: list[Module] = []
        for _ in range(DEPTH):
            layers += [Conv2d(width, width, 3, 1, 1, rng=rng), ReLU()]
        self.layers = Sequential(*layers)
        self.out = Conv2d(width, channels, 3, 1, 1, rng=rng)
        draw_normal(self.layers, Conv2d, std, rng)
        draw_normal(self.out, Conv2d, STD, rng)

    def with_same_parameters(self) -> "Tower":
        """A tower for another map: what its layers remember is its own, their parameters are these."""
        other = copy.copy(self)
        other.layers, other.out = Sequential(*map(copy.copy, self.layers)), copy.copy(self.out)
        return other


@register(
    "retinanet",
    year=2017,
    idea="one stage, a pyramid and focal loss",
    paper='Lin et al., "Focal loss for dense object detection", arXiv:1708.02002',
    side=128,
    table=DETECTORS,
)
class RetinaNet(Module):
    """Images (N, H, W, 3) -> class logits (N, A, num_classes) and box offsets (N, A, 4).

    Parameters
    ----------
    backbone : str or Chain
        Name of a network for `models.create`, or one that is made, with its weights: its layers become this module's.
    num_classes : int
    fpn : int
        Channels of the pyramid and of the towers.
    levels : sequence of int, optional
        Strides of the pyramid's maps. Those that the network has come from there; larger ones follow the network's
        last map, each of twice the stride of the one before it. By default the network's last three and two more: 8,
        16, 32, 64, 128 where it is made for images of 224 pixels. Small pictures have no room for the last ones.
    p6_from : {"C5", "P5"}
        Whether the first map after the network's last is computed from that or from its map of the pyramid.
    anchors : int
        How many there are at each place; see `shapes_of`.
    rng : int or numpy.random.Generator
    width : float
        Of the network.
    stem_stride : int, optional
        Of the network's first convolution; 1 halves all strides, for small pictures.
    base : float
        Side of the smallest square anchor of a map, in its strides.
    p7_relu : bool
        Whether there is a ReLU before a map after the first that follows the network's.
    prior : float
        What every anchor says of every class at first; so the many that have nothing to find do not swamp the others.
    std : float
        Standard deviation of the towers' first weights, 0.01 in the paper. What passes through a layer is multiplied
        by about ``2 * std * fpn**0.5``; a narrow pyramid, of 64 channels say, learns faster with 0.06.

    Attributes
    ----------
    net : Features
    fpn : FeaturePyramid
    classes, boxes : ModuleList of Tower
        One per map; the parameters of all are those of the first.
    strides : tuple of int
        Of the pyramid's maps.

    Raises
    ------
    TypeError, ValueError
        An option is out of range, or the network has no map of such a stride.

    Examples
    --------
    >>> model = RetinaNet("ghostnet", 3, fpn=16, levels=(8, 16, 32), width=0.25)
    >>> logits, offsets = model(np.zeros((2, 64, 64, 3), np.float32))
    >>> logits.shape, offsets.shape, model.anchors(64, 64).shape
    ((2, 756, 3), (2, 756, 4), (756, 4))
    """

    def __init__(
        self,
        backbone: str | Module = "ghostnet",
        num_classes: int = 80,
        fpn: int = 256,
        levels: Sequence[int] | None = None,
        p6_from: str = "C5",
        anchors: int = 9,
        rng: Seed = 0,
        *,
        width: float = 1.0,
        stem_stride: int | None = None,
        base: float = 4.0,
        p7_relu: bool = False,
        prior: float = 0.01,
        std: float = STD,
    ) -> None:
        whole("RetinaNet", "num_classes", num_classes, 1)
        whole("RetinaNet", "fpn", fpn, 1)
        choice("RetinaNet", "p6_from", p6_from, ("C5", "P5"))
        prior, std = number("RetinaNet", "prior", prior, above=0, below=1), number("RetinaNet", "std", std, above=0)
        self.count, self.base = whole("RetinaNet", "anchors", anchors, 1), number("RetinaNet", "base", base, above=0)
        rng = np.random.default_rng(rng)
        network = _network(backbone, width, stem_stride, rng)
        self.strides, known = _levels(network, levels)
        self.net = Features(network, known)
        limit.count((sum(parameter.size for parameter in self.net.parameters()),))
        further = len(self.strides) - len(known)
        self.fpn = FeaturePyramid(self.net.channels, fpn, further, p6_from, p7_relu, rng)
        classes, boxes = (Tower(fpn, self.count * each, std, rng) for each in (num_classes, 4))
        assert classes.out.bias is not None
        classes.out.bias.data += np.float32(-math.log((1 - prior) / prior))
        self.classes, self.boxes = (
            ModuleList([tower, *(tower.with_same_parameters() for _ in self.strides[1:])]) for tower in (classes, boxes)
        )
        self.num_classes = num_classes
        self._map_sizes: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def __call__(self, x: Array) -> tuple[Array, Array]:  # type: ignore[override]  # two arrays, not one
        """Run `forward`; an error inside it names the path of the layer where it arose."""
        self._cache = None
        try:
            return self.forward(x)
        except (TypeError, ValueError) as error:
            self._name_layer(error)
            raise

    def forward(self, x: Array) -> tuple[Array, Array]:  # type: ignore[override]
        """Images (N, H, W, 3) -> (logits (N, A, num_classes), offsets (N, A, 4)), in the order of `anchors`."""
        coarsest = self.strides[-1]
        if np.ndim(x) == 4 and min(x.shape[1:3]) < coarsest:
            raise ValueError(
                f"RetinaNet: a picture of {x.shape[1]}x{x.shape[2]} pixels is smaller than the coarsest stride, "
                f"{coarsest}; give larger pictures, or fewer levels than {self.strides}"
            )
        maps = self.fpn(self.net(x))
        logits, offsets = [], []
        for one, classes, boxes in zip(maps, self.classes, self.boxes, strict=True):
            N, H, W, _ = one.shape
            logits.append(classes(one).reshape(N, H * W * self.count, self.num_classes))
            offsets.append(boxes(one).reshape(N, H * W * self.count, 4))
        self.input_shape = x.shape[1:]
        out = np.concatenate(logits, axis=1), np.concatenate(offsets, axis=1)
        self._cache = [one.shape[:3] for one in maps], [(one.shape, one.dtype) for one in out]
        return out

    def backward(self, dout: tuple[Array, Array]) -> InputGrad:  # type: ignore[override]
        """Gradient with respect to the images, if it is wanted; adds to every `Parameter.grad`.

        Parameters
        ----------
        dout : tuple of two ndarray
            With respect to the logits (N, A, num_classes) and the offsets (N, A, 4).
        """
        if not isinstance(dout, (tuple, list)) or len(dout) != 2:
            raise TypeError(
                "RetinaNet backward: dout must be two gradients, of the logits and of the offsets; got "
                f"{len(dout) if isinstance(dout, (tuple, list)) else type(dout).__name__}"
            )
        if self._cache is not None:
            for one, (shape, dtype) in zip(dout, self._cache[1], strict=True):
                self._check_gradient(one, shape, dtype)
        planes, _ = self._take_cache(dout)  # type: ignore[arg-type]
        dmaps, start = [], 0
        for (N, H, W), classes, boxes in zip(planes, self.classes, self.boxes, strict=True):
            end = start + H * W * self.count
            dlogits, doffsets = (np.ascontiguousarray(one[:, start:end]).reshape(N, H, W, -1) for one in dout)
            dmaps.append(backward_onto(boxes, doffsets, classes.backward(dlogits)))
            start = end
        return self.net.backward(self.fpn.backward(dmaps))

    # Anchors ---------------------------------------------------------------------------------------------------

    def map_sizes(self, H: int, W: int) -> list[tuple[int, int]]:
        """Height and width of each map of the pyramid for pictures of H x W pixels."""
        if (H, W) not in self._map_sizes:
            net, fpn = (evaluating(part, hollow=True) for part in (self.net, self.fpn))
            x = np.empty((0, H, W, 3), next(self.parameters()).data.dtype)
            self._map_sizes[H, W] = [one.shape[1:3] for one in fpn(net(x))]
        return self._map_sizes[H, W]

    def anchors(self, H: int, W: int) -> Array:
        """The anchors for pictures of H x W pixels: boxes (A, 4) float32, in the order of the predictions."""
        return anchors_of(self.map_sizes(H, W), self.strides, self.count, self.base)

    def anchors_per_map(self, H: int, W: int) -> list[int]:
        """How many of the anchors belong to each map."""
        return [self.count * rows * columns for rows, columns in self.map_sizes(H, W)]

    # State: the towers' parameters are saved once --------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """As of every module, without the parameters of other maps' towers, which are those of the first."""
        return {path: value for path, value in super().state_dict().items() if _first_tower(path) == path}

    def load_state_dict(self, state: Mapping[str, ArrayLike], strict: bool = True) -> Self:
        """As of every module; `state` is what `state_dict` gives."""
        own = [path for path, _ in self._named((Parameter, Buffer), remove_duplicate=False)]
        every = {path: state[_first_tower(path)] for path in own if _first_tower(path) in state}
        return super().load_state_dict({**state, **every}, strict)


@register(
    "ghostnet_retinanet",
    year=2020,
    idea="RetinaNet on GhostNet's maps",
    paper='Han et al., "GhostNet: More features from cheap operations", arXiv:1911.11907, §4.3.2',
    side=128,
    table=DETECTORS,
)
def ghostnet_retinanet(
    width: float = 1.0,
    num_classes: int = 80,
    fpn: int = 256,
    levels: Sequence[int] | None = None,
    p6_from: str = "C5",
    anchors: int = 9,
    rng: Seed = 0,
    *,
    stem_stride: int | None = None,
    base: float = 4.0,
    p7_relu: bool = False,
    prior: float = 0.01,
    std: float = STD,
) -> RetinaNet:
    """`RetinaNet` on `GhostNet`, with the same options.

    Examples
    --------
    >>> from minighost import models, nn
    >>> with nn.without_weights():
    ...     model = models.create("ghostnet_retinanet", width=1.0, num_classes=80)
    >>> sum(parameter.size for parameter in model.parameters())
    11788984
    """
    return RetinaNet(
        "ghostnet",
        num_classes,
        fpn,
        levels,
        p6_from,
        anchors,
        rng,
        width=width,
        stem_stride=stem_stride,
        base=base,
        p7_relu=p7_relu,
        prior=prior,
        std=std,
    )


def _first_tower(path: str) -> str:
    """The path in the first map's tower of what is in another's; of anything else its own."""
    towers, _, rest = path.partition(".")
    return f"{towers}.0.{rest.partition('.')[2]}" if towers in ("classes", "boxes") else path


def _network(backbone: str | Module, width: float, stem_stride: int | None, rng: np.random.Generator) -> Module:
    """The network whose layers are taken."""
    if isinstance(backbone, Module):
        if width != 1.0 or stem_stride is not None:
            raise ValueError(
                f"RetinaNet: width={width} and stem_stride={stem_stride} are options of a network that is made by "
                f"name; this {type(backbone).__name__} is made already"
            )
        return backbone
    options: dict[str, Any] = {"width": width, **({} if stem_stride is None else {"stem_stride": stem_stride})}
    if stem_stride is not None and not takes(backbone, "stem_stride"):
        raise ValueError(f"RetinaNet: {backbone} has no option stem_stride; leave it out or choose another backbone")
    with limit.and_more(HEAD):
        return create(backbone, **options, num_classes=1, rng=rng)


def _levels(network: Module, levels: Sequence[int] | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Strides of the pyramid's maps, and those of them that the network has."""
    known = Features(network).strides
    if levels is None:
        own = known[-MAPS:]
        return (*own, *(own[-1] << k for k in range(1, FURTHER + 1))), own
    given = tuple(levels) if isinstance(levels, (tuple, list)) else (levels,)
    own = tuple(stride for stride in given if stride in known)
    further = tuple(own[-1] << k for k in range(1, len(given) - len(own) + 1)) if own else ()
    if not own or own + further != given or list(own) != sorted(set(own)) or (further and own[-1] != known[-1]):
        raise ValueError(
            f"RetinaNet: levels={levels} must be strides of {type(network).__name__}, ascending, out of {known}; after "
            f"the last of them may follow larger ones, {2 * known[-1]}, {4 * known[-1]}, ..."
        )
    return given, own
