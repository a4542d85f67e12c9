"""The numbers that weights begin with, and a way to build a network without any.

A network of 138 million weights takes seconds to draw. Who only counts them, or asks for shapes, builds it within
``with without_weights():``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from minighost.type_aliases import Array, Seed

__all__ = ["normal", "uniform", "weights_are_wanted", "without_weights"]

_wanted: ContextVar[bool] = ContextVar("weights are drawn", default=True)


@contextmanager
def without_weights() -> Iterator[None]:
    """Within the block the weights of new layers are zeros, which take neither time nor memory until they are written.

    Shapes and counts are as ever; do not train such a network. It holds for the Python thread that asked.

    Examples
    --------
    >>> from minighost import nn
    >>> with nn.without_weights():
    ...     layer = nn.Linear(25_088, 4_096)
    >>> layer.weight.size, layer.weight.data[0, 0].item()
    (102760448, 0.0)
    """
    token = _wanted.set(False)
    try:
        yield
    finally:
        _wanted.reset(token)


def weights_are_wanted() -> bool:
    """Whether numbers are to be drawn: not within ``without_weights()``."""
    return _wanted.get()


def normal(rng: Seed, std: float, shape: tuple[int, ...]) -> Array:
    """Float32 numbers of a normal distribution of mean 0; zeros within ``without_weights()``."""
    if not _wanted.get():
        return np.zeros(shape, np.float32)
    return np.random.default_rng(rng).normal(0, std, shape).astype(np.float32)


def uniform(rng: Seed, bound: float, shape: tuple[int, ...]) -> Array:
    """Float32 numbers of a uniform distribution from -bound to bound; zeros within ``without_weights()``."""
    if not _wanted.get():
        return np.zeros(shape, np.float32)
    return np.random.default_rng(rng).uniform(-bound, bound, shape).astype(np.float32)
