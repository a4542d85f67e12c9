"""Activations: one function, applied to every number.

    relu(x)         = max(x, 0)                     (Nair & Hinton 2010, "Rectified linear units")
    relu6(x)        = min(max(x, 0), 6)             (Howard et al. 2017, "MobileNets")
    clip_gate(x)    = min(max(x, 0), 1)             (the gate of the official TensorFlow GhostNet)
    hard_sigmoid(x) = relu6(x + 3) / 6              (Howard et al. 2019, "MobileNetV3", §5.2)
    hard_swish(x)   = x * hard_sigmoid(x)           (the same)
    sigmoid(x)      = 1 / (1 + exp(-x))
    silu(x)         = x * sigmoid(x)                (Elfwing, Uchibe & Doya 2018; "swish" in Ramachandran et al. 2017)
    gelu(x)         = x * P(a normal number < x)    (Hendrycks & Gimpel 2016)

Each comes with its two reference functions, the two that are offered, and, where it has a slope, the class that tells
kernels how to compute it in passing (`engine.activations`). To add one, add a section here and a layer to
`nn.activations`; fusing, folding and the gradient check take it from `ACTIVATIONS`.

The derivative at a kink is 0. NaN stays NaN. What is cut is cut: where a slope is 0, no gradient passes, were it
infinite or NaN. Hard swish, and SiLU, of minus infinity is NaN, zero times infinity, as in PyTorch.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from minighost.engine import activations as fused
from minighost.engine.activations import activation
from minighost.engine.exponential import exp, normal_cdf, normal_density, sigmoids
from minighost.engine.vectors import like, where
from minighost.ops import elementwise
from minighost.type_aliases import Array

__all__ = [
    "ACTIVATIONS",
    "clip_gate_backward",
    "clip_gate_backward_reference",
    "clip_gate_forward",
    "clip_gate_forward_reference",
    "gelu_backward",
    "gelu_backward_reference",
    "gelu_forward",
    "gelu_forward_reference",
    "hard_sigmoid_backward",
    "hard_sigmoid_backward_reference",
    "hard_sigmoid_forward",
    "hard_sigmoid_forward_reference",
    "hard_swish_backward",
    "hard_swish_backward_reference",
    "hard_swish_forward",
    "hard_swish_forward_reference",
    "relu6_backward",
    "relu6_backward_reference",
    "relu6_forward",
    "relu6_forward_reference",
    "relu_backward",
    "relu_backward_reference",
    "relu_forward",
    "relu_forward_reference",
    "sigmoid_backward",
    "sigmoid_backward_reference",
    "sigmoid_forward",
    "sigmoid_forward_reference",
    "silu_backward",
    "silu_backward_reference",
    "silu_forward",
    "silu_forward_reference",
]


class Activation(NamedTuple):
    """An activation by its name.

    Attributes
    ----------
    name : str
    act : NamedTuple
        What kernels are told; see `engine.activations`.
    spread : float
        Standard deviation of inputs that meet all of the function's pieces.
    """

    name: str
    act: Any
    spread: float = 1.0

    def forward(self, x: Array) -> tuple[Array, Array]:
        """The compiled twin; returns (out, cache)."""
        return elementwise.forward(self.name, self.act, x)

    def backward(self, dout: Array, cache: Array) -> Array:
        """Gradient of `forward`."""
        return elementwise.backward(self.name, self.act, dout, cache)


ACTIVATIONS: dict[str, Activation] = {}


def _add(name: str, act: Any, spread: float = 1.0) -> Activation:
    return ACTIVATIONS.setdefault(name, Activation(name, act, spread))


# ReLU ----------------------------------------------------------------------------------------------------------


def relu_forward_reference(x: Array) -> tuple[Array, Array]:
    """`relu_forward` in plain NumPy."""
    return np.maximum(x, 0), x


def relu_backward_reference(dout: Array, cache: Array) -> Array:
    """`relu_backward` in plain NumPy."""
    return np.where(cache <= 0, 0, dout)


def relu_forward(x: Array) -> tuple[Array, Array]:
    """``max(x, 0)``, element by element.

    Parameters
    ----------
    x : ndarray, any shape, float32 or float64

    Returns
    -------
    out : ndarray, shape and dtype of `x`
    cache : ndarray
        `x`, for `relu_backward`.

    Examples
    --------
    >>> relu_forward(np.array([-1.0, 2.0]))[0]
    array([0., 2.])
    """
    return RELU.forward(x)


def relu_backward(dout: Array, cache: Array) -> Array:
    """Gradient of `relu_forward`: 0 where x <= 0, else `dout`."""
    return RELU.backward(dout, cache)


RELU = _add("relu", fused.RELU)


# ReLU6 ---------------------------------------------------------------------------------------------------------


def relu6_forward_reference(x: Array) -> tuple[Array, Array]:
    """`relu6_forward` in plain NumPy."""
    return np.minimum(np.maximum(x, 0), 6), x


def relu6_backward_reference(dout: Array, cache: Array) -> Array:
    """`relu6_backward` in plain NumPy."""
    return np.where((cache <= 0) | (cache >= 6), 0, dout)


def relu6_forward(x: Array) -> tuple[Array, Array]:
    """``min(max(x, 0), 6)``, element by element; parameters and results as for `relu_forward`."""
    return RELU6.forward(x)


def relu6_backward(dout: Array, cache: Array) -> Array:
    """Gradient of `relu6_forward`: 0 where x <= 0 or x >= 6, else `dout`."""
    return RELU6.backward(dout, cache)


RELU6 = _add("relu6", fused.Clip(0.0, 6.0), 5.0)


# Clip ----------------------------------------------------------------------------------------------------------


def clip_gate_forward_reference(x: Array) -> tuple[Array, Array]:
    """`clip_gate_forward` in plain NumPy."""
    return np.clip(x, 0, 1), x


def clip_gate_backward_reference(dout: Array, cache: Array) -> Array:
    """`clip_gate_backward` in plain NumPy."""
    return np.where((cache <= 0) | (cache >= 1), 0, dout)


def clip_gate_forward(x: Array) -> tuple[Array, Array]:
    """``clip(x, 0, 1)``, element by element; parameters and results as for `relu_forward`."""
    return CLIP_GATE.forward(x)


def clip_gate_backward(dout: Array, cache: Array) -> Array:
    """Gradient of `clip_gate_forward`: `dout` where 0 < x < 1, else 0."""
    return CLIP_GATE.backward(dout, cache)


CLIP_GATE = _add("clip_gate", fused.Clip(0.0, 1.0))


# Hard sigmoid --------------------------------------------------------------------------------------------------


def hard_sigmoid_forward_reference(x: Array) -> tuple[Array, Array]:
    """`hard_sigmoid_forward` in plain NumPy."""
    return np.clip(x + 3, 0, 6) / 6, x


def hard_sigmoid_backward_reference(dout: Array, cache: Array) -> Array:
    """`hard_sigmoid_backward` in plain NumPy."""
    return np.where(np.abs(cache) < 3, dout / 6, 0)


def hard_sigmoid_forward(x: Array) -> tuple[Array, Array]:
    """``relu6(x + 3) / 6``, element by element: between 0 and 1; parameters and results as for `relu_forward`.

    Examples
    --------
    >>> hard_sigmoid_forward(np.array([-4.0, 0.0, 4.0]))[0]
    array([0. , 0.5, 1. ])
    """
    return HARD_SIGMOID.forward(x)


def hard_sigmoid_backward(dout: Array, cache: Array) -> Array:
    """Gradient of `hard_sigmoid_forward`: ``dout/6`` where -3 < x < 3, else 0."""
    return HARD_SIGMOID.backward(dout, cache)


@activation
class HardSigmoid(NamedTuple):
    """`hard_sigmoid_forward` and backward for one number."""

    def value(self, z: Any) -> Any:
        """``relu6(z + 3) / 6``."""
        three, six = like(z, 3), like(z, 6)
        return where(z <= like(z, -3), like(z, 0), where(z >= three, like(z, 1), (z + three) / six))

    def gradient(self, z: Any, d: Any) -> Any:
        """``d / 6`` between the kinks."""
        zero = like(d, 0)
        return where(z > like(z, -3), where(z < like(z, 3), d / like(d, 6), zero), zero)


HARD_SIGMOID = _add("hard_sigmoid", HardSigmoid(), 3.0)


# Hard swish ----------------------------------------------------------------------------------------------------


def hard_swish_forward_reference(x: Array) -> tuple[Array, Array]:
    """`hard_swish_forward` in plain NumPy."""
    return x * hard_sigmoid_forward_reference(x)[0], x


def hard_swish_backward_reference(dout: Array, cache: Array) -> Array:
    """`hard_swish_backward` in plain NumPy."""
    return np.where(cache <= -3, 0, np.where(cache >= 3, dout, dout * ((2 * cache + 3) / 6)))


def hard_swish_forward(x: Array) -> tuple[Array, Array]:
    """``x * relu6(x + 3) / 6``, element by element; parameters and results as for `relu_forward`."""
    return HARD_SWISH.forward(x)


def hard_swish_backward(dout: Array, cache: Array) -> Array:
    """Gradient of `hard_swish_forward`: ``dout * (2x + 3)/6`` where -3 < x < 3, 0 below and `dout` above."""
    return HARD_SWISH.backward(dout, cache)


@activation
class HardSwish(NamedTuple):
    """`hard_swish_forward` and backward for one number."""

    def value(self, z: Any) -> Any:
        """``z * relu6(z + 3) / 6``."""
        three, six = like(z, 3), like(z, 6)
        return where(z <= like(z, -3), z * like(z, 0), where(z >= three, z, z * (z + three) / six))

    def gradient(self, z: Any, d: Any) -> Any:
        """``d * (2*z + 3) / 6`` between the kinks."""
        three, six = like(z, 3), like(z, 6)
        return where(z <= like(z, -3), like(d, 0), where(z >= three, d, d * (z + z + three) / six))


HARD_SWISH = _add("hard_swish", HardSwish(), 3.0)


# Sigmoid -------------------------------------------------------------------------------------------------------


def sigmoid_forward_reference(x: Array) -> tuple[Array, Array]:
    """`sigmoid_forward` in plain NumPy."""
    return (1 + np.tanh(x / 2)) / 2, x


def sigmoid_backward_reference(dout: Array, cache: Array) -> Array:
    """`sigmoid_backward` in plain NumPy."""
    s, _ = sigmoid_forward_reference(cache)
    return dout * s * (1 - s)


def sigmoid_forward(x: Array) -> tuple[Array, Array]:
    """``1 / (1 + exp(-x))``, element by element: between 0 and 1; parameters and results as for `relu_forward`."""
    return SIGMOID.forward(x)


def sigmoid_backward(dout: Array, cache: Array) -> Array:
    """Gradient of `sigmoid_forward`: ``dout * s * (1 - s)`` with s = sigmoid(x)."""
    return SIGMOID.backward(dout, cache)


@activation
class Sigmoid(NamedTuple):
    """`sigmoid_forward` and backward for one number."""

    def value(self, z: Any) -> Any:
        """``1 / (1 + exp(-z))``."""
        one = like(z, 1)
        return one / (one + exp(like(z, 0) - z))

    def gradient(self, z: Any, d: Any) -> Any:
        """``d * s * (1 - s)``, where 1 - s is the sigmoid of -z."""
        s, rest = sigmoids(z)
        return d * s * rest


SIGMOID = _add("sigmoid", Sigmoid())


# SiLU ----------------------------------------------------------------------------------------------------------


def silu_forward_reference(x: Array) -> tuple[Array, Array]:
    """`silu_forward` in plain NumPy."""
    return x * sigmoid_forward_reference(x)[0], x


def silu_backward_reference(dout: Array, cache: Array) -> Array:
    """`silu_backward` in plain NumPy."""
    s, _ = sigmoid_forward_reference(cache)
    return dout * s * (1 + cache * (1 - s))


def silu_forward(x: Array) -> tuple[Array, Array]:
    """``x * sigmoid(x)``, element by element; parameters and results as for `relu_forward`."""
    return SILU.forward(x)


def silu_backward(dout: Array, cache: Array) -> Array:
    """Gradient of `silu_forward`: ``dout * s * (1 + x*(1 - s))`` with s = sigmoid(x)."""
    return SILU.backward(dout, cache)


@activation
class Silu(NamedTuple):
    """`silu_forward` and backward for one number."""

    def value(self, z: Any) -> Any:
        """``z / (1 + exp(-z))``."""
        return z / (like(z, 1) + exp(like(z, 0) - z))

    def gradient(self, z: Any, d: Any) -> Any:
        """``d * s * (1 + z*(1 - s))``."""
        s, rest = sigmoids(z)
        return d * (s * (like(z, 1) + z * rest))


SILU = _add("silu", Silu())


# GELU ----------------------------------------------------------------------------------------------------------


def _below(x: Array) -> Array:
    """The probability that a standard normal number is below x."""
    return np.vectorize(lambda v: math.erfc(-v / math.sqrt(2)) / 2, otypes=[x.dtype])(x)


def gelu_forward_reference(x: Array) -> tuple[Array, Array]:
    """`gelu_forward` in plain NumPy."""
    return x * _below(x), x


def gelu_backward_reference(dout: Array, cache: Array) -> Array:
    """`gelu_backward` in plain NumPy."""
    density = np.exp(-(np.clip(cache, -40, 40) ** 2) / 2) / math.sqrt(2 * math.pi)  # 0 from 40 on
    return dout * (_below(cache) + cache * density)


def gelu_forward(x: Array) -> tuple[Array, Array]:
    """x times the probability that a standard normal number is below x; parameters and results as for `relu_forward`.

    This is the definition, not the approximation by a tanh.

    Examples
    --------
    >>> gelu_forward(np.array([-1.0, 0.0, 1.0]))[0].round(4)
    array([-0.1587,  0.    ,  0.8413])
    """
    return GELU.forward(x)


def gelu_backward(dout: Array, cache: Array) -> Array:
    """Gradient of `gelu_forward`: ``dout * (P + x*p)`` with the normal distribution's P and its density p at x."""
    return GELU.backward(dout, cache)


@activation
class Gelu(NamedTuple):
    """`gelu_forward` and backward for one number."""

    def value(self, z: Any) -> Any:
        """``z * P(z)``."""
        return z * normal_cdf(z)

    def gradient(self, z: Any, d: Any) -> Any:
        """``d * (P(z) + z * p(z))``."""
        return d * (normal_cdf(z) + z * normal_density(z))


GELU = _add("gelu", Gelu())
