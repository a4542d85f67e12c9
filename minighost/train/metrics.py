"""How good the network is on images it has not seen."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minighost.data.loader import Loader
from minighost.nn import fold
from minighost.nn.module import Module
from minighost.train.parallel import Single
from minighost.type_aliases import Array, IntArray

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Logits of a whole data set and what follows from them.

    Parameters
    ----------
    logits : ndarray, shape (N, C), float32
    labels : ndarray, shape (N,), int64
    """

    logits: Array
    labels: IntArray

    @property
    def predictions(self) -> IntArray:
        """Most likely class of each image, shape (N,), int64."""
        return self.logits.argmax(axis=1)

    @property
    def probabilities(self) -> Array:
        """Softmax of the logits, shape (N, C), float64; NaN where a logit is not finite."""
        with np.errstate(invalid="ignore"):
            shifted = np.exp(self.logits.astype(np.float64) - self.logits.max(axis=1, keepdims=True))
            return shifted / shifted.sum(axis=1, keepdims=True)

    @property
    def accuracy(self) -> float:
        """Share of images whose prediction is right, 0 to 1."""
        return float((self.predictions == self.labels).mean())

    @property
    def loss(self) -> float:
        """Mean cross-entropy without label smoothing, in nats; NaN if a logit is not finite."""
        logits = self.logits.astype(np.float64)
        top = logits.max(axis=1)
        with np.errstate(invalid="ignore"):
            log_sum = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
            return float((log_sum - logits[np.arange(len(logits)), self.labels]).mean())

    @property
    def confusion(self) -> IntArray:
        """Counts, shape (C, C), int64: row = true class, column = prediction."""
        C = self.logits.shape[1]
        return np.bincount(self.labels * C + self.predictions, minlength=C * C).reshape(C, C)


def evaluate(
    model: Module,
    loader: Loader,
    *,
    views: str = "image",
    tick: Callable[[], object] = lambda: None,
    ranks: Single | None = None,
) -> Evaluation:
    """Run `model` in evaluation mode over every batch of `loader`.

    Parameters
    ----------
    model : Module
        It is not modified: what runs is `nn.fold` of it.
    loader : Loader
        Not shuffled; images normalised as in training.
    views : str
        What the logits are the mean of: "image" alone; "mirror", image and mirror image; or "shift", half of that and
        half of the same two shifted by one pixel up and left, and down and right (Jordan 2024, "94 % on CIFAR-10 in
        3.29 seconds on a single GPU", §3.5).
    tick : callable
        Called after each batch; what it raises ends the evaluation.
    ranks : Single or Ranks, optional
        Each with its share of every batch; all get the whole evaluation.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        Unknown `views`.
    """
    folded, logits, labels = fold(model), [], []
    ranks = ranks or Single()
    for x, y in loader.epoch(0):
        own = sum(share * folded(view) for share, view in _views(x, views))
        logits.append(ranks.join(np.asarray(own)))
        labels.append(ranks.join(y))
        tick()
    return Evaluation(np.concatenate(logits), np.concatenate(labels))


def _views(x: Array, views: str) -> list[tuple[float, Array]]:
    """Pairs (share, images); the shares add up to 1."""
    if views not in ("image", "mirror", "shift"):
        raise ValueError(f"evaluate: views={views!r} is unknown; choose from 'image', 'mirror', 'shift'")
    if views == "image":
        return [(1, x)]
    whole = [x, x[:, :, ::-1]]
    if views == "mirror":
        return [(1 / 2, np.ascontiguousarray(view)) for view in whole]
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="reflect")
    shifted = [view[:, :, ::side] for view in (padded[:, 2:, 2:], padded[:, :-2, :-2]) for side in (1, -1)]
    shares = [1 / 4] * 2 + [1 / 8] * 4
    return [(share, np.ascontiguousarray(view)) for share, view in zip(shares, whole + shifted, strict=True)]
