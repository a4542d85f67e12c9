"""L1 loss: the sum of the distances, and as an option its smooth form, a parabola around 0.

    d = |x - target|
    loss = 1/R * sum of d                                   the gradient is the sign
    loss = 1/R * sum of (d**2 / (2*beta) if d < beta else d - beta/2)      (Girshick 2015, "Fast R-CNN", eq. 3)

A row is a box and its numbers are summed, so a box weighs the same whatever it has of them. The boxes of a batch are
few, and the everyday version is NumPy too; the reference spells the sum out.
"""

import numpy as np

from minighost.arguments import number
from minighost.engine import check
from minighost.type_aliases import Array

__all__ = ["l1_loss", "l1_loss_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def l1_loss_reference(x: Array, target: Array, beta: float = 0.0) -> tuple[float, Array]:
    """`l1_loss` number by number."""
    R = max(1, len(x))
    loss, dx = 0.0, np.zeros_like(x)
    for r, c in np.ndindex(*x.shape):
        difference = float(x[r, c]) - float(target[r, c])
        if abs(difference) < beta:
            loss += difference**2 / (2 * beta) / R
            dx[r, c] = difference / beta / R
        else:
            loss += (abs(difference) - beta / 2) / R
            dx[r, c] = (difference > 0) / R - (difference < 0) / R
    return loss, dx


# The same, vectorised ------------------------------------------------------------------------------------------


def l1_loss(x: Array, target: Array, beta: float = 0.0) -> tuple[float, Array]:
    """Loss and its gradient.

    Parameters
    ----------
    x, target : ndarray, shape (R, C), float32 or float64
    beta : float
        >= 0. Closer than this the loss is a parabola; with 0 nowhere.

    Returns
    -------
    loss : float
        The sum over each row, the mean over the rows; 0 if there are none. Computed in float64.
    dx : ndarray, shape and dtype of `x`
        At a distance of 0, where the loss has a kink, 0.

    Raises
    ------
    TypeError, ValueError
        They are no such arrays, or `beta` is out of range.

    Examples
    --------
    >>> l1_loss(np.array([[3.0, 0.0], [1.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 1.5]]))
    (1.25, array([[ 0.5,  0. ],
           [ 0. , -0.5]]))
    """
    x, target = check.array("l1_loss", "x", x, 2), check.array("l1_loss", "target", target, 2)
    check.same_dtype("l1_loss", x=x, target=target)
    check.shape_is("l1_loss", "target", target, x.shape)
    beta, R = number("l1_loss", "beta", beta, least=0), max(1, len(x))
    difference = x.astype(np.float64) - target
    distance, close = abs(difference), abs(difference) < beta
    parabola = difference / (beta or 1.0)
    loss = np.where(close, distance * abs(parabola) / 2, distance - beta / 2).sum() / R
    return float(loss), (np.where(close, parabola, np.sign(difference)) / R).astype(x.dtype)
