"""Whether arrays can be the state of a network: finite, and not negative where that means nothing."""

import numpy as np

__all__ = ["count", "unusable"]


def unusable(tensors):
    """What no network may hold: values that are not finite, negative variances, negative counts.

    Parameters
    ----------
    tensors : dict of str to ndarray
        By their paths; the last word of a path is the name of the parameter, buffer or slot.

    Returns
    -------
    list of str
        Each names a tensor and how many of its values are wrong.
    """
    problems = []
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            problems.append(f"{name}: {count(array)}")
        elif (array.dtype.kind == "i" or name.endswith("running_var")) and (array < 0).any():
            problems.append(f"{name}: {int((array < 0).sum())} of {array.size} values are negative")
    return problems


def count(array):
    """How many values of an array are not finite, in words."""
    bad = array.size - int(np.isfinite(array).sum())
    return f"{bad} of {array.size} values are not finite"
