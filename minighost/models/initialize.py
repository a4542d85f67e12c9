"""Initial weights and batch norms as a family's authors have them, where they differ from the layers' own.

`Conv2d` draws from a normal distribution of variance 2/fan_out (He et al. 2015, eq. 14), `Linear` from a uniform one.
A constructor whose paper says otherwise calls one of these at its end.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from minighost.nn import BatchNorm2d, Conv2d, Linear, Module
from minighost.nn.initial import weights_are_wanted
from minighost.type_aliases import Array

__all__ = ["draw_normal", "draw_truncated_normal", "draw_uniform", "fan_in", "set_batch_norms"]

Layer = Conv2d | Linear
_Model = TypeVar("_Model", bound=Module)


def draw_normal(
    model: Module, kind: type[Layer], std: float | Callable[[Array], float], rng: np.random.Generator
) -> None:
    """Draw the weights of all layers of one class from a normal distribution of mean 0.

    Parameters
    ----------
    model : Module
    kind : class
        `Conv2d` or `Linear`.
    std : float or callable
        Standard deviation, or a function that says it for a weight: ``lambda w: fan_in(w) ** -0.5``.
    rng : numpy.random.Generator
    """
    for weight in _weights(model, kind):
        weight[...] = rng.standard_normal(weight.shape, np.float32) * (std(weight) if callable(std) else std)


def draw_truncated_normal(model: Module, kind: type[Layer], std: float, rng: np.random.Generator) -> None:
    """Draw as `draw_normal`, and again what is more than two standard deviations from 0, as TensorFlow does."""
    for weight in _weights(model, kind):
        numbers = rng.standard_normal(weight.shape, np.float32)
        while (outside := np.abs(numbers) > 2).any():
            numbers[outside] = rng.standard_normal(np.count_nonzero(outside), np.float32)
        weight[...] = numbers * std


def draw_uniform(
    model: Module, kind: type[Layer], bound: float | Callable[[Array], float], rng: np.random.Generator
) -> None:
    """Draw the weights of all layers of one class uniformly from -bound to bound; `bound` is as `std` above."""
    for weight in _weights(model, kind):
        weight[...] = (2 * rng.random(weight.shape, np.float32) - 1) * (bound(weight) if callable(bound) else bound)


def fan_in(weight: Array) -> int:
    """How many numbers enter one output: KH*KW*C/groups, or in_features."""
    return int(np.prod(weight.shape[:-1]))


def set_batch_norms(model: _Model, eps: float = 1e-5, momentum: float = 0.1) -> _Model:
    """Give all batch norms of a model the same two numbers (the defaults are those of `BatchNorm2d`); returns it."""
    for layer in model.modules():
        if isinstance(layer, BatchNorm2d):
            layer.eps, layer.momentum = eps, momentum
    return model


def _weights(model: Module, kind: type[Layer]) -> list[Array]:
    if not weights_are_wanted():
        return []
    return [layer.weight.data for layer in model.modules() if isinstance(layer, kind)]
