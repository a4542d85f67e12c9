"""Whether another program gives the answers that minighost gives."""

from typing import NamedTuple

import numpy as np

__all__ = ["TOLERANCE", "AnswersDiffer", "Comparison", "compare"]

TOLERANCE = 1e-3  # of the largest logit; float32 rounds in another order there
TOGETHER = 25  # images


class AnswersDiffer(ValueError):
    """What was exported does not compute what the network does; nothing was written."""


class Comparison(NamedTuple):
    """What came of it.

    Attributes
    ----------
    engine : str
        Which program was asked, with its version.
    images : str
        What it was asked about.
    difference, allowed : float
        The largest difference of two logits, and how large it may be.
    equal, total : int
        How many of the predictions are the same.
    """

    engine: str
    images: str
    difference: float
    allowed: float
    equal: int
    total: int

    def lines(self):
        """What came of it, as pairs of a word and what is said of it."""
        return [
            ("run by", f"{self.engine}, on {self.images}"),
            ("answers", f"{self.equal} of {self.total} predictions are the same"),
            ("", f"logits differ by at most {self.difference:.1e}; {self.allowed:.1e} is allowed"),
        ]


def compare(written, subject):
    """Run what was written beside the network on the same images, a single one and then many at a time.

    Parameters
    ----------
    written : Written
    subject : Subject

    Returns
    -------
    Comparison

    Raises
    ------
    AnswersDiffer
    """
    images = subject.images
    bounds = [0, 1, *range(1 + TOGETHER, len(images), TOGETHER), len(images)]
    batches = [images[first:last] for first, last in zip(bounds, bounds[1:], strict=False) if last > first]
    ours = np.concatenate([subject.logits(batch) for batch in batches])
    theirs = np.concatenate([written.run(batch.astype(np.float32) / 255) for batch in batches])
    if ours.shape != theirs.shape:
        raise AnswersDiffer(f"export: {written.engine} returns logits of shape {theirs.shape}, minighost {ours.shape}")
    difference, allowed = float(np.abs(ours - theirs).max()), TOLERANCE * float(np.abs(ours).max())
    predictions = [logits.reshape(len(images), -1).argmax(axis=1) for logits in (ours, theirs)]
    equal = int((predictions[0] == predictions[1]).sum())
    done = Comparison(written.engine, subject.source, difference, allowed, equal, len(images))
    if not difference <= allowed:  # NaN, too
        raise AnswersDiffer(
            f"export: {written.engine} does not give the network's answers: on {subject.source} {equal} of "
            f"{len(images)} predictions are the same, and logits differ by up to {difference:.1e}, where {allowed:.1e} "
            f"is allowed; nothing was written. Please report this, with the network"
        )
    return done
