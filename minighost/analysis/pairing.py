"""Does each filter have an opposite? The observation behind CReLU (Shang et al. 2016, "Understanding and improving
convolutional neural networks via concatenated rectified linear units", §2.1).

A filter is flattened and normalised. Its pair is the filter of the same layer that points most nearly the other way:

    pair(i) = argmin over j != i of cos(f_i, f_j)

A layer whose smallest cosines lie near -1 learns each direction twice, once with either sign, which CReLU would give it
for free. But among n random directions in d dimensions some are nearly opposite as well, the more so the smaller d is:
so every layer is compared with normally distributed filters of its own n and d.

Nor is every layer below chance one of pairs: filters that share few directions are more alike *and* more opposite than
chance has it. So the largest cosines stand beside the smallest. Pairs show where the smallest are the larger in size.
"""

from typing import NamedTuple

import numpy as np

from minighost.arguments import whole
from minighost.nn import Conv2d, Module
from minighost.type_aliases import Array, Seed

__all__ = ["Pairing", "extreme_cosines", "pairing"]


class Pairing(NamedTuple):
    """How nearly opposite the filters of one layer are.

    Attributes
    ----------
    path : str
    weights : int
        d, the numbers of one filter.
    cosines : ndarray, shape (n,), float64
        Each filter's smallest cosine with another one; filters that are zero are left out.
    largest : ndarray, shape (n,), float64
        Each filter's largest cosine with another one. Of random filters it is minus the smallest, on average.
    random : ndarray, shape (draws, n), float64
        The smallest of normally distributed filters.
    """

    path: str
    weights: int
    cosines: Array
    largest: Array
    random: Array

    @property
    def excess(self) -> float:
        """Mean of the cosines minus that of random filters: below 0, filters come in opposite pairs."""
        return float(self.cosines.mean() - self.random.mean())

    @property
    def spread(self) -> float:
        """Standard deviation of a random layer's mean from draw to draw; NaN for a single draw."""
        return float(self.random.mean(axis=1).std(ddof=1)) if len(self.random) > 1 else float("nan")


def pairing(model: Module, draws: int = 10, seed: Seed = 0) -> list[Pairing]:
    """The pairing of every convolution in which all filters see the same channels.

    Parameters
    ----------
    model : Module
    draws : int
        Random layers per layer.
    seed : int or numpy.random.Generator

    Returns
    -------
    list of Pairing
        In the network's order. Grouped convolutions are left out: filters of two groups cannot be compared. So are
        layers with fewer than two filters that are not zero.

    Examples
    --------
    >>> from minighost import nn
    >>> layer = nn.Conv2d(3, 8, 3, rng=0)
    >>> layer.weight.data[..., 4:] = -layer.weight.data[..., :4]
    >>> pairing(layer)[0].cosines.round(3)
    array([-1., -1., -1., -1., -1., -1., -1., -1.])
    """
    whole("pairing", "draws", draws, 1)
    rng, found = np.random.default_rng(seed), []
    for path, module in model.named_modules():
        if isinstance(module, Conv2d) and module.groups == 1:
            cosines, largest = extreme_cosines(_filters(module))
            if len(cosines):
                shape = (len(cosines), module.weight.data[..., 0].size)
                random = np.stack([extreme_cosines(rng.normal(size=shape))[0] for _ in range(draws)])
                found.append(Pairing(path or type(module).__name__, shape[1], cosines, largest, random))
    return found


def extreme_cosines(filters: Array) -> tuple[Array, Array]:
    """Smallest and largest cosine of each row (n, d) with another row. Rows of zeros, and a row alone, have none."""
    norms = np.linalg.norm(filters, axis=1)
    directions = filters[norms > 0] / norms[norms > 0, None]
    if len(directions) < 2:
        return np.empty(0), np.empty(0)
    cosines = directions @ directions.T
    smallest = cosines.min(axis=1)  # the cosine with itself, 1, is never the smallest
    np.fill_diagonal(cosines, -np.inf)
    return smallest, cosines.max(axis=1)


def _filters(layer: Conv2d) -> Array:
    weight = layer.weight.data.astype(np.float64)  # (KH, KW, C, OC)
    return weight.reshape(-1, weight.shape[3]).T
