"""Softmax cross-entropy with label smoothing, the mean over the batch.

    loss = -1/N * sum_n sum_k target[n, k] * log softmax(logits[n])[k]
    target = (1 - s) * onehot(label) + s / K            (Szegedy et al. 2016, "Rethinking Inception", §7)

The gradient is simply ``(softmax - target) / N``. Logits are few, and NumPy's exponential is the fast one, so the
everyday version is NumPy too; the reference spells the sums out.
"""

import math

import numpy as np

from minighost.ops import check

__all__ = ["softmax", "softmax_cross_entropy", "softmax_cross_entropy_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def softmax_cross_entropy_reference(logits, labels, smoothing=0.0):
    """`softmax_cross_entropy` number by number."""
    N, K = logits.shape
    loss, dlogits = 0.0, np.zeros_like(logits)
    for n in range(N):
        largest = max(logits[n])  # exp(z - max z) cannot overflow, and the softmax is the same
        total = sum(math.exp(z - largest) for z in logits[n])
        for k in range(K):
            target = (1 - smoothing) * (k == labels[n]) + smoothing / K
            log_p = logits[n, k] - largest - math.log(total)
            loss -= target * log_p / N
            dlogits[n, k] = (math.exp(log_p) - target) / N
    return loss, dlogits


# The same, vectorised ------------------------------------------------------------------------------------------


def softmax(logits):
    """Probabilities along the last axis; the largest logit is subtracted first, so that nothing overflows."""
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax_cross_entropy(logits, labels, smoothing=0.0):
    """Loss and its gradient.

    Parameters
    ----------
    logits : ndarray, shape (N, K), float32 or float64
    labels : ndarray, shape (N,), integers from 0 to K-1
    smoothing : float
        Share of the target that is spread over all classes, 0 <= smoothing < 1.

    Returns
    -------
    loss : float
        Mean over the batch, in nats, computed in float64.
    dlogits : ndarray, shape (N, K), dtype of `logits`

    Raises
    ------
    ValueError
        If the batch is empty or a number is out of range.
    IndexError
        If a label is outside 0 ... K-1; its position is named.

    Examples
    --------
    >>> loss, dlogits = softmax_cross_entropy(np.zeros((1, 2)), np.array([0]))
    >>> round(loss, 4), dlogits
    (0.6931, array([[-0.5,  0.5]]))
    """
    op = "softmax_cross_entropy"
    logits, labels = check.array(op, "logits", logits, 2), np.asarray(labels)
    N, K = logits.shape
    if N == 0:
        raise ValueError(f"{op}: the mean over an empty batch is undefined; logits have shape {logits.shape}")
    if labels.shape != (N,) or labels.dtype.kind not in "iu":
        raise ValueError(f"{op}: labels must be {N} integers, got shape {labels.shape}, dtype {labels.dtype}")
    if not 0 <= smoothing < 1:
        raise ValueError(f"{op}: smoothing={smoothing} must satisfy 0 <= smoothing < 1")
    wrong = np.flatnonzero((labels < 0) | (labels >= K))
    if wrong.size:
        raise IndexError(f"{op}: labels[{wrong[0]}]={labels[wrong[0]]} is outside 0...{K - 1} ({K} classes)")
    z = logits.astype(np.float64)
    log_p = z - z.max(1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    target = np.full((N, K), smoothing / K)
    target[np.arange(N), labels] += 1 - smoothing
    return float(-(target * log_p).sum() / N), ((np.exp(log_p) - target) / N).astype(logits.dtype)
