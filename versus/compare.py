"""Do they compute the same, and how much longer does one take than the other?"""

import numpy as np

__all__ = ["Disagreement", "difference", "ratio"]


class Disagreement(Exception):
    """Two contestants computed different numbers."""


def difference(theirs, ours, tolerance):
    """The largest difference of any result.

    Parameters
    ----------
    theirs, ours : dict of str to ndarray
    tolerance : float
        Relative to the largest number of ours, result by result.

    Returns
    -------
    absolute, relative : float
        The largest difference, and the largest one relative to its result.

    Raises
    ------
    Disagreement
        If names or shapes differ, a number is not finite, or a difference is beyond the tolerance.
    """
    if set(theirs) != set(ours):
        raise Disagreement(f"different results: {', '.join(sorted(theirs))} against {', '.join(sorted(ours))}")
    absolute = relative = 0.0
    for name, ours_ in ours.items():
        if theirs[name].shape != ours_.shape:
            raise Disagreement(f"{name}: shapes {theirs[name].shape} and {ours_.shape} differ")
        far = float(np.abs(theirs[name] - ours_).max())
        share = far / max(float(np.abs(ours_).max()), 1e-12)
        if not share <= tolerance:  # written this way round, a NaN is refused
            raise Disagreement(f"{name}: {far:.3g} apart, {share:.2g} of the largest; allowed is {tolerance:g}")
        absolute, relative = max(absolute, far), max(relative, share)
    return absolute, relative


def ratio(theirs, ours):
    """How many times as long they take as minighost does, round by round.

    Parameters
    ----------
    theirs, ours : list of float
        Seconds per step, one number per round.

    Returns
    -------
    dict
        ``median``, ``low`` and ``high`` (quartiles), ``rounds`` (all of them) and their number ``n``.
    """
    rounds = [a / b for a, b in zip(theirs, ours, strict=True)]
    low, median, high = (float(q) for q in np.percentile(rounds, [25, 50, 75]))
    return {"median": median, "low": low, "high": high, "n": len(rounds), "rounds": rounds}
