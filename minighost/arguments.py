"""Numbers that a caller chooses, checked where they are given: a NaN or a word would come to light late, if at all."""

import math
import numbers

__all__ = ["choice", "number", "whole"]


def number(owner, name, value, *, least=None, above=None, below=None, most=None):
    """Return a finite number within bounds as a float.

    Parameters
    ----------
    owner, name : str
        Who asks for what, for the message: ``"SGD: momentum must be finite and >= 0, got -1"``.
    value : float
    least, above, below, most : float, optional
        The value must be >= least, > above, < below and <= most.

    Raises
    ------
    TypeError
        If it is not a number; True and False are none.
    ValueError
        If it is not finite, or outside the bounds.
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{owner}: {name} must be a number, got {value!r}")
    inside = (
        math.isfinite(value)
        and (least is None or value >= least)
        and (above is None or value > above)
        and (below is None or value < below)
        and (most is None or value <= most)
    )
    if not inside:
        bounds = [
            f"{sign} {bound:g}"
            for sign, bound in ((">=", least), (">", above), ("<", below), ("<=", most))
            if bound is not None
        ]
        rule = " and ".join(bounds if len(bounds) > 1 else ["finite", *bounds])
        raise ValueError(f"{owner}: {name} must be {rule}, got {value!r}")
    return float(value)


def whole(owner, name, value, least=None):
    """Return a whole number, of at least `least`, as an int; errors as for `number`, and ValueError for 2.5."""
    rule = "a whole number" + ("" if least is None else f" of at least {least}")
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{owner}: {name}={value!r} must be {rule}")
    if not isinstance(value, numbers.Integral) or least is not None and value < least:
        raise ValueError(f"{owner}: {name}={value!r} must be {rule}")
    return int(value)


def choice(owner, name, value, choices):
    """Return `value`, a word; ValueError if it is none of `choices`."""
    if value not in list(choices):
        raise ValueError(f"{owner}: {name}={value!r} is unknown; choose from {', '.join(map(repr, choices))}")
    return value
