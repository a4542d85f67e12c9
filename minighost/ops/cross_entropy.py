"""Softmax cross-entropy with label smoothing and class weights, the mean over the batch.

    loss = -1/N * sum_n sum_k target[n, k] * log softmax(logits[n])[k]
    target = (1 - s) * onehot(label) + s / C            (Szegedy et al. 2016, "Rethinking Inception", §7)

The gradient is simply ``(softmax - target) / N``. With a weight w per class, ``target[n, k]`` is multiplied by
``w[k]``, N becomes the sum of the labels' weights, and softmax in the gradient is multiplied by the row's sum of
targets. What is multiplied by a target of 0 counts nothing, were it infinite: a logit of minus infinity masks a class.
Logits are few, and NumPy's exponential is the fast one, so the everyday version is NumPy too; the reference spells the
sums out.
"""

import math

import numpy as np

from minighost.arguments import number, whole
from minighost.engine import check
from minighost.type_aliases import Array, ArrayLike, IntArray

__all__ = ["softmax_cross_entropy", "softmax_cross_entropy_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def softmax_cross_entropy_reference(
    logits: Array,
    labels: IntArray,
    smoothing: float = 0.0,
    weight: Array | None = None,
    ignore_index: int | None = None,
) -> tuple[float, Array]:
    """`softmax_cross_entropy` number by number."""
    N, C = logits.shape
    weight = np.ones(C) if weight is None else weight
    counted = [n for n in range(N) if labels[n] != ignore_index]
    mass = sum(float(weight[labels[n]]) for n in counted)  # N, if there are no weights and nothing is ignored
    loss, dlogits = 0.0, np.zeros_like(logits)
    if not mass:
        return math.nan, dlogits
    for n in counted:
        target = [weight[k] * ((1 - smoothing) * (k == labels[n]) + smoothing / C) for k in range(C)]
        row = logits[n].tolist()
        largest = max(row)  # exp(z - max z) cannot overflow, and the softmax is the same
        total = sum(math.exp(z - largest) for z in row)
        for k in range(C):
            log_p = row[k] - largest - math.log(total)
            if target[k]:  # else it would be 0 times minus infinity where a class is masked
                loss -= target[k] * log_p / mass
            dlogits[n, k] = (math.exp(log_p) * sum(target) - target[k]) / mass
    return float(loss), dlogits


# The same, vectorised ------------------------------------------------------------------------------------------


def softmax_cross_entropy(
    logits: Array,
    labels: IntArray,
    smoothing: float = 0.0,
    weight: ArrayLike | None = None,
    ignore_index: int | None = None,
) -> tuple[float, Array]:
    """Loss and its gradient.

    Parameters
    ----------
    logits : ndarray, shape (N, C), float32 or float64
        A class of which the logit is minus infinity is masked: it has probability 0.
    labels : ndarray, shape (N,), integers from 0 to C-1, or `ignore_index`
    smoothing : float
        Share of the target that is spread over all classes, 0 <= smoothing < 1.
    weight : array_like, shape (C,), optional
        What each class counts, finite and >= 0; all 1 by default.
    ignore_index : int, optional
        Rows with this label do not count, whatever their logits are. It may be a class or lie outside 0 ... C-1; by
        default no label is ignored.

    Returns
    -------
    loss : float
        In nats, computed in float64: the mean over the rows that count, each with the weight of its label. It is NaN
        if no row counts, and infinite if the label's own class is masked, or any class under smoothing.
    dlogits : ndarray, shape (N, C), dtype of `logits`
        0 in rows that do not count.

    Raises
    ------
    TypeError
        If `logits` are no float32 or float64 array, or a number is none.
    ValueError
        If the batch is empty, shapes do not fit or a number is out of range.
    IndexError
        If a label is outside 0 ... C-1 and not ignored; its position is named.

    Notes
    -----
    ``torch.nn.functional.cross_entropy`` means the same by `label_smoothing`, `weight` and `ignore_index`, which is
    -100 there by default.

    Examples
    --------
    >>> loss, dlogits = softmax_cross_entropy(np.zeros((1, 2)), np.array([0]))
    >>> round(loss, 4), dlogits
    (0.6931, array([[-0.5,  0.5]]))
    >>> softmax_cross_entropy(np.zeros((2, 2)), np.array([0, -1]), ignore_index=-1)[1]
    array([[-0.5,  0.5],
           [ 0. ,  0. ]])
    """
    op = "softmax_cross_entropy"
    logits, labels = check.array(op, "logits", logits, 2), np.asarray(labels)
    N, C = logits.shape
    if N == 0:
        raise ValueError(f"{op}: the mean over an empty batch is undefined; logits have shape {logits.shape}")
    if labels.shape != (N,) or labels.dtype.kind not in "iu":
        raise ValueError(f"{op}: labels must be {N} integers, got shape {labels.shape}, dtype {labels.dtype}")
    smoothing = number(op, "smoothing", smoothing, least=0, below=1)
    weight = _class_weights(op, weight, C)
    counted = np.ones(N, bool) if ignore_index is None else labels != whole(op, "ignore_index", ignore_index)
    wrong = np.flatnonzero(((labels < 0) | (labels >= C)) & counted)
    if wrong.size:
        raise IndexError(f"{op}: labels[{wrong[0]}]={labels[wrong[0]]} is outside 0...{C - 1} ({C} classes)")
    rows, classes = np.flatnonzero(counted), labels[counted]
    mass = weight[classes].sum()
    if mass == 0:
        return np.nan, np.zeros_like(logits)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        log_p = logits.astype(np.float64)
        log_p -= log_p.max(1, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    target = np.zeros((N, C))
    target[rows] = weight * smoothing / C
    target[rows, classes] += weight[classes] * (1 - smoothing)
    terms = np.multiply(target, log_p, out=np.zeros((N, C)), where=target != 0)
    dlogits = (np.exp(log_p) * target.sum(1, keepdims=True) - target) / mass
    dlogits[~counted] = 0
    return float(-terms.sum() / mass), dlogits.astype(logits.dtype)


def _class_weights(op: str, weight: ArrayLike | None, C: int) -> Array:
    if weight is None:
        return np.ones(C)
    weight = np.asarray(weight)
    if weight.shape != (C,) or weight.dtype.kind not in "iuf":
        raise ValueError(
            f"{op}: weight must be {C} numbers, one per class, got shape {weight.shape}, dtype {weight.dtype}"
        )
    wrong = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if wrong.size:
        raise ValueError(f"{op}: weight[{wrong[0]}]={weight[wrong[0]]} must be finite and >= 0")
    return weight.astype(np.float64)
