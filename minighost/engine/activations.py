"""Activations as values: what becomes of a number after its batch norm, and of its gradient in the backward.

An activation is a NamedTuple with two methods, which are written for one number z with operators, `vectors.like` and
`vectors.where`, and so hold for a register of them, too:

    act.value(z)           act(z)
    act.gradient(z, d)     act'(z) * d

Its class says which function is meant, so a kernel that is given one is compiled for that function; its fields are the
function's numbers. Here are the two that every kernel knows; `ops.activations` has the others, with their sources.

`Floor` and `Clip` only ever let a number through or stop it. A gradient that they have cut can be cut again without
harm, so the kernel that computes it does so on the way out (`is_cut`). All others have a slope, and their gradient
takes a pass of its own.
"""

import math
from typing import NamedTuple

from minighost.engine.dispatch import method
from minighost.engine.vectors import like, where

__all__ = ["Clip", "Floor", "IDENTITY", "KINDS", "RELU", "activation", "gradient", "is_cut", "is_identity", "value"]

KINDS: list = []  # all classes; the inference machine refers to them by their place here

value, gradient = method("value"), method("gradient")


def activation(kind):
    """Decorator: make a class known to the inference machine."""
    KINDS.append(kind)
    return kind


@activation
class Clip(NamedTuple):
    """``min(max(z, low), high)``."""

    low: float
    high: float

    def value(self, z):
        """Cut off at both ends; a NaN fails both tests and passes through."""
        low, high = like(z, self.low), like(z, self.high)
        return where(z <= low, low, where(z >= high, high, z))

    def gradient(self, z, d):
        """What is cut is cut, were it infinite or NaN."""
        zero = like(d, 0)
        return where(z <= like(z, self.low), zero, where(z >= like(z, self.high), zero, d))


class Floor(NamedTuple):
    """``max(z, low)``: with 0 a ReLU, and with NaN, which no number is below, nothing."""

    low: float

    def value(self, z):
        """Cut off below."""
        low = like(z, self.low)
        return where(z <= low, low, z)

    def gradient(self, z, d):
        """Zero where the number was cut off."""
        return where(z <= like(z, self.low), like(d, 0), d)


IDENTITY, RELU = Floor(math.nan), Floor(0.0)


def is_identity(act):
    """Whether an activation does nothing."""
    return isinstance(act, Floor) and math.isnan(act.low)


def is_cut(act):
    """Whether a gradient passes this activation by being cut, or not."""
    return isinstance(act, (Floor, Clip))
