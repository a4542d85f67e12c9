"""What a folded network consists of: nodes that list their steps for the machine in `engine.inference`.

A node has ``emit(program, value)``, which lists its steps and returns the value that they leave, and
``seal(weights)``, which copies its weights into the long array of all of them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minighost.engine import inference
from minighost.engine.geometry import Geometry
from minighost.engine.kernels.winograd import suits
from minighost.nn.module import Module

__all__ = ["Affine", "Convolution", "GlobalMean", "Plain", "Pool", "Side", "emit"]


@dataclass
class Affine:
    """A batch norm that found no convolution in front of it, or an activation alone."""

    scale: Any
    shift: Any
    act: tuple = inference.NONE

    def seal(self, weights):
        """It is so small that it is written into each program."""

    def emit(self, program, value):
        """One step a part."""
        one = np.ones(value.C)
        return program.affine(value, self.scale * one, self.shift * one, self.act)


@dataclass
class Convolution:
    """A convolution or linear layer with all that was folded into it: w (KH, KW, C/groups, OC), b (OC,).

    `filters` of a depthwise convolution see the same channel. The last channels of its result may have been cut off.
    """

    w: Any
    b: Any
    stride: tuple = (1, 1)
    padding: tuple = (0, 0)
    dilation: tuple = (1, 1)
    groups: int = 1
    filters: int = 1
    act: tuple = inference.NONE
    place: int = 0
    shape: tuple = ()

    def seal(self, weights):
        """Where the kernels of a depthwise convolution go depends on the plane; all others go into `weights`."""
        if not self._depthwise:
            self.shape = self.w.shape
            self.place = weights.add(inference.transformed(self.w) if self._winograd else self.w)
            self.w = None

    @property
    def _depthwise(self):
        return self.w is not None and self.w.shape[2] == 1 and self.groups > 1

    @property
    def _winograd(self):
        """Whether its weights are kept transformed: even for a single image that saves more than it costs to read."""
        g = Geometry(*self.shape[:2], *self.stride, *self.padding, *self.dilation, OH=4, OW=4)
        return suits(self.shape, g, self.groups)

    def emit(self, program, value):
        """A product where the kernel is a single tap; one filter a channel; Winograd; or windows and a product."""
        if self._depthwise:
            KH, KW, _, OC = self.w.shape
            if value.C != OC or self.filters > 1:
                value = program.repeat(value, self.filters, OC)
            g = program.window(value, (KH, KW), self.stride, self.padding, self.dilation)
            return program.depthwise(value, self.w[:, :, 0], self.b, self.act, g)
        KH, KW, _, OC = self.shape
        if self.groups == KH == KW == 1 and self.stride == (1, 1) and self.padding == (0, 0):
            return program.product(value, OC, self.place, self.b, self.act)
        g = program.window(value, (KH, KW), self.stride, self.padding, self.dilation)
        if self._winograd:
            return program.winograd(value, OC, self.place, self.b, self.act, g)
        return program.conv(value, OC, self.place, self.b, self.act, g, self.groups)


@dataclass
class GlobalMean:
    """The mean over the plane."""

    def seal(self, weights):
        """It has no weights."""

    def emit(self, program, value):
        """One step a part."""
        return program.mean(value)


@dataclass
class Pool:
    """The maximum or the mean over windows."""

    maximum: bool
    kernel_size: Any
    stride: Any
    padding: Any

    def seal(self, weights):
        """It has no weights."""

    def emit(self, program, value):
        """One step a part."""
        stride = self.kernel_size if self.stride is None else self.stride
        return program.pool(value, self.maximum, program.window(value, self.kernel_size, stride, self.padding))


@dataclass
class Side:
    """Two chains that see the same value, and what becomes of their results.

    "concatenate", "add", or "gate": the second weighs what it sees, channel by channel.
    """

    how: str
    first: list
    second: list

    def seal(self, weights):
        """Both chains."""
        for node in (*self.first, *self.second):
            node.seal(weights)

    def emit(self, program, value):
        """First, second, and their union."""
        first, second = emit(self.first, program, value), emit(self.second, program, value)
        if self.how == "gate":
            return program.scale(first, program.whole(second))
        if self.how == "add":
            return program.add(first, second)
        return inference.Value(first.parts + second.parts, first.H, first.W)


@dataclass
class Plain:
    """A layer that is not known here, as a copy in evaluation mode."""

    layer: Module

    def __call__(self, x):
        """Run it and forget what it keeps for a backward."""
        out = self.layer(x)
        for module in self.layer.modules():
            module._cache = None
        return out


def emit(nodes, program, value):
    """The steps of nodes one after the other."""
    for node in nodes:
        value = node.emit(program, value)
    return value
