"""Are some maps cheap copies of others? The observation behind GhostNet (Han et al. 2020, "GhostNet: More features from
cheap operations", figure 1 and table 1).

Two maps are similar if their correlation over all images and places is large, whatever its sign. How cheap the copy is
says the error that is left when one of them is predicted from the other by a depthwise kernel of d x d weights and a
constant - what the cheap operation of a ghost module is, with the shift of its batch norm - fitted by least squares.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minighost.arguments import whole
from minighost.type_aliases import Array

__all__ = ["SimilarPair", "prediction_error", "similar_pairs"]


class SimilarPair(NamedTuple):
    """Two channels that show nearly the same.

    Attributes
    ----------
    first, second : int
        Channels; the second is to be predicted from the first.
    correlation : float
        Pearson's, over images and places.
    """

    first: int
    second: int
    correlation: float


def similar_pairs(maps: Array, count: int = 3) -> list[SimilarPair]:
    """The most similar pairs of channels, no channel in two of them.

    Parameters
    ----------
    maps : ndarray, shape (N, H, W, C)
        Of some images. Channels that are constant resemble nothing.
    count : int
        At most as many pairs.

    Returns
    -------
    list of SimilarPair
        The most similar first.
    """
    whole("similar_pairs", "count", count, 1)
    flat = maps.reshape(-1, maps.shape[3]).astype(np.float64)
    flat -= flat.mean(axis=0)
    norms = np.sqrt((flat**2).sum(axis=0))
    flat /= np.where(norms > 0, norms, np.inf)
    correlation = np.triu(flat.T @ flat, 1)
    pairs: list[SimilarPair] = []
    while len(pairs) < count:
        i, j = np.unravel_index(abs(correlation).argmax(), correlation.shape)
        if not correlation[i, j]:
            break
        pairs.append(SimilarPair(int(i), int(j), float(correlation[i, j])))
        correlation[[i, j]] = correlation[:, [i, j]] = 0
    return pairs


def prediction_error(source: Array, target: Array, sizes: Sequence[int] = (1, 3, 5, 7)) -> list[float]:
    """Mean squared error with which d x d weights and a constant predict one map from another.

    Parameters
    ----------
    source, target : ndarray, shape (N, H, W)
    sizes : sequence of int
        d, odd.

    Returns
    -------
    list of float
        One for each size, as a share of the target's variance: 0 is a perfect copy, 1 no better than its mean. It
        cannot grow with d but for rounding, for the larger kernel contains the smaller one.

    Raises
    ------
    ValueError
        A size that is even, or maps of different shape.
    """
    if source.shape != target.shape or source.ndim != 3:
        raise ValueError(f"prediction_error: maps must have one shape (N, H, W), got {source.shape} and {target.shape}")
    wanted = target.astype(np.float64).ravel()
    variance = wanted.var()
    errors = []
    for size in sizes:
        if whole("prediction_error", "size", size, 1) % 2 == 0:
            raise ValueError(f"prediction_error: size {size} must be odd, or the prediction would be shifted")
        seen = _neighbourhoods(source.astype(np.float64), size)
        weights, *_ = np.linalg.lstsq(seen, wanted, rcond=None)
        error = np.mean((wanted - seen @ weights) ** 2)
        errors.append(float(error / variance) if variance else 0.0)
    return errors


def _neighbourhoods(maps: Array, size: int) -> Array:
    """What a kernel sees at each place, zeros beyond the border, and a one for the constant: (N*H*W, size*size + 1)."""
    margin = size // 2
    padded = np.pad(maps, [(0, 0), (margin, margin), (margin, margin)])
    windows = sliding_window_view(padded, (size, size), axis=(1, 2)).reshape(maps.size, size * size)
    return np.column_stack([windows, np.ones(len(windows))])
