"""Focal loss: a yes or no for every class, where nearly all answers are no.

    p    = sigmoid(logit), what the prediction says of "yes"
    loss = -alpha     * (1 - p)**gamma * log(p)          where the answer is yes
         = -(1-alpha) * p**gamma       * log(1 - p)      where it is no

(Lin et al. 2017, "Focal loss for dense object detection", eq. 5), summed over all answers and divided by the number of
rows that have a class, at least 1: what a row without one costs shall not depend on how many there are. With gamma = 0
it is the cross-entropy. With gamma = 2 an easy answer, p = 0.01 where it is no, costs a ten-thousandth of that.

Let z be the logit where the answer is no and minus the logit where it is yes, so that z is large where the prediction
is wrong, and s = sigmoid(z), w = alpha or 1-alpha. Then both lines are one, and so are their derivatives:

    loss      = w * s**gamma * softplus(z)                             softplus(z) = log(1 + exp(z)) = -log(1 - s)
    d loss/dz = w * s**gamma * (s + gamma * (1 - s) * softplus(z))
"""

import math

import numpy as np

from minighost.arguments import number
from minighost.engine import check
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty
from minighost.type_aliases import Array, IntArray

__all__ = ["sigmoid_focal_loss", "sigmoid_focal_loss_reference"]

TILE = 256  # rows that one thread sums up


# The idea ------------------------------------------------------------------------------------------------------


def sigmoid_focal_loss_reference(
    logits: Array, labels: IntArray, alpha: float = 0.25, gamma: float = 2.0
) -> tuple[float, Array]:
    """`sigmoid_focal_loss` answer by answer."""
    loss, dlogits = 0.0, np.zeros_like(logits)
    positives = max(1, int((labels >= 0).sum()))
    for r, c in np.ndindex(*logits.shape):
        if labels[r] == -2:
            continue
        sign, weight = (-1, alpha) if labels[r] == c else (1, 1 - alpha)
        z = sign * float(logits[r, c])
        softplus = max(z, 0.0) + math.log1p(math.exp(-abs(z)))  # neither exponential can overflow
        s = math.exp(z - softplus)
        loss += weight * s**gamma * softplus / positives
        slope = weight * s**gamma * (s + gamma * math.exp(-softplus) * softplus)
        dlogits[r, c] = sign * slope / positives
    return loss, dlogits


# The same, compiled --------------------------------------------------------------------------------------------


def sigmoid_focal_loss(logits: Array, labels: IntArray, alpha: float = 0.25, gamma: float = 2.0) -> tuple[float, Array]:
    """Loss and its gradient.

    Parameters
    ----------
    logits : ndarray, shape (R, C), float32 or float64
        A row for each anchor, a number for each class.
    labels : ndarray, shape (R,), integers
        The class of a row, 0 to C-1; -1 where it has none; -2 where it does not count.
    alpha : float
        What "yes" weighs, 0 to 1; "no" weighs 1 - alpha.
    gamma : float
        >= 0. The larger, the less an easy answer costs.

    Returns
    -------
    loss : float
        In nats, computed in float64: the sum, divided by the number of rows with a class, at least 1.
    dlogits : ndarray, shape (R, C), dtype of `logits`
        0 in rows that do not count.

    Raises
    ------
    TypeError
        `logits` are no float32 or float64 array, or a number is none.
    ValueError
        Shapes do not fit, or a number is out of range.
    IndexError
        A label is none of these; its position is named.

    Notes
    -----
    ``torchvision.ops.sigmoid_focal_loss`` takes the answers as an array of 0 and 1 and does not divide.

    Examples
    --------
    >>> loss, dlogits = sigmoid_focal_loss(np.zeros((3, 2)), np.array([1, -1, -2]))
    >>> round(loss, 4), dlogits.round(3)
    (0.4332, array([[ 0.224, -0.075],
           [ 0.224,  0.224],
           [ 0.   ,  0.   ]]))
    """
    op = "sigmoid_focal_loss"
    logits, labels = check.array(op, "logits", logits, 2), np.asarray(labels)
    R, C = logits.shape
    if labels.shape != (R,) or labels.dtype.kind not in "iu":
        raise ValueError(f"{op}: labels must be {R} integers, got shape {labels.shape}, dtype {labels.dtype}")
    wrong = np.flatnonzero((labels < -2) | (labels >= C))
    if wrong.size:
        raise IndexError(
            f"{op}: labels[{wrong[0]}]={labels[wrong[0]]} must be a class from 0 to {C - 1}, -1 for none or -2 for a "
            "row that does not count"
        )
    alpha, gamma = number(op, "alpha", alpha, least=0, most=1), number(op, "gamma", gamma, least=0)
    positives = max(1, int((labels >= 0).sum()))
    dlogits, sums = empty(logits.shape, logits.dtype), np.zeros(-(-R // TILE))
    if logits.size:
        _focal(logits, np.array(labels, np.int64), alpha, gamma, 1 / positives, dlogits, sums)
    return float(sums.sum() / positives), dlogits


@kernel
def _focal(work, logits, labels, alpha, gamma, scale, dlogits, sums):
    R, C = logits.shape
    for tile in share(work, len(sums)):
        total = 0.0
        for r in range(tile * TILE, min(R, (tile + 1) * TILE)):
            for c in range(C):
                if labels[r] == -2:
                    dlogits[r, c] = 0
                    continue
                sign = -1.0 if labels[r] == c else 1.0
                z = sign * np.float64(logits[r, c])
                e = math.exp(-abs(z))
                s, rest = (1 / (1 + e), e / (1 + e)) if z >= 0 else (e / (1 + e), 1 / (1 + e))
                softplus = math.log1p(e) + (z if z > 0 else 0.0)
                weight = (alpha if labels[r] == c else 1 - alpha) * (s * s if gamma == 2 else s**gamma)
                total += weight * softplus
                slope = s + (gamma * rest * softplus if rest != 0 else 0.0)  # of an infinite logit it would be 0 * inf
                dlogits[r, c] = sign * weight * slope * scale
        sums[tile] = total
