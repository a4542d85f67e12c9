"""Activations as layers: each names its function in `ops.activations`."""

from minighost.nn import functional
from minighost.nn.functional import materialize
from minighost.nn.module import Module
from minighost.ops import activations
from minighost.type_aliases import Array

__all__ = [
    "CReLU",
    "ClipGate",
    "GELU",
    "HardSigmoid",
    "HardSwish",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
]


class _Activation(Module):
    """A function of each number."""

    function: activations.Activation

    def forward(self, x: Array) -> Array:
        """Apply the function."""
        if self._has_own("backward", _Activation):
            x = materialize(x)
        out, self._cache = functional.activation_forward(x, self.function)
        return out

    def backward(self, dout: Array) -> Array:
        """Gradient with respect to x."""
        return functional.activation_backward(dout, self._take_cache(dout), self.function)


class ReLU(_Activation):
    """``max(x, 0)``."""

    function = activations.RELU


class ReLU6(_Activation):
    """``min(max(x, 0), 6)``."""

    function = activations.RELU6


class HardSigmoid(_Activation):
    """``relu6(x + 3) / 6``."""

    function = activations.HARD_SIGMOID


class ClipGate(_Activation):
    """``clip(x, 0, 1)``, the gate of the official TensorFlow GhostNet; half of all gates start closed for good."""

    function = activations.CLIP_GATE


class HardSwish(_Activation):
    """``x * relu6(x + 3) / 6``."""

    function = activations.HARD_SWISH


class Sigmoid(_Activation):
    """``1 / (1 + exp(-x))``."""

    function = activations.SIGMOID


class SiLU(_Activation):
    """``x * sigmoid(x)``, which is also called swish."""

    function = activations.SILU


class GELU(_Activation):
    """x times the probability that a standard normal number is below x."""

    function = activations.GELU


LAYERS = {one.function.name: one for one in (ReLU, ReLU6, HardSigmoid, ClipGate, HardSwish, Sigmoid, SiLU, GELU)}


class CReLU(Module):
    """``[max(x, 0), max(-x, 0)]`` over the channels: twice as many come out as go in."""

    def forward(self, x: Array) -> Array:
        """(N, H, W, C) -> (N, H, W, 2*C)."""
        if self._has_own("backward", CReLU):
            x = materialize(x)
        out, self._cache = functional.crelu_forward(x)
        return out

    def backward(self, dout: Array) -> Array:
        """Gradient with respect to x."""
        return functional.crelu_backward(dout, self._take_cache(dout))
