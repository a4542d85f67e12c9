"""How good the network is on images it has not seen."""

from dataclasses import dataclass

import numpy as np

from minighost.nn import fold

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Logits of a whole data set and what follows from them.

    Parameters
    ----------
    logits : ndarray, shape (N, K), float32
    labels : ndarray, shape (N,), int64
    """

    logits: np.ndarray
    labels: np.ndarray

    @property
    def predictions(self):
        """Most likely class of each image, shape (N,), int64."""
        return self.logits.argmax(axis=1)

    @property
    def probabilities(self):
        """Softmax of the logits, shape (N, K), float64."""
        shifted = np.exp(self.logits.astype(np.float64) - self.logits.max(axis=1, keepdims=True))
        return shifted / shifted.sum(axis=1, keepdims=True)

    @property
    def accuracy(self):
        """Share of images whose prediction is right, 0 to 1."""
        return float((self.predictions == self.labels).mean())

    @property
    def loss(self):
        """Mean cross-entropy without label smoothing, in nats."""
        logits = self.logits.astype(np.float64)
        top = logits.max(axis=1)
        log_sum = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        return float((log_sum - logits[np.arange(len(logits)), self.labels]).mean())

    @property
    def confusion(self):
        """Counts, shape (K, K), int64: row = true class, column = prediction."""
        K = self.logits.shape[1]
        return np.bincount(self.labels * K + self.predictions, minlength=K * K).reshape(K, K)


def evaluate(model, loader, *, flip=False, tick=lambda: None):
    """Run `model` in evaluation mode over every batch of `loader`.

    Parameters
    ----------
    model : Module
        It is not modified: what runs is `nn.fold` of it.
    loader : Loader
        Not shuffled; images normalised as in training.
    flip : bool
        Average the logits of each image and its mirror image.
    tick : callable
        Called after each batch; what it raises ends the evaluation.

    Returns
    -------
    Evaluation
    """
    folded, logits, labels = fold(model), [], []
    for x, y in loader.epoch(0):
        out = folded(x)
        if flip:
            out = 0.5 * (out + folded(np.ascontiguousarray(x[:, :, ::-1])))
        logits.append(out)
        labels.append(y)
        tick()
    return Evaluation(np.concatenate(logits), np.concatenate(labels))
