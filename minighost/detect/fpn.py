"""A feature pyramid: maps of all strides with equally many channels, of which each knows what the coarser ones know.

Lin et al. 2017, "Feature pyramid networks for object detection", §3. A network's fine maps know where something is and
its coarse maps what it is. From the coarsest down:

    merged[k] = lateral[k](map[k]) + upsampled(merged[k+1])        1x1; nearest neighbour, to the size of map[k]
    out[k]    = smooth[k](merged[k])                               3x3, against the steps of the upsampling

A detector looks for larger things on further maps, each by a strided convolution from the one before it (Lin et al.
2017, "Focal loss for dense object detection", §4). The letters are the papers': C5 is the network's last map, P5 the
pyramid's, P6 and P7 are further ones.
"""

from collections.abc import Sequence

import numpy as np

from minighost import ops
from minighost.arguments import choice, whole
from minighost.models.initialize import draw_uniform
from minighost.nn import Conv2d, Module, ModuleList, ReLU
from minighost.nn.functional import add
from minighost.type_aliases import Array, Seed

__all__ = ["FeaturePyramid"]


class FeaturePyramid(Module):
    """Maps of a network -> maps of the pyramid, the finest first.

    Parameters
    ----------
    channels : sequence of int
        Of the network's maps, the finest first.
    width : int
        Channels of each map of the pyramid.
    further : int
        How many maps come after the network's last, each half as large as the one before it.
    p6_from : {"C5", "P5"}
        Whether the first of them is computed from the network's last map or from the pyramid's.
    p7_relu : bool
        Whether there is a ReLU before the next of them.
    rng : int or numpy.random.Generator, optional
        For the weights: uniform, Glorot & Bengio 2010, eq. 16. Biases begin at 0.

    Raises
    ------
    TypeError, ValueError
        A number is out of range.
    """

    is_block = False

    def __init__(
        self,
        channels: Sequence[int],
        width: int = 256,
        further: int = 2,
        p6_from: str = "C5",
        p7_relu: bool = False,
        rng: Seed = None,
    ) -> None:
        whole("FeaturePyramid", "width", width, 1)
        whole("FeaturePyramid", "further", further, 0)
        self.p6_from = choice("FeaturePyramid", "p6_from", p6_from, ("C5", "P5"))
        rng = np.random.default_rng(rng)
        self.lateral = ModuleList(Conv2d(C, width, 1, rng=rng) for C in channels)
        self.smooth = ModuleList(Conv2d(width, width, 3, 1, 1, rng=rng) for _ in channels)
        into = [channels[-1] if p6_from == "C5" else width] + [width] * further
        self.further = ModuleList(Conv2d(C, width, 3, 2, 1, rng=rng) for C in into[:further])
        self.relus = ModuleList(ReLU() for _ in range(further - 1)) if p7_relu else None
        draw_uniform(self, Conv2d, _glorot, rng)

    def __call__(self, maps: Sequence[Array]) -> list[Array]:  # type: ignore[override]  # several arrays, not one
        """Run `forward`; an error inside it names the path of the layer where it arose."""
        self._cache = None
        try:
            return self.forward(maps)
        except (TypeError, ValueError) as error:
            self._name_layer(error)
            raise

    def forward(self, maps: Sequence[Array]) -> list[Array]:  # type: ignore[override]
        """(N, H, W, channels) of each stride -> (N, H, W, width) of each, and the further ones."""
        merged = [conv(x) for conv, x in zip(self.lateral, maps, strict=True)]
        resized = []
        for k in range(len(merged) - 2, -1, -1):
            coarse, cache = ops.resize_nearest_forward(merged[k + 1], merged[k].shape[1:3])
            merged[k] = ops.add_forward(merged[k], coarse)[0]
            resized.append(cache)
        outs = [conv(x) for conv, x in zip(self.smooth, merged, strict=True)]
        x = maps[-1] if self.p6_from == "C5" else outs[-1]
        for k, conv in enumerate(self.further):
            x = conv(x if k == 0 or self.relus is None else self.relus[k - 1](x))
            outs.append(x)
        self._cache = resized
        return outs

    def backward(self, dout: Sequence[Array]) -> list[Array]:  # type: ignore[override]
        """Gradients with respect to the network's maps, from one for each map of the pyramid."""
        resized, levels, dx = self._take_cache(dout), len(self.lateral), None  # type: ignore[arg-type]
        douts = list(dout)
        for k in range(len(self.further) - 1, -1, -1):
            dx = self.further[k].backward(add(douts[levels + k], dx))
            if k > 0 and self.relus is not None:
                dx = self.relus[k - 1].backward(dx)
        if self.p6_from == "P5":
            douts[levels - 1], dx = add(douts[levels - 1], dx), None
        dmerged = [conv.backward(d) for conv, d in zip(self.smooth, douts[:levels], strict=True)]
        for k, cache in enumerate(reversed(resized)):
            dmerged[k + 1] = add(dmerged[k + 1], ops.resize_nearest_backward(dmerged[k], cache))
        dmaps = [conv.backward(d) for conv, d in zip(self.lateral, dmerged, strict=True)]
        return [*dmaps[:-1], add(dmaps[-1], dx)]


def _glorot(weight: Array) -> float:
    KH, KW, C, OC = weight.shape
    return float(np.sqrt(6 / (KH * KW * (C + OC))))
