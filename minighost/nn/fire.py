"""The fire module (Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", §3.2).

A 1x1 convolution squeezes the channels; on what is left work two convolutions side by side, one of 1x1 and one of 3x3.
"""

import numpy as np

from minighost.nn import functional
from minighost.nn.activations import ReLU
from minighost.nn.containers import Sequential
from minighost.nn.layers import Conv2d
from minighost.nn.module import Module, backward_onto
from minighost.type_aliases import Array, InputGrad, Seed

__all__ = ["Fire"]


class Fire(Module):
    """``concat(expand1(squeeze(x)), expand3(squeeze(x)))``, with biases and ReLU everywhere and no batch norm.

    Parameters
    ----------
    in_channels : int
    squeeze : int
        Channels after the first convolution.
    expand : int
        Channels of each of the other two, so that 2 * `expand` come out.
    rng : int or numpy.random.Generator, optional

    Raises
    ------
    ValueError
        As in `Conv2d`.
    """

    def __init__(self, in_channels: int, squeeze: int, expand: int, rng: Seed = None) -> None:
        rng = np.random.default_rng(rng)
        self.squeeze = Sequential(Conv2d(in_channels, squeeze, 1, rng=rng), ReLU())
        self.expand1 = Sequential(Conv2d(squeeze, expand, 1, rng=rng), ReLU())
        self.expand3 = Sequential(Conv2d(squeeze, expand, 3, padding=1, rng=rng), ReLU())

    def forward(self, x: Array) -> Array:
        """(N, H, W, in_channels) -> (N, H, W, 2*expand)."""
        y = self.squeeze(x)
        out, cache = functional.concat_forward(self.expand1(y), self.expand3(y))
        self._cache = (cache,)
        return out

    def backward(self, dout: Array, onto: Array | None = None) -> InputGrad:
        """What was squeezed is seen twice; its gradients meet before the squeeze."""
        (cache,) = self._take_cache(dout)
        d1, d3 = functional.concat_backward(dout, cache)
        dy = backward_onto(self.expand1, d1, self.expand3.backward(d3))
        return backward_onto(self.squeeze, dy, onto)
