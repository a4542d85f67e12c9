"""Slopes without a backward: central differences, the complex step, and what to do at a kink.

    f'(0) = (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h + O(h^4)

The differences over h and over 2h agree where f is smooth and part where a kink (ReLU, maximum, hard gate) lies between
them; then a smaller h looks past it. A kink at 0 itself stays for every h: there each slope between the left and the
right one is a gradient.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["Slope", "complex_step", "slope"]

STEPS = 1e-3, 1e-5, 1e-7
ROUND = 8 * np.finfo(np.float64).eps
KINK = 1e-6  # what is rougher than this share of the scale, however short the step, is a kink
TINY = 1e-150  # the complex step: its square is still above the smallest number


class Slope(NamedTuple):
    """A measured slope and how far it can be trusted; `low` and `high` differ at a kink only."""

    value: float
    low: float
    high: float
    error: float


def slope(value, scale):
    """Slope of a function of one number at 0.

    Parameters
    ----------
    value : callable
        ``value(t) -> float``, at the point moved by t.
    scale : float
        Size of a usual slope of this function, > 0; it decides what counts as a kink.

    Returns
    -------
    Slope
    """
    centre, best, roughest = value(0.0), None, 0.0
    for h in STEPS:
        below2, below, above, above2 = (value(k * h) for k in (-2, -1, 1, 2))
        noise = ROUND * max(abs(below2), abs(above2), abs(centre)) / h
        near, far = (above - below) / (2 * h), (above2 - below2) / (4 * h)
        even = (4 * (above + below - 2 * centre) - (above2 + below2 - 2 * centre)) / h  # 0 for a parabola, not for |t|
        rough = 4 * abs(near - far) + abs(even)
        if best is None or rough + noise < best.error:
            best, roughest = Slope((4 * near - far) / 3, *[(4 * near - far) / 3] * 2, rough + noise), rough - 8 * noise
        if rough <= 1e-9 * scale + noise:
            break
    if roughest > KINK * scale:
        left = (3 * centre - 4 * below + below2) / (2 * h)
        right = (-3 * centre + 4 * above - above2) / (2 * h)
        return Slope((left + right) / 2, min(left, right), max(left, right), 4 * noise)
    return best


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
