"""The folder of a sweep: a run's folder for each trial, and what the sweep knows of them.

sweep.json      the trials with their configurations, and why one failed
NAME/           an ordinary run, and output.log with what it printed
results.csv, results.md, sweep.png
lock.json       only while somebody works on the sweep
stop            only from a request to stop until the last trial has saved
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from minighost.errors import FormatError
from minighost.files import write_atomic
from minighost.inputs import read_regular
from minighost.sweep.space import identity
from minighost.train.config import Config
from minighost.train.runfolder import RunFolder

__all__ = ["Entry", "SweepFolder"]

LARGEST = 1 << 26  # bytes of sweep.json; a trial takes about 2,000
LONGEST_NAME = 100  # characters of a trial's folder


class Entry(NamedTuple):
    """A trial in its folder.

    Attributes
    ----------
    name : str
        Of its folder.
    values : dict of str to value
    seed : int
    config : Config
    wanted : bool
        Whether the SPACE.toml of today has it.
    failed : str
        Why it failed; empty if it did not.
    """

    name: str
    values: dict
    seed: int
    config: Config
    wanted: bool = True
    failed: str = ""


class SweepFolder:
    """What is in the folder `path`; `entries` holds the trials in order, from `arrange` on."""

    def __init__(self, path):
        self.path = Path(path)
        self.record, self.stop = self.path / "sweep.json", self.path / "stop"
        self.entries: dict[str, Entry] = {}

    def arrange(self, space, source):
        """Give each trial of `space` its folder: the one that it has, or a new name.

        Parameters
        ----------
        space : Space
        source : path
            SPACE.toml; a folder belongs to the sweep of one file.

        Raises
        ------
        ValueError
            The folder holds something else.
        FormatError
            A sweep.json that is damaged.
        """
        before = self._read(Path(source).name)
        known = {identity(entry.config): entry for entry in before.values()}
        entries, taken = {}, {name.lower() for name in before}
        short = _short_keys(space.keys)
        for trial in space.trials:
            old = known.get(identity(trial.config))
            name = old.name if old else _free_name(_name(trial, short), taken)
            taken.add(name.lower())
            config = trial.config.replace(out=str(self.path / name))
            entries[name] = Entry(name, trial.values, trial.seed, config, True, old.failed if old else "")
        kept = {name: entry._replace(wanted=False) for name, entry in before.items() if name not in entries}
        self.entries = {**entries, **kept}
        self._source = Path(source).name

    def load(self):
        """Take the trials as they were arranged last; returns the name of what they are the sweep of.

        Raises
        ------
        FileNotFoundError, FormatError
            No sweep is there, or its sweep.json is damaged.
        """
        self._source, self.entries = self._stored()
        return self._source

    def write(self):
        trials = {
            entry.name: {
                "values": entry.values,
                "seed": entry.seed,
                "failed": entry.failed,
                "wanted": entry.wanted,
                "config": entry.config.replace(out=None).to_dict(),
            }
            for entry in self.entries.values()
        }
        write_atomic(self.record, json.dumps({"space": self._source, "trials": trials}, indent=1) + "\n")

    def note(self, name, failed):
        """Record why a trial failed, or, with an empty text, that it did not."""
        self.entries[name] = self.entries[name]._replace(failed=failed)
        self.write()

    def state(self, entry):
        """ "finished", "failed", "unfinished" or "new"."""
        run = RunFolder(self.path / entry.name)
        if run.finished:
            return "finished"
        if entry.failed:
            return "failed"
        return "unfinished" if run.has_run else "new"

    def _read(self, source):
        """The trials that the folder knows, by name."""
        if not self.record.exists():
            if (self.path / "config.json").exists():
                raise ValueError(f"{self.path}: holds a run, not a sweep; choose another folder with --out")
            if self.path.is_dir() and {path.name for path in self.path.iterdir()} - {"lock.json"}:
                raise ValueError(f"{self.path}: is not empty and holds no sweep; choose another folder with --out")
            return {}
        theirs, entries = self._stored()
        if theirs != source:
            raise ValueError(f"{self.path}: holds the sweep of {theirs!r}, not of {source!r}; choose another --out")
        return entries

    def _stored(self):
        try:
            content = json.loads(read_regular(self.record, LARGEST))
            return content["space"], {name: _entry(name, about) for name, about in content["trials"].items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise FormatError(f"{self.record}: not the record of a sweep: {error}; move it away") from error


def _entry(name, about):
    if _word(name) != name or name.startswith("."):
        raise ValueError(f"{name!r} is not the name of a trial")
    if not isinstance(about["values"], dict) or type(about["seed"]) is not int or not isinstance(about["failed"], str):
        raise ValueError(f"trial {name}: expected values, seed and failed, got {about!r:.80}")
    wanted = about.get("wanted", True) is True  # version 0.2.0 did not say
    return Entry(name, about["values"], about["seed"], Config.from_dict(about["config"]), wanted, about["failed"])


def _short_keys(keys):
    """The last part of each key, unless two share it: ``{"train.lr": "lr"}``."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)}


def _name(trial, short):
    """``lr=0.1,width=0.5,seed=0``."""
    parts = [f"{short[key]}={_word(as_text(value))}" for key, value in trial.values.items()]
    seed = f"seed={trial.seed}"
    return ",".join([",".join(parts)[: LONGEST_NAME - len(seed) - 1], seed] if parts else [seed])


def _word(text):
    """`text` without what a folder's name may not hold on some system."""
    return re.sub(r"[^\w.+=,-]", "_", text)


def _free_name(name, taken):
    number, free = 1, name
    while free.lower() in taken:  # as systems compare that know no capitals
        number += 1
        free = f"{name}-{number}"
    return free


def as_text(value):
    """A value as a person writes it: 0.05, true, 2+4."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return "+".join(map(as_text, value)) if isinstance(value, (list, tuple)) else str(value)
