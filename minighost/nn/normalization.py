"""Layers without parameters that weigh numbers against others: local response normalisation and softmax."""

from minighost import ops
from minighost.arguments import whole
from minighost.nn.function import Function
from minighost.ops.local_response_norm import response_options

__all__ = ["LocalResponseNorm", "Softmax"]


class LocalResponseNorm(Function):
    """Strong neighbours among the channels damp a channel; see `ops.local_response_norm_forward`.

    Parameters
    ----------
    size : int
        Channels in the window.
    alpha, beta : float
    k : float, optional
        By default 2 in the paper's form, 1 in Caffe's.
    form : {"paper", "caffe"}
        AlexNet as published, or as Caffe and PyTorch compute it: there alpha is divided by `size`.
    """

    _forward, _backward = ops.local_response_norm_forward, ops.local_response_norm_backward

    def __init__(
        self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float | None = None, form: str = "paper"
    ) -> None:
        response_options("LocalResponseNorm", size, alpha, beta, k, form)
        self._options = {"size": size, "alpha": alpha, "beta": beta, "k": k, "form": form}


class Softmax(Function):
    """Positive numbers that sum to 1 along an axis, by default the last; see `ops.softmax_forward`.

    A network that is trained with `ops.softmax_cross_entropy` ends in logits and has none.
    """

    _forward, _backward = ops.softmax_forward, ops.softmax_backward

    def __init__(self, axis: int = -1) -> None:
        self._options = {"axis": whole("Softmax", "axis", axis)}
