"""Batch norm as ``scale*x + shift`` per channel, and its backward as ``scale*dy + slope*x + constant``.

With x in place of xhat (Ioffe & Szegedy 2015, algorithm 1) neither direction needs more than one pass over the pixels
once the sums are known, and the pass can be part of another kernel. All numbers here are per channel.
"""

import numpy as np

from minighost.engine import check

__all__ = ["fitting", "refuse_single", "scale_and_shift", "slope_and_constant"]


def fitting(x, gamma, beta, running_mean, running_var):
    """The four vectors as ordinary arrays, once they are known to fit `x`; NumPy reads them, so any strides will do."""
    given = (gamma, beta, running_mean, running_var)
    if all(type(v) is np.ndarray and v.shape == x.shape[3:] and v.dtype == x.dtype for v in given):
        return given
    names = ("gamma", "beta", "running_mean", "running_var")
    vectors = {name: check.array("batch_norm", name, v, 1) for name, v in zip(names, given, strict=True)}
    for name, vector in vectors.items():
        check.shape_is("batch_norm", name, vector, x.shape[3:])
    check.same_dtype("batch_norm", x=x, **vectors)
    return tuple(vectors.values())


def refuse_single(x):
    """Raise ValueError if each channel of x has one value only: its variance would be 0."""
    if x.size == x.shape[3]:
        raise ValueError(
            f"batch_norm: training needs more than one value per channel, got x of shape {x.shape}; "
            "use a larger batch or call eval()"
        )


def scale_and_shift(mean, var, R, gamma, beta, running_mean, running_var, training, momentum, eps):
    """Batch norm as ``scale*x + shift``, and its inverse deviation, all float64; updates the running statistics."""
    if training:
        check.written_in_place("batch_norm", "running_mean", running_mean)
        check.written_in_place("batch_norm", "running_var", running_var)
        running_mean[...] = (1 - momentum) * running_mean + momentum * mean
        running_var[...] = (1 - momentum) * running_var + momentum * (R / (R - 1)) * var
    inv_std = 1 / np.sqrt(var + eps)
    return inv_std, gamma * inv_std, beta - mean * gamma * inv_std


def slope_and_constant(dgamma, dbeta, R, mean, inv_std, scale):
    """slope and constant of ``dx = scale*dy + slope*x + constant``.

    That is ``scale * (dy - dbeta/R - (x - mean)*inv_std * dgamma/R)``, sorted by what it multiplies: dy, x and 1.
    """
    slope = -scale * inv_std * dgamma / R
    return slope, -scale * dbeta / R - slope * mean
