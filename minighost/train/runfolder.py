"""The folder of a run: what is where, and when a run may begin in it.

config.json     the resolved configuration; it marks the folder of a run
log.jsonl       one line per epoch and per few steps
checkpoints/    last.json and best.json, each with its tensors
summary.json    the final metrics, when the run is finished
curves.png, confusion.png, mistakes.png, detections.png
lock.json       only while somebody trains
"""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from minighost.data.sources import is_named, label
from minighost.files import remove_stale, write_atomic
from minighost.train.checkpoint import read_record, written
from minighost.train.config import Config
from minighost.train.meta import RunMeta
from minighost.train.ownfile import check_data_place, check_place, check_unchanged, named
from minighost.type_aliases import PathLike
from minighost.wording import counted

__all__ = ["RunFolder", "choose_folder", "resume_config"]

FILES = ("summary.json", "log.jsonl", "curves.png", "confusion.png", "mistakes.png", "detections.png")
FREE = frozenset(
    {
        "threads",
        "out",
        "train.log_every",
        "train.checkpoint_minutes",
        "train.checkpoint_steps",
        "data.dir",
        "data.archive",
    }
)  # what may change when a run resumes: none of it touches the result
PLAN = frozenset({"train.epochs", "train.extended"})  # and what may when it is extended


class RunFolder:
    """Names of the files of one run."""

    def __init__(self, path):
        self.path = Path(path)
        self.config, self.log, self.summary = (
            self.path / name for name in ("config.json", "log.jsonl", "summary.json")
        )
        self.last, self.best = self.path / "checkpoints" / "last", self.path / "checkpoints" / "best"

    @property
    def has_run(self):
        """Whether a run has begun here."""
        return self.config.exists()

    @property
    def has_checkpoint(self):
        return self.last.with_name("last.json").exists()

    @property
    def finished(self):
        return self.summary.exists()

    def is_extended_by(self, config):
        """Whether `config`, with which a run is resumed, has more epochs than were planned here."""
        return config.train.epochs > Config.load(self.config).train.epochs

    def check(self, config, resume, overwrite):
        """Whether a run of `config` may start or continue here.

        Raises
        ------
        ValueError
            A run is here already and neither `resume` nor `overwrite` is given; a run to resume is missing, or has
            another configuration (each differing key is named), in config.json or in the checkpoint.
        """
        if resume and not self.has_run:
            raise ValueError(f"{self.path}: no run to resume here (no config.json); leave out --resume to start one")
        if not self.has_run:
            if (found := list(self._files())) and not overwrite:
                raise ValueError(
                    f"{self.path}: holds {found[0].relative_to(self.path)}, which a run would replace, but no run; "
                    f"use --overwrite to replace it, or another --out"
                )
            return
        stored = Config.load(self.config)  # even to overwrite: another program's config.json is not ours to remove
        if overwrite and not resume:
            return
        differences = _compare(stored, config)
        if resume and differences:
            raise ValueError(
                f"{self.path}: cannot resume with another configuration: {'; '.join(differences)}. "
                f"Leave those settings out, or start over in another folder with --out"
            )
        if resume:
            self._check_checkpoint(config)
            return
        if differences:
            raise ValueError(
                f"{self.path}: already holds a run of another configuration ({'; '.join(differences[:4])}"
                f"{'; ...' * (len(differences) > 4)}); use --overwrite to start over, or another --out"
            )
        if self.finished:
            raise ValueError(
                f"{self.path}: already holds this run, finished; use --overwrite to start over, or another --out"
            )
        raise ValueError(
            f"{self.path}: already holds this run, unfinished; use --resume to continue, --overwrite to start over, "
            f"or another --out"
        )

    def _check_checkpoint(self, config):
        """config.json can be edited, and damaged; the configuration in the checkpoint is under its hash."""
        if not self.has_checkpoint:
            return
        meta = self.meta()
        check_unchanged(config, meta.code, self.path)
        if differences := _compare(meta.config, config, "in the checkpoint", "in config.json"):
            raise ValueError(
                f"{self.path}: config.json no longer belongs to this run: {'; '.join(differences)}. "
                f"Write the checkpoint's values back into it, or start over in another folder with --out"
            )

    def weights(self):
        """How many numbers the network of the last checkpoint has at most."""
        record = read_record(self.last)
        held = self.last.with_name(record["file"]).stat().st_size  # what it claims may be more
        claimed = [math.prod(shape) for name, (_, shape) in record["tensors"].items() if name.startswith("model/")]
        return min(held, sum(claimed))

    def meta(self):
        """What the last checkpoint says beside its tensors, a `RunMeta`."""
        return RunMeta.from_dict(read_record(self.last)["meta"], self.last.with_name("last.json"))

    def begin(self, config, resume, overwrite):
        """Make the folder ready, after a second `check`, now that nobody else can come in between.

        A run that is extended is unfinished from now on: first it has no summary, then more epochs to go. What is cut
        off between the two resumes to its old end.
        """
        self.check(config, resume, overwrite)
        if resume:
            stored, train = Config.load(self.config), config.train
            if self.is_extended_by(config):
                self.summary.unlink(missing_ok=True)
                stored = stored.replace(train=replace(stored.train, epochs=train.epochs, extended=train.extended))
            config = stored.replace(model=config.model)  # whose file may have moved
        else:
            self.clear()
        write_atomic(self.config, json.dumps(config.replace(out=None).to_dict(), indent=2) + "\n")

    def clear(self):
        """Remove the files of an earlier run, and only those."""
        for path in [self.config, *self._files()]:
            path.unlink(missing_ok=True)

    def _files(self):
        """Files that a run writes and that are here, config.json and temporary ones apart."""
        yield from (self.path / name for name in FILES if (self.path / name).exists())
        yield from (path for name in (self.last, self.best) for path in written(name))

    def tidy(self):
        """Remove the temporary files that a crash left behind."""
        for name in ("config.json", *FILES):
            remove_stale(self.path, name)


def _compare(stored, given, there="there", here="now"):
    """Each key that decides the result and differs, with both values; 1, 1.0 and true differ.

    A run of more epochs, which follows the stored plan up to its end, does not differ in that.
    """
    before = (*stored.train.extended, stored.train.epochs)
    free = FREE | PLAN if given.train.extended[: len(before)] == before else FREE
    theirs, mine = ({**one.flat(), "model.name": named(one.model.name)} for one in (stored, given))
    return [
        f"{key} = {theirs.get(key)!r} {there}, {mine.get(key)!r} {here}"
        for key in sorted(mine.keys() | theirs.keys())
        if key not in free
        and not (key == "data.name" and _moved(theirs[key], mine[key]))
        and json.dumps(mine.get(key)) != json.dumps(theirs.get(key))
    ]


def _moved(stored, given):
    """Whether both are paths: whether the images are the same, the checkpoint's hash of them says."""
    return not is_named(stored) and not is_named(given)


def choose_folder(config, resume):
    """Its `out`, or runs/DATA-MODEL with a number: the newest one to resume, else the first free one."""
    if config.out is not None:
        return RunFolder(config.out)
    own = config.model.own
    base, number = f"{label(config.data.name)}-{config.model.name if own is None else own.name}", 1
    folder = lambda n: RunFolder(Path("runs") / (base if n == 1 else f"{base}-{n}"))  # noqa: E731
    while folder(number).has_run:
        number += 1
    return folder(max(1, number - 1) if resume else number)


def resume_config(toml_path: PathLike | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """The configuration with which to resume: the one that the run saved, under what is given now.

    Parameters
    ----------
    toml_path, overrides
        As for `Config.resolve`. ``out`` names the run; without it the newest run of that data set and model is meant.
        More epochs than the run was planned for extend it: the old plan is followed to its end, then the new one.

    Raises
    ------
    ValueError
        No run there, or fewer epochs than it was planned for. (Whether the settings given fit the run,
        `RunFolder.begin` decides.)
    """
    folder = choose_folder(Config.resolve(toml_path=toml_path, overrides=overrides, check=False), resume=True)
    if not folder.has_run:
        raise ValueError(f"{folder.path}: no run to resume here (no config.json); leave out --resume to start one")
    stored = Config.load(folder.config)
    config = Config.resolve(toml_path=toml_path, overrides=overrides, base=stored, check=False)
    config = _extended(folder.path, stored, config)
    if "model.name" not in (overrides or {}):
        check_place(config, folder.path)
    if "data.name" not in (overrides or {}):
        check_data_place(config.data.name, folder.path)
    return config.replace(out=str(folder.path))


def _extended(path, stored, config):
    """The configuration to resume with, checked; with more epochs than before, it says how many there were."""
    planned, asked = stored.train.epochs, config.train.epochs
    if asked < planned:
        raise ValueError(
            f"{path}: train.epochs: this run is planned for {counted(planned, 'epoch')}; give more than {planned} to "
            f"extend it, got {asked}"
        )
    if asked > planned:
        config = config.replace(train=replace(config.train, extended=(*stored.train.extended, float(planned))))
    config.check_together()
    return config
