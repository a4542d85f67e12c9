"""Muon: momentum made orthogonal (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks").

The gradient of a layer's matrix is mostly a few directions that drown out all others. Muon takes, in place of the
momentum's matrix U S V' (its singular value decomposition), the orthogonal U V': every direction is followed equally
far. Newton and Schulz find it with products alone,

    X <- M / |M|;    a few times:   A = X X',    X <- 3.4445 X + (-4.7750 A + 2.0315 A²) X,

a polynomial that drives each singular value towards 1, roughly (between 0.7 and 1.2) but fast: its slope at 0 is 3.4.
Each X is M times small square matrices, one per step, so that only their product ever meets the large M.
"""

import math

import numpy as np

from minighost.arguments import number
from minighost.train.optim import SGD, Parameters
from minighost.type_aliases import Array

__all__ = ["Muon", "orthogonalised"]


def orthogonalised(M: Array, iterations: int = 3) -> Array:
    """A matrix with the singular vectors of `M` and singular values near 1.

    Parameters
    ----------
    M : ndarray, shape (R, C)
    iterations : int
        Three lift singular values above about 3 % of the norm close to 1; smaller ones grow by a factor of 40.

    Returns
    -------
    ndarray, shape (R, C)
    """
    tall = M.shape[0] > M.shape[1]
    X = M.T if tall else M
    X = X / max(np.linalg.norm(X), np.finfo(X.dtype).tiny)
    one = np.eye(len(X), dtype=X.dtype)
    A, front = X @ X.T, one
    for _ in range(iterations):
        step = 3.4445 * one - 4.7750 * A + 2.0315 * (A @ A)
        A, front = step @ A @ step, step @ front
    X = front @ X
    return X.T if tall else X


class Muon(SGD):
    """SGD with momentum, except that matrices move by the orthogonalised momentum.

    A matrix is the weight (KH, KW, C, OC) of a convolution with C > 1, as rows (KH*KW*C, OC). Before each step it is
    scaled to the norm sqrt(OC): after it comes a batch norm, to which its size means nothing, so that `lr` is an angle
    and needs no decay. All other parameters - classifier, biases, batch norm, depthwise kernels - are left to `SGD`.

    Parameters
    ----------
    params, lr, momentum, nesterov, weight_decay
        As in `SGD`; matrices do not decay.
    sgd_factor : float
        What is left to `SGD` learns at this multiple of `lr`: an angle does not say how far a gradient should carry.
    sgd_momentum : float, optional
        Its momentum, if that is another.
    sgd_decay : float
        If not 0, what is left to `SGD` decays by this share per step at the rate that its group begins with, and by
        less as the rate falls; `weight_decay` does not count then. It is part of the gradient: a momentum m makes it
        1/(1 - m) times as much.

    Raises
    ------
    ValueError
        As in `SGD`, and if one of these is out of range.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        sgd_factor: float = 1.0,
        sgd_momentum: float | None = None,
        sgd_decay: float = 0.0,
    ) -> None:
        self.sgd_factor = number("Muon", "sgd_factor", sgd_factor, above=0)
        least = {"above": 0} if nesterov else {"least": 0}
        self._own = {} if sgd_momentum is None else {"momentum": number("Muon", "sgd_momentum", sgd_momentum, **least)}
        super().__init__(params, lr, momentum, nesterov, weight_decay)
        if number("Muon", "sgd_decay", sgd_decay, least=0):
            for group in self.groups:
                number("Muon", "lr (which sgd_decay is relative to)", group["lr"], above=0)
                group["weight_decay"] = sgd_decay / (self.sgd_factor * group["lr"])

    def _alike(self, p):
        return not _is_matrix(p)

    def _update(self, p, g, state, group):
        momentum = state["momentum"]
        if not _is_matrix(momentum):
            super()._update(p, g, state, {**group, **self._own, "lr": self.sgd_factor * group["lr"]})
            return
        OC = momentum.shape[3]
        w, g, M = p.reshape(-1, OC), g.reshape(-1, OC), momentum.reshape(-1, OC)
        M *= group["momentum"]
        M += g
        w *= math.sqrt(OC) / max(np.linalg.norm(w), np.finfo(w.dtype).tiny)
        w -= group["lr"] * orthogonalised(g + group["momentum"] * M if group["nesterov"] else M)


def _is_matrix(weight):
    return len(weight.shape) == 4 and weight.shape[2] != 1
