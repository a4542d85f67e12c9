"""Runs beside one another: what each has reached, and in which settings they differ.

A run may still be going on, stopped, or damaged: it takes part with what is there, and the comparison says what is not.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from minighost.errors import FormatError, one_line
from minighost.inputs import read_regular
from minighost.nn.initial import without_weights
from minighost.terminal import text
from minighost.terminal.console import duration
from minighost.train.config import LARGEST, Config
from minighost.train.log import read_log
from minighost.train.meta import RunMeta
from minighost.train.pruning import network_at
from minighost.train.restore import create_model
from minighost.train.runfolder import FREE, RunFolder
from minighost.type_aliases import PathLike

__all__ = ["ComparedRun", "Comparison", "compare"]

WIDTH = 80
QUIET = FREE - {"threads"}  # settings that change neither results nor times


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """What a run's folder says. None is what it does not.

    Attributes
    ----------
    path : str
    config : Config
    epochs : list of dict
        The log's records of epochs, see `Callback`.
    planned : int
        Epochs that the run is to have.
    finished : bool
    parameters, macs : int or None
        Of the network; multiply-adds per image.
    data : dict of str to str
        SHA-256 of images and labels, see `meta.fingerprints`; empty if there is no checkpoint.
    notes : list of str
        What is missing or damaged.
    """

    path: str
    config: Config
    epochs: list[dict[str, Any]]
    planned: int
    finished: bool
    parameters: int | None
    macs: int | None
    data: dict[str, str]
    notes: list[str] = field(default_factory=list)

    @property
    def network(self) -> str:
        """Its name, and its width if that is set."""
        model = self.config.model
        return model.title + ("" if model.width is None else f" {model.width:g}x")

    def last(self, key: str) -> float | None:
        """A number of the last epoch."""
        return self.curve(key)[-1][1] if self.curve(key) else None

    def curve(self, key: str) -> list[tuple[int, float]]:
        """Epochs and the number that each has under a key; those without are left out."""
        return [(one["epoch"], one[key]) for one in self.epochs if _is_number(one.get(key))]

    @property
    def score(self) -> str:
        """The key by which an epoch is the best one: "test_accuracy", or to detect "test_map50"."""
        return {"classify": "test_accuracy", "detect": "test_map50"}[self.config.task]

    @property
    def best(self) -> tuple[int, float] | None:
        """The epoch of the highest test accuracy, or mAP@0.5; the first of several, and this number."""
        return max(self.curve(self.score), key=lambda point: point[1], default=None)

    @property
    def seconds(self) -> float:
        """Training and testing, all epochs together."""
        return sum(seconds for key in ("seconds", "test_seconds") for _, seconds in self.curve(key))

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        best = self.best or (None, None)
        keys: tuple[str, ...] = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
        if self.config.task == "detect":
            keys = ("train_loss", "test_map50", "test_map")
        return {
            "path": self.path,
            "network": self.config.model.name,
            "width": self.config.model.width,
            "parameters": self.parameters,
            "macs": self.macs,
            "epochs": len(self.epochs),
            "planned_epochs": self.planned,
            "finished": self.finished,
            "seconds": self.seconds,
            **{key: self.last(key) for key in keys},
            "best_epoch": best[0],
            f"best_{self.score}": best[1],
            "curves": {key: self.curve(key) for key in keys},
            "notes": self.notes,
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """Some runs; printed, it is a table and a list of the settings that differ.

    Attributes
    ----------
    runs : list of ComparedRun
    """

    runs: list[ComparedRun]

    def differences(self) -> dict[str, list[Any]]:
        """The settings that are not the same in all runs: one value per run for each key."""
        flats = [run.config.flat() for run in self.runs]
        keys = dict.fromkeys(key for flat in flats for key in flat if key not in QUIET)
        values = {key: [flat.get(key) for flat in flats] for key in keys}
        return {key: several for key, several in values.items() if len({json.dumps(one) for one in several}) > 1}

    def warnings(self) -> list[str]:
        """What to know before one compares: other images than those of the first run, what is missing or damaged."""
        found, first = [], self.runs[0]
        for number, run in enumerate(self.runs, 1):
            for split, so in (("test", "so that accuracies do not compare"), ("training", "")):
                if _differ(first, run, split):
                    found.append(", ".join(filter(None, (f"{number} has other {split} images than 1", so))))
            found += [f"{number}: {note}" for note in run.notes]
        return found

    def __str__(self) -> str:
        """Lines of at most 80 characters."""
        names = [f"{number:>2}  {run.path}" for number, run in enumerate(self.runs, 1)]
        detect = [run.config.task == "detect" for run in self.runs]
        what = "train, test and best: accuracy in %" if not all(detect) else "test and best: mAP@0.5 in %"
        what += ", of detectors mAP@0.5" * (any(detect) and not all(detect))
        lines = [*names, "", *_table(self.runs), "", f"{what}; best: of all epochs"]
        if warnings := self.warnings():
            lines += ["", *(line for warning in warnings for line in _wrapped("note: ", warning))]
        lines += ["", *(_settings(self.differences()) or ["All settings are the same."])]
        return "\n".join(lines)

    def plot(self, path: PathLike) -> None:
        """Draw test accuracy and losses of all runs over one another."""
        from minighost.plots.comparison import comparison

        curves = [
            (f"{number}  {run.path}", {key: run.curve(key) for key in ("train_loss", "test_loss", run.score)})
            for number, run in enumerate(self.runs, 1)
        ]
        comparison(curves, path)

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        differences = {
            key: [list(one) if isinstance(one, tuple) else one for one in several]
            for key, several in self.differences().items()
        }
        return {
            "runs": [run.to_dict() for run in self.runs],
            "differences": differences,
            "warnings": self.warnings(),
        }


def compare(runs: Iterable[PathLike]) -> Comparison:
    """Put runs beside one another.

    Parameters
    ----------
    runs : iterable of path
        Folders of runs, finished or not.

    Returns
    -------
    Comparison

    Raises
    ------
    FileNotFoundError, FormatError
        One is not the folder of a run, or its configuration cannot be read.
    ValueError
        No run at all.

    Examples
    --------
    ::

        print(minighost.train.compare(["runs/a", "runs/b"]))
    """
    found = [_read(path) for path in runs]
    if not found:
        raise ValueError("compare: got no run; give the folders of one or more")
    return Comparison(found)


def _read(path):
    folder, notes = RunFolder(path), []
    if not folder.has_run:
        raise FileNotFoundError(2, "this is not the folder of a run (no config.json)", str(path))
    config = Config.load(folder.config)
    meta, records, summary = None, [], {}
    try:
        meta = folder.meta()
    except (FormatError, OSError) as error:
        notes.append(one_line(error) if folder.has_checkpoint else "no checkpoint yet")
    try:
        records = read_log(folder.log, warn=lambda line: notes.append(line), strict=False)
    except OSError:
        notes.append("no log")
    try:
        summary = _object(folder.summary)
    except FormatError as error:
        notes.append(one_line(error))
    except OSError:
        pass  # it is not finished
    epochs = {one["epoch"]: one for one in records if one.get("kind") == "epoch" and type(one.get("epoch")) is int}
    if not epochs:
        notes.append("no epoch has ended")
    known = {key: value for key, value in summary.items() if type(value) is int}
    return ComparedRun(
        str(path),
        config,
        [epochs[epoch] for epoch in sorted(epochs)],
        config.train.epochs,
        folder.finished,
        known.get("parameters") or _parameters(meta),
        known.get("macs") or (meta and meta.macs) or None,
        meta.data if meta else {},
        notes,
    )


def _object(path):
    try:
        found = json.loads(read_regular(path, LARGEST))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not JSON ({error})") from error
    if not isinstance(found, dict):
        raise FormatError(f"{path}: not a JSON object")
    return found


def _parameters(meta: RunMeta | None) -> int | None:
    """Of the network that a checkpoint is of, counted without its weights; a file of somebody's is not run for it."""
    if meta is None or meta.config.model.own is not None:
        return None
    try:
        with without_weights():
            model = create_model(network_at(meta.config, meta.trainer), len(meta.classes), len(meta.mean))
    except (ValueError, TypeError):
        return None
    return sum(p.size for p in model.parameters())


def _differ(one, other, split):
    """Whether the images or labels of a split are known to differ."""
    keys = [f"{split} {part}" for part in ("images", "labels", "boxes")]
    return any(one.data.get(key) != other.data.get(key) for key in keys if key in one.data and key in other.data)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


# Words ---------------------------------------------------------------------------------------------------------------


def _table(runs):
    header = ("", "network", "params", "MACs", "epochs", "time", "train", "test", "best")
    rows = [
        (
            str(number) + "*" * _differ(runs[0], run, "test"),
            run.network,
            _count(run.parameters),
            _count(run.macs),
            f"{len(run.epochs)}/{run.planned}",
            duration(run.seconds),
            _percent(run.last("train_accuracy")),
            _percent(run.last(run.score)),
            _percent(run.best and run.best[1]),
        )
        for number, run in enumerate(runs, 1)
    ]
    room = WIDTH - sum(2 + max(len(row[k]) for row in (header, *rows)) for k in range(len(header)) if k != 1)
    rows = [(row[0], row[1] if len(row[1]) <= room else f"{row[1][: room - 3]}...", *row[2:]) for row in rows]
    return text.table(rows, header, "><>>>>>>>")


def _count(number):
    if number is None:
        return "?"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}" if number < 999.5 * size else f"{number / size:.0f}{unit}"
    return str(number)


def _percent(share):
    return "-" if share is None else f"{100 * share:.2f}"


def _settings(differences: Mapping[str, list[Any]]) -> list[str]:
    """One line per key: each value, and the runs that have it."""
    if not differences:
        return []
    longest = max(map(len, differences))
    lines = ["Settings that differ (run: value)"]
    for key, several in differences.items():
        by_value: dict[str, list[str]] = {}
        for number, value in enumerate(several, 1):
            by_value.setdefault(_value(value), []).append(str(number))
        parts = [f"{', '.join(numbers)}: {value}" for value, numbers in by_value.items()]
        lines += _wrapped(f"{key:{longest}}  ", "; ".join(parts))
    return lines


def _value(value):
    if value is None or value == ():
        return "-"
    if isinstance(value, (tuple, list)):
        return ",".join(f"{one:g}" if isinstance(one, float) else str(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _wrapped(label, words):
    import textwrap

    return textwrap.wrap(words, WIDTH, initial_indent=label, subsequent_indent=" " * len(label)) or [label.rstrip()]
