"""What an experiment has found, arm by arm; `gather` reads it from the runs."""

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from minighost.experiments.experiment import Experiment

if TYPE_CHECKING:
    from minighost.train.config import Config

__all__ = ["Arm", "Findings", "short"]


class Arm(NamedTuple):
    """One arm over its seeds; only finished trials count.

    Attributes
    ----------
    name : str
    config : Config
        Of its first seed.
    accuracies : list of float
        Test accuracy of each finished trial, in percent.
    missing : list of str
        Of each other trial the seed, and why it is missing.
    summaries : list of dict
        The summary.json of each finished trial.
    parameters, macs : int
        Of the network, counted; multiply-adds per image.
    train_ms, inference_ms : float or None
        The medians of `timing`, if they were measured.
    """

    name: str
    config: "Config"
    accuracies: list[float]
    missing: list[str]
    summaries: list[dict[str, Any]]
    parameters: int
    macs: int
    train_ms: float | None = None
    inference_ms: float | None = None

    @property
    def n(self) -> int:
        """Finished trials."""
        return len(self.accuracies)

    @property
    def mean(self) -> float | None:
        """Of the accuracies."""
        return statistics.fmean(self.accuracies) if self.accuracies else None

    @property
    def spread(self) -> float | None:
        """Standard deviation of the accuracies; None for fewer than two."""
        return statistics.stdev(self.accuracies) if self.n > 1 else None

    @property
    def minutes(self) -> float | None:
        """Mean minutes of a run, tests included."""
        return self._mean("seconds", 60)

    @property
    def images_per_second(self) -> float | None:
        """Mean speed of training."""
        return self._mean("images_per_second", 1)

    def _mean(self, key, unit):
        found = [one[key] / unit for one in self.summaries if isinstance(one.get(key), (int, float))]
        return statistics.fmean(found) if found else None


class Findings(NamedTuple):
    """All arms of an experiment.

    Attributes
    ----------
    experiment : Experiment
    quick : bool
    arms : dict of str to Arm
    folder : Path
    data : dict of str to str
        SHA-256 of images and labels of the first arm, as `train.meta.fingerprints`; empty if no trial has finished.
    mixed : bool
        Whether trials that asked for the same images had others.
    timing : dict
        What `timing.measure` wrote; empty if nothing was measured.
    """

    experiment: Experiment
    quick: bool
    arms: dict[str, Arm]
    folder: Path
    data: dict[str, str]
    mixed: bool
    timing: dict[str, Any]

    @property
    def trials(self) -> int:
        """How many there are to be."""
        return sum(arm.n + len(arm.missing) for arm in self.arms.values())

    @property
    def missing(self) -> list[str]:
        """What is not there, a line each."""
        return [f"{arm.name}, {line}" for arm in self.arms.values() for line in arm.missing]


def short(number: float) -> str:
    """A count in three digits: 12.5M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}{unit}"
    return str(number)
