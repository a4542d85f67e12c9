"""Slopes without a backward: central differences, the complex step, and what to do where neither applies.

    f'(0) = (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h + O(h^4)

No h suits every function: a long one steps over a pole or out of the domain, a short one drowns in rounding. So h
begins as a small share of the input and shrinks until the differences over h and over 2h agree; where rounding
outweighs their disagreement, it grows again. What is left, disagreement and rounding, is the error.

At a kink (ReLU, maximum, hard gate) they part for every h, while the slopes from the left and from the right each
converge: there any value between the two is a gradient. At the edge of a domain one side has no numbers, and the other
side's slope is the gradient. Where nothing converges - a jump, the root of 0 - the error stays large.
"""

from typing import Any, NamedTuple

import numpy as np

__all__ = ["ROUND", "Slope", "complex_step", "slope"]

ROUND = 8 * np.finfo(np.float64).eps
SHRINKING = [2.0**-k for k in range(14, 47, 4)]  # shares of the input; shorter ones drown in its own rounding
WIDE = [2.0**-k for k in range(2, 15, 4)]
GOOD = 1e-7  # disagreement, as a share of the slope, at which no shorter step is tried
KINK = 1e-6  # what disagrees by more than this, however short the step, is no smooth function
CONVERGED = 1e-2  # a kink's sides are known to this share of what lies between them
TINY = 1e-150  # the complex step: its square is still above the smallest number


class Slope(NamedTuple):
    """A measured slope and how far it can be trusted.

    Attributes
    ----------
    value : float
    low, high : float
        They differ at a kink only.
    error : float
        Infinite where nothing could be measured.
    noise : float
        The part of the error that is rounding.
    mass : float
        Sum of the sizes of the slopes that add up to this one.
    """

    value: float
    low: float
    high: float
    error: float
    noise: float
    mass: float


UNKNOWN = Slope(np.nan, np.nan, np.nan, np.inf, 0.0, 0.0)


def slope(terms, size, typical, usual, rounding=ROUND):
    """Slope at 0 of a sum of functions of one number.

    Parameters
    ----------
    terms : callable
        ``terms(t) -> ndarray``, the summands at the point moved by t; None where the function has no numbers.
    size : float
        Size of what is moved, in units of t, > 0: steps are shares of it.
    typical : float
        Size of its neighbours; steps may grow to a share of it where they drown in rounding.
    usual : float
        Size of a usual slope of this function; it decides what counts as a kink.
    rounding : float
        Of a summand, as a share of it.

    Returns
    -------
    Slope
    """
    looks = _Looks(terms, size, max(size, typical), rounding)
    with np.errstate(all="ignore"):
        for share in SHRINKING:
            if looks.at(share * size):
                break
        if looks.drowned(usual):
            for share in WIDE:
                if looks.at(share * looks.longest):
                    break
    return looks.answer(usual)


class _Looks:
    """The best of several steps: from both sides, from the left, from the right."""

    def __init__(self, terms, size, longest, rounding):
        self.terms, self.size, self.longest, self.rounding = terms, size, longest, rounding
        self.centre = terms(0.0)
        self.reached = None
        self.both = self.left = self.right = UNKNOWN

    def at(self, h):
        """Look with step h; whether that is good enough, or shorter ones are useless."""
        points: list[Any] = [self.terms(k * h) for k in (-2, -1, 1, 2)]
        there = [p for p in points if p is not None]
        changed = np.zeros(self.centre.shape, bool)
        for p in there:
            changed |= p != self.centre
        if not changed.any():  # no slope, or one below the last digit
            changed = self._reached()
        sizes = np.max([np.abs(p) for p in (self.centre, *there)], axis=0)
        noise = self.rounding * float(sizes[changed].sum()) / h
        moves: list[Any] = [None if p is None else p[changed] - self.centre[changed] for p in points]
        self.left = _better(self.left, self._side(moves[1], moves[0], -h, noise))
        self.right = _better(self.right, self._side(moves[2], moves[3], h, noise))
        if len(there) < len(points):
            return False
        below2, below, above, above2 = (float(m.sum()) for m in moves)
        near, far = (above - below) / (2 * h), (above2 - below2) / (4 * h)
        even = (4 * (above + below) - (above2 + below2)) / h  # 0 for a parabola, not for |t|
        rough, value = 4 * abs(near - far) + abs(even), (4 * near - far) / 3
        noise += self.rounding * self.size * abs(value) / h / 8  # the moved point is rounded too
        found = _slope(value, rough, noise, float(np.abs(moves[2] - moves[1]).sum()) / (2 * h))
        self.both = _better(self.both, found)
        return bool(rough <= GOOD * found.mass + noise or noise > self.both.error)

    def _reached(self):
        """What a long step changes, whichever way; what it changes on one side only lies beyond a corner."""
        if self.reached is None:
            far = [self.terms(k * WIDE[0] * self.longest) for k in (-1, 1)]
            both = [np.zeros(self.centre.shape, bool) if p is None else p != self.centre for p in far]
            self.reached = both[0] & both[1]
        return self.reached

    @staticmethod
    def _side(one, two, h, noise):
        if one is None or two is None:
            return UNKNOWN
        near, far = float(one.sum()) / h, float(two.sum()) / (2 * h)
        return _slope(2 * near - far, abs(near - far), 2 * noise, float(np.abs(one).sum()) / abs(h))

    def drowned(self, usual):
        """Whether it is rounding that limits the best step, not the function."""
        both = self.both
        return both.error > 2 * GOOD * max(both.mass, usual) and both.noise > both.error / 2

    def answer(self, usual):
        """The slope, or the two of a kink, or the one of a domain's edge."""
        both, left, right = self.both, self.left, self.right
        if both.error <= KINK * max(usual, both.mass):
            return both
        if np.isinf(both.error) and np.isinf(left.error) != np.isinf(right.error):
            return _better(left, right)
        low, high = sorted((left.value, right.value))
        if left.error + right.error <= CONVERGED * (high - low):
            error, noise = left.error + right.error, left.noise + right.noise
            return Slope((low + high) / 2, low, high, error, noise, max(left.mass, right.mass))
        return both


def _slope(value, rough, noise, mass):
    known = np.isfinite([value, rough, noise, mass]).all()
    return Slope(value, value, value, rough + noise, noise, mass) if known else UNKNOWN


def _better(one, other):
    return other if other.error < one.error else one


def complex_step(value):
    """Slope of an analytic function at 0, exact to rounding, or None if it is not one (Squire & Trapp 1998).

    ``f(ih) = f(0) + ih f'(0) - ...``: no difference is taken, so h can be as small as one likes.

    Parameters
    ----------
    value : callable
        ``value(t) -> complex`` for an imaginary t. Whatever it raises means that it cannot take one.
    """
    try:
        with np.errstate(all="ignore"):
            found = complex(value(1j * TINY)).imag / TINY
    except Exception:  # a learner's function may fail in any way on a complex number
        return None
    return found if np.isfinite(found) else None
