"""The trials of an experiment: a sweep whose only key is the arm."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minighost.experiments.experiment import Experiment
from minighost.sweep.folder import SweepFolder
from minighost.sweep.space import Space, Trial, check_networks
from minighost.train.config import Config

__all__ = ["HOME", "arranged", "configuration", "folder_of", "source_of", "trials"]

HOME = Path("runs/experiments")


def trials(experiment: Experiment, quick: bool, seeds: int, overrides: Mapping[str, Any] | None = None) -> Space:
    """Every arm for one seed after the other.

    Parameters
    ----------
    experiment : Experiment
    quick : bool
    seeds : int
        How many, from 0.
    overrides : dict of str to value, optional
        Settings that count over the recipe's and the arms'.

    Raises
    ------
    ValueError
        A setting that is unknown or out of range, or a network that cannot be built; the arm is named.
    """
    found = [
        Trial({"arm": arm}, seed, configuration(experiment, quick, arm, {**(overrides or {}), "seed": seed}))
        for seed in range(seeds)
        for arm in experiment.form(quick).arms
    ]
    check_networks(found)
    return Space(found, ["arm"])


def configuration(experiment: Experiment, quick: bool, arm: str, overrides: Mapping[str, Any]) -> Config:
    """The whole configuration of an arm: the recipe, the arm's own settings, and what counts over both."""
    form = experiment.form(quick)
    try:
        return Config.resolve(base=Config(), overrides={**form.recipe, **form.arms[arm], **overrides})
    except ValueError as error:
        raise ValueError(f"{experiment.name}, arm {arm!r}: {error}") from error


def folder_of(experiment: Experiment, quick: bool) -> Path:
    """Where its runs are, unless the user says otherwise."""
    return HOME / (f"{experiment.name}-quick" if quick else experiment.name)


def source_of(experiment: Experiment, quick: bool) -> str:
    """What its folder is the sweep of."""
    return f"experiment {experiment.name}, {'quick' if quick else 'full'} form"


def arranged(experiment, quick, seeds, out, overrides=None):
    """The folder with its trials arranged, and the `Space`; nothing is written."""
    space = trials(experiment, quick, seeds, overrides)
    folder = SweepFolder(folder_of(experiment, quick) if out is None else out)
    folder.arrange(space, source_of(experiment, quick))
    return folder, space
