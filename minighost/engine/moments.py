"""Mean and variance of numbers that are looked at in parts.

    var = mean(x*x) - mean(x)**2

cancels where the mean is many times the deviation. So every part is summed about a pivot, one of its own numbers, and
leaves three numbers per channel: how many there were, their mean, and the sum of the squares of their distances from
it ("squares"). Those of all parts together follow (Chan, Golub & LeVeque 1983, "Algorithms for computing the sample
variance", eq. 2.1):

    mean = sum(count * mean) / R,   R * var = sum(squares + count * (mean of the part - mean)**2),   R = sum(count)
"""

import numpy as np

from minighost.engine.launch import is_last, tile
from minighost.engine.memory import empty

__all__ = ["add_moments", "close_moments", "merge_moments", "room_for_moments"]


def room_for_moments(parts, C):
    """Where parts leave their three numbers, (parts, 3, C), and mean and variance of all, (2, C); none if no parts."""
    return empty((parts, 3, C), np.float64), empty((2, C if parts else 0), np.float64)


@tile
def add_moments(x, fresh, moments):
    """Add up ``x - pivot`` and its square in every lane; `moments` holds pivot, sum and sum of squares.

    The first numbers of a part, which find it `fresh`, become its pivot.
    """
    pivot, total, squares = moments[0], moments[1], moments[2]
    L = len(pivot)
    if fresh:
        for k in range(min(len(x), L)):
            pivot[k] = x[k]
    for q in range(0, len(x), L):
        n = min(L, len(x) - q)
        xq = x[q : q + n]
        for k in range(n):
            v = xq[k] - pivot[k]
            total[k] += v
            squares[k] += v * v


@tile
def close_moments(work, t, n, moments, L, partials, statistics):
    """Leave the sums of part t, n numbers; whoever closes the last part merges them all. Without parts do nothing."""
    if len(partials):
        _fold(n, moments, L, partials[t])
        if is_last(work, len(partials)):
            merge_moments(partials, statistics)


@tile
def _fold(n, moments, L, part):
    """L lanes of `add_moments`, into which n numbers went, to count, mean and squares per channel (3, C)."""
    C = part.shape[1]
    each, more = n // L, n % L
    count, mean, squares = part[0], part[1], part[2]
    for c in range(C):
        count[c], mean[c], squares[c] = 0, 0, 0
    for first in range(0, L, C):
        lanes = moments[:, first : first + C]
        for c in range(C):
            m = np.float64(each + (first + c < more))  # numbers that went into this lane
            q, s1, s2 = np.float64(lanes[0, c]) - np.float64(moments[0, c]), np.float64(lanes[1, c]), lanes[2, c]
            count[c] += m
            mean[c] += s1 + m * q
            squares[c] += s2 + 2 * q * s1 + m * q * q
    for c in range(C):
        beside = mean[c] / count[c]  # the pivot of the first lane
        squares[c] -= mean[c] * beside
        mean[c] = moments[0, c] + beside


@tile
def merge_moments(parts, statistics):
    """Parts (T, 3, k*C), k lanes a channel, to mean and biased variance (2, C); by one thread, after all others."""
    C, R = statistics.shape[1], 0.0
    mean, var = statistics[0], statistics[1]
    for c in range(C):
        mean[c], var[c] = 0, 0
    for t in range(len(parts)):
        for first in range(0, parts.shape[2], C):
            R += parts[t, 0, first]
            for c in range(C):
                mean[c] += parts[t, 0, first + c] * parts[t, 1, first + c]
    for c in range(C):
        mean[c] /= R
    for t in range(len(parts)):
        for first in range(0, parts.shape[2], C):
            for c in range(C):
                d = parts[t, 1, first + c] - mean[c]
                var[c] += parts[t, 2, first + c] + parts[t, 0, first + c] * d * d
    for c in range(C):
        v = var[c] / R
        var[c] = 0 if v <= 0 else v  # below zero by a rounding error
