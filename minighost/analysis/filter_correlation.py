"""Do the filters of two layers depend on one another in blocks? (Ioannou et al. 2017, "Deep roots: Improving CNN
efficiency with hierarchical filter groups", §4 and figure 4.)

Of a layer's maps and of the next layer's the correlation of every channel with every other is taken, over all images
and places. Between dense layers it has no order. Where the second convolution is grouped, each of its groups sees a
block of channels only, and the matrix is brighter along the diagonal. A channel shuffle undoes the blocks.
"""

from typing import NamedTuple

import numpy as np

from minighost.analysis.maps import layer_maps
from minighost.nn import Module
from minighost.type_aliases import Array

__all__ = ["FilterCorrelation", "filter_correlation"]


class FilterCorrelation(NamedTuple):
    """The correlation of the channels of two layers.

    Attributes
    ----------
    first, second : str
        Paths of the layers.
    matrix : ndarray, shape (C1, C2), float64
        Absolute values of Pearson's correlation, 0 to 1; 0 for a channel that is constant.
    """

    first: str
    second: str
    matrix: Array

    def diagonal(self, groups: int) -> float:
        """Mean inside the blocks of `groups` equal groups over the mean outside; 1 is no order.

        Raises
        ------
        ValueError
            Fewer than two groups, or a number of groups that does not divide both numbers of channels.
        """
        C1, C2 = self.matrix.shape
        if groups < 2 or C1 % groups or C2 % groups:
            raise ValueError(f"diagonal: groups={groups} must be at least 2 and divide {C1} and {C2} channels")
        inside = np.kron(np.eye(groups, dtype=bool), np.ones((C1 // groups, C2 // groups), bool))
        outside = self.matrix[~inside].mean()
        return float(self.matrix[inside].mean() / outside) if outside else float("inf")


def filter_correlation(model: Module, x: Array, first: str, second: str) -> FilterCorrelation:
    """The correlation between the output channels of two layers.

    Parameters
    ----------
    model : Module
    x : ndarray, shape (N, H, W, C)
        Normalised images; enough that N times the places of the smaller map is well above the number of channels.
    first, second : str
        Paths of the layers. Where the second has a smaller plane, the first is averaged over the pixels of each of its
        places.

    Raises
    ------
    ValueError
        Unknown layers, outputs that are no planes, planes of which one does not divide the other.
    """
    maps = layer_maps(model, x, [first, second])
    for path in (first, second):
        if maps[path].ndim != 4:
            raise ValueError(f"layer {path}: its output has shape {maps[path].shape[1:]}, which is no plane of maps")
    return FilterCorrelation(first, second, abs(_correlation(_pooled(maps, first, second), maps[second])))


def _pooled(maps: dict[str, Array], first: str, second: str) -> Array:
    """The first layer's maps at the second one's resolution."""
    (N, H, W, C), (_, h, w, _) = maps[first].shape, maps[second].shape
    if H % h or W % w:
        raise ValueError(f"layer {second}: its plane of {h}x{w} does not divide the {H}x{W} of layer {first}")
    return maps[first].reshape(N, h, H // h, w, W // w, C).mean(axis=(2, 4))


def _correlation(a: Array, b: Array) -> Array:
    a, b = (_standardized(one.reshape(-1, one.shape[3]).astype(np.float64)) for one in (a, b))
    return a.T @ b


def _standardized(columns: Array) -> Array:
    columns = columns - columns.mean(axis=0)
    norms = np.sqrt((columns**2).sum(axis=0))
    return columns / np.where(norms > 0, norms, np.inf)
