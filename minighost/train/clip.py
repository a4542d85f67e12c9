"""Gradient clipping by the total norm (Pascanu et al. 2013, algorithm 1)."""

import math
from collections.abc import Iterable, Iterator

import numpy as np

from minighost.arguments import number
from minighost.engine.check import is_plain
from minighost.engine.updates import sum_of_squares
from minighost.nn.flat import neighbours
from minighost.nn.parameter import Parameter
from minighost.train.rows import row
from minighost.type_aliases import Array

__all__ = ["clip_grad_norm", "grad_norm", "own_gradients"]


def grad_norm(params: Iterable[Parameter]) -> float:
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
    for grad in _gradients(params):
        total += sum_of_squares(row(grad, np.float32 if grad.dtype == np.float32 else np.float64))
    return math.sqrt(total)


def _gradients(params):
    """The gradients; those that lie side by side are one array."""
    placed = []
    for p in params:
        if p.grad is None:
            continue
        if p.place is not None and p.grad is p.place.grad:
            placed.append(p)
        else:
            yield np.asarray(p.grad)
    for run in neighbours(placed):
        yield run[0].place.flat.grad[run[0].place.start : run[-1].place.end]


def own_gradients(params: Iterable[Parameter]) -> Iterator[Array]:
    """All gradients as arrays that may be written to; those that lie side by side are one, a row (n,)."""
    params = list(params)
    for p in params:
        if p.grad is not None and not is_plain(p.grad):
            p.grad = np.array(p.grad, order="C")  # in a view a number may lie in two places, or be read-only
    return _gradients(params)


def clip_grad_norm(params: Iterable[Parameter], max_norm: float) -> float:
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
        for grad in own_gradients(params):
            grad *= factor
    return norm
