"""Stochastic depth: leave a whole branch out of some images, and scale the rest so that the mean stays.

    out[n] = x[n] * kept[n] / (1 - p),   kept[n] ~ Bernoulli(1 - p)

(Huang et al. 2016, "Deep networks with stochastic depth", eq. 2-5; per image and with the scale in training, as in
EfficientNet.) An image's branch is dropped as a whole, so what is added to it passes alone.
"""

import numpy as np

from minighost.arguments import number
from minighost.engine import check
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty
from minighost.type_aliases import Array

__all__ = [
    "stochastic_depth_backward",
    "stochastic_depth_backward_reference",
    "stochastic_depth_forward",
    "stochastic_depth_forward_reference",
]


# The idea ------------------------------------------------------------------------------------------------------


def stochastic_depth_forward_reference(x: Array, p: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """`stochastic_depth_forward` image by image."""
    factors = (rng.random(len(x)) >= p) / (1 - p)
    return _times(x, factors), factors


def stochastic_depth_backward_reference(dout: Array, cache: Array) -> Array:
    """`stochastic_depth_backward` image by image."""
    return _times(dout, cache)


def _times(x: Array, factors: Array) -> Array:
    out = np.zeros_like(x)
    for n, factor in enumerate(factors):
        if factor:  # else it would be 0 times what may be infinite
            out[n] = x[n] * factor
    return out


# The same, compiled --------------------------------------------------------------------------------------------


def stochastic_depth_forward(x: Array, p: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Drop images at random.

    Parameters
    ----------
    x : ndarray, shape (N, ...), float32 or float64
    p : float
        Probability of dropping, 0 <= p < 1.
    rng : numpy.random.Generator
        It gives N numbers, whatever `p` and the dtype of `x` are.

    Returns
    -------
    out : ndarray, shape and dtype of `x`
        0 in images that are dropped, whatever they hold.
    cache : ndarray, shape (N,)
        What each image was multiplied by: 0 or ``1 / (1 - p)``.
    """
    number("stochastic_depth", "p", p, least=0, below=1)
    if not np.ndim(x):
        raise ValueError("stochastic_depth: x must have an axis of images, (N, ...), got a single number")
    x = check.array("stochastic_depth", "x", x, np.ndim(x))
    factors = (rng.random(len(x)) >= p) * x.dtype.type(1 / (1 - p))
    return _scaled(x, factors), factors


def stochastic_depth_backward(dout: Array, cache: Array) -> Array:
    """Gradient of `stochastic_depth_forward`: the same factors. Returns `dx`."""
    dout = check.array("stochastic_depth backward", "dout", dout, np.ndim(dout))
    check.shape_is("stochastic_depth backward", "dout", dout, (len(cache), *dout.shape[1:]))
    return _scaled(dout, cache)


def _scaled(x, factors):
    out = empty(x.shape, x.dtype)
    if out.size:
        _scale(x.reshape(len(x), -1), factors, out.reshape(len(x), -1))
    return out


@kernel
def _scale(work, x, factors, out):
    N, K = x.shape
    for n in share(work, N):
        if factors[n] == 0:
            out[n] = 0
        else:
            for k in range(K):
                out[n, k] = x[n, k] * factors[n]
