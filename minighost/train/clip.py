"""Gradient clipping by the total norm (Pascanu et al. 2013, algorithm 1)."""

import math

import numpy as np

from minighost.arguments import number
from minighost.engine.check import is_plain

__all__ = ["clip_grad_norm", "grad_norm"]

BLOCK = 1 << 15


def grad_norm(params):
    """Euclidean norm of all gradients together, summed in float64; NaN or inf if any gradient is.

    Parameters
    ----------
    params : iterable of Parameter
        Those without a gradient are skipped.

    Returns
    -------
    float
    """
    total = 0.0
    for p in params:
        if p.grad is None:
            continue
        flat = np.asarray(p.grad).reshape(-1)
        for lo in range(0, flat.size, BLOCK):
            block = flat[lo : lo + BLOCK].astype(np.float64)  # squares of float32 values overflow beyond 1.8e19
            total += float(block @ block)
    return math.sqrt(total)


def clip_grad_norm(params, max_norm):
    """Scale all gradients so that their norm is at most `max_norm`.

    Parameters
    ----------
    params : iterable of Parameter
        Gradients are scaled in place by ``min(1, max_norm / (norm + 1e-6))``, PyTorch's factor.
    max_norm : float
        Positive; ``math.inf`` only measures.

    Returns
    -------
    float
        The norm before clipping. If it is NaN or infinite no gradient is touched, so that the culprit can still be
        found.
    """
    if max_norm != math.inf:
        number("clip_grad_norm", "max_norm", max_norm, above=0)
    params = list(params)
    norm = grad_norm(params)
    factor = max_norm / (norm + 1e-6)
    if math.isfinite(norm) and factor < 1:
        for p in params:
            if p.grad is not None and is_plain(p.grad):
                p.grad *= factor
            elif p.grad is not None:  # a view in which a number may lie in two places, or that is read-only
                p.grad = p.grad * factor
    return norm
