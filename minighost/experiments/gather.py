"""What the runs in an experiment's folder say."""

import json

from minighost import nn
from minighost.data.sets import describe
from minighost.errors import FormatError
from minighost.experiments import timing
from minighost.experiments.catalogue import EXPERIMENTS
from minighost.experiments.findings import Arm, Findings
from minighost.experiments.trials import source_of
from minighost.nn.counts import count
from minighost.sweep import results
from minighost.sweep.folder import SweepFolder
from minighost.train.config import Config
from minighost.train.restore import create_model
from minighost.train.runfolder import FREE, RunFolder

__all__ = ["gather", "input_shape"]


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
    data: dict[str, dict[str, str]] = {}  # by what was asked for: images of other sides are other images
    mixed = False
    for name, entries in trials.items():
        arms[name] = _arm(folder, name, entries, clock)
        for entry in entries:
            if found := _fingerprints(folder, entry):
                known = data.setdefault(_asked(entry.config), found)
                mixed |= found != known
    return Findings(experiment, quick, arms, folder.path, next(iter(data.values()), {}), mixed, clock)


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
    parameters, macs = _size(entries[0].config, summaries)
    times = {f"{part}_ms": timing.median(clock, name, part) for part in timing.PARTS}
    return Arm(name, entries[0].config, accuracies, missing, summaries, parameters, macs, **times)


def _why(result, entry):
    return {"failed": f"failed: {entry.failed}", "unfinished": "not finished", "new": "not begun"}[result.state]


def _size(config, summaries):
    """Counted; or what the runs say, if their network ended with other parameters, as one that was pruned."""
    with nn.without_weights():
        model = create_model(config, 10)
    rows = count(model, input_shape(config))
    counted = sum(p.size for p in model.parameters()), sum(row.macs for row in rows)
    ended = next(((one.get("parameters"), one.get("macs")) for one in summaries), counted)
    return counted if ended[0] == counted[0] or not all(type(number) is int for number in ended) else ended


def _asked(config):
    return json.dumps(
        {key: value for key, value in config.flat().items() if key.startswith("data.") and key not in FREE}
    )


def _fingerprints(folder, entry):
    run = RunFolder(folder.path / entry.name)
    try:
        return run.meta().data if run.finished else {}
    except (FormatError, OSError):
        return {}
