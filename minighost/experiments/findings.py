"""What the runs in an experiment's folder say, arm by arm."""

import statistics
from pathlib import Path
from typing import Any, NamedTuple

from minighost import nn
from minighost.data.sets import describe
from minighost.errors import FormatError
from minighost.experiments import timing
from minighost.experiments.catalogue import EXPERIMENTS
from minighost.experiments.experiment import Experiment
from minighost.experiments.trials import source_of
from minighost.nn.counts import count
from minighost.sweep import results
from minighost.sweep.folder import SweepFolder
from minighost.train.config import Config
from minighost.train.restore import create_model
from minighost.train.runfolder import RunFolder

__all__ = ["Arm", "Findings", "gather", "input_shape"]


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
    config: Config
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
        SHA-256 of images and labels, as `train.meta.fingerprints`; empty if no trial has finished.
    mixed : bool
        Whether some trials had other images than the first.
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


def gather(path) -> Findings:
    """Read the folder of an experiment.

    Parameters
    ----------
    path : path
        As `minighost experiment run` left it: trials may be missing, running or failed.

    Raises
    ------
    FileNotFoundError, FormatError
        No sweep is there, or its record is damaged.
    ValueError
        The sweep is not that of an experiment that is known today.
    """
    folder = SweepFolder(path)
    experiment, quick = _subject(folder, folder.load())
    trials: dict[str, list] = {}
    for entry in folder.entries.values():
        if entry.wanted:
            trials.setdefault(str(entry.values.get("arm")), []).append(entry)
    clock = timing.read(folder.path)
    arms: dict[str, Arm] = {}
    data: dict[str, str] = {}
    mixed = False
    for name, entries in trials.items():
        arms[name] = _arm(folder, name, entries, clock)
        for entry in entries:
            found = _fingerprints(folder, entry)
            mixed |= bool(data and found and found != data)
            data = data or found
    return Findings(experiment, quick, arms, folder.path, data, mixed, clock)


def input_shape(config: Config) -> tuple[int, int, int]:
    """Height, width and channels of the images that a network is trained on."""
    side = describe(config.data.name).side
    return (*(config.data.size or (side, side)), 3)


def _subject(folder, source):
    for experiment in EXPERIMENTS.values():
        for quick in (False, True):
            if source == source_of(experiment, quick):
                return experiment, quick
    raise ValueError(f"{folder.path}: holds the sweep of {source!r}, which is no experiment that is known")


def _arm(folder, name, entries, clock):
    accuracies, missing, summaries = [], [], []
    for entry in entries:
        try:
            result = results.result(folder, entry)
        except FormatError as error:
            missing.append(f"seed {entry.seed}: {error}")
            continue
        if result.summary:
            accuracies.append(100 * result.summary["test_accuracy"])
            summaries.append(result.summary)
        else:
            missing.append(f"seed {entry.seed}: {_why(result, entry)}")
    parameters, macs = _size(entries[0].config)
    times = {f"{part}_ms": timing.median(clock, name, part) for part in timing.PARTS}
    return Arm(name, entries[0].config, accuracies, missing, summaries, parameters, macs, **times)


def _why(result, entry):
    return {"failed": f"failed: {entry.failed}", "unfinished": "not finished", "new": "not begun"}[result.state]


def _size(config):
    with nn.without_weights():
        model = create_model(config, 10)
    rows = count(model, input_shape(config))
    return sum(p.size for p in model.parameters()), sum(row.macs for row in rows)


def _fingerprints(folder, entry):
    run = RunFolder(folder.path / entry.name)
    try:
        return run.meta().data if run.finished else {}
    except (FormatError, OSError):
        return {}
