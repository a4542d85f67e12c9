"""One whole training run in its folder: what `minighost train` does."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

import numpy as np

from minighost import data, models, ops
from minighost.data.floats import FloatAugment, FloatDataset
from minighost.data.sources import Opened
from minighost.errors import FormatError, one_line
from minighost.files import write_atomic
from minighost.nn.module import Module
from minighost.plots import run as plots
from minighost.terminal.console import Console, console_for
from minighost.train import report
from minighost.train.callbacks import Callback
from minighost.train.config import Config
from minighost.train.course import Course
from minighost.train.images import open_images
from minighost.train.lock import run_lock
from minighost.train.log import Log, finite, read_log
from minighost.train.meta import RunMeta, fingerprints, resuming, versions
from minighost.train.ownfile import record
from minighost.train.restore import check_model, create_model, recreate_model, takes_grey
from minighost.train.runfolder import RunFolder, choose_folder
from minighost.train.signals import Interrupted, listening
from minighost.train.start import Started, is_grey, read_start, start_from
from minighost.train.storage import Storage
from minighost.train.summary import summarize
from minighost.train.trainer import Trainer
from minighost.wording import counted

__all__ = ["conduct", "run"]

PLOT_EVERY = 20.0  # seconds of an epoch from which on its end is worth a new picture of the curves


def run(
    config: Config,
    *,
    resume: bool = False,
    overwrite: bool = False,
    stream: TextIO | None = None,
    callbacks: Iterable[Callback] = (),
    images: Opened | None = None,
) -> dict[str, Any]:
    """Train as `config` says, in the folder `config.out`.

    Parameters
    ----------
    config : Config
        To resume: that of the run (`minighost.train.resume_config`).
    resume : bool
        Go on, bit for bit, from the last checkpoint.
    overwrite : bool
        Start over even if the folder holds a run.
    stream : text file, optional
        Where to report; by default the cell of a notebook, else `sys.stderr`.
    callbacks : iterable of Callback
        Told of every step and epoch.
    images : Opened, optional
        The images that `config.data` describes, if they are open already (`train.images.resolve`).

    Returns
    -------
    dict
        The final metrics, as in ``summary.json``.

    Raises
    ------
    Interrupted
        After Ctrl-C, SIGTERM or SIGHUP, when the step is finished and all is saved.
    NonFiniteError
        A NaN or infinity, before it reached a weight.
    RunLocked
        Another process trains in this folder.
    ValueError, OSError
        Options that do not fit together, a folder that holds another run, a full disk.
    """
    console = console_for(stream)
    folder = choose_folder(config, resume)
    folder.check(config, resume, overwrite)
    if resume and folder.finished and not folder.is_extended_by(config):
        console.line(f"{folder.path}: this run is finished; its results are in summary.json")
        return json.loads(folder.summary.read_text(encoding="utf-8"))
    check_model(config)

    def make():
        opened = open_images(config.data) if images is None else images  # first: this may fail
        train_set, test_set = opened.train, opened.test
        for line in () if resume else opened.notes:
            console.line(f"note: {line}")
        if train_set.channels == 1 and not _takes_grey(config, folder, resume):
            train_set, test_set = train_set.rgb(), test_set.rgb()
            words = f"note: the images are grey; {config.model.title} has no in_channels, so they are shown as RGB"
            console.line(words, hang=0)
        return _model(config, folder, resume, train_set, console), train_set, test_set

    return conduct(config, make, console, folder, resume=resume, overwrite=overwrite, callbacks=callbacks)


def conduct(
    config: Config,
    make: Callable[[], tuple[Module, data.Dataset, data.Dataset | None]],
    console: Console,
    folder: RunFolder | None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Iterable[Callback] = (),
    in_python: bool = False,
) -> dict[str, Any]:
    """Train a network on images; everything but them is as for `run`.

    Parameters
    ----------
    make : callable
        ``make()`` gives the network, the training and the test images. Ctrl-C reaches it at once.
    console : Console
    folder : RunFolder or None
        None keeps nothing.
    in_python : bool
        Say what comes next in Python, not as commands.
    """
    with ops.threads(config.threads or None) as threads, listening() as stop, contextlib.ExitStack() as stack:
        try:
            with stop.at_once():
                model, train_set, test_set = make()
                started = _start(config, folder, resume, model, train_set)
                loader, test_loader = _loaders(config, train_set, test_set, started.normalisation)
                if config.train.start is None:
                    _prepare(model, loader)
                trainer = Trainer(model, loader, test_loader, config.train, stop)
        except Interrupted:
            console.line(f"stopped by {stop.name} before anything was written")
            raise
        storage = Storage(config, trainer, console)
        if folder is not None:
            folder.path.mkdir(parents=True, exist_ok=True)
            stack.enter_context(run_lock(folder.path))
            folder.begin(config, resume, overwrite)
        lines = report.header(config, folder, model, trainer, train_set, test_set, threads, started.lines)
        report.say(console, lines)
        if folder is not None:
            storage = FolderStorage(config, trainer, console, folder, test_set, started.about, in_python)
            stack.enter_context(storage.open(resume))
        return Course(config, trainer, storage, console, stop, callbacks).go()


def _model(config, folder, resume, train_set, console):
    num_classes, channels = len(train_set.classes), train_set.channels
    if resume and folder.has_checkpoint:
        return recreate_model(config, num_classes, folder.weights(), f"{folder.last}.json", channels)
    model = create_model(config, num_classes, channels)
    if config.model.own is not None:
        with report.compiling(console, f"checking {config.model.title}"):
            models.try_out(model, config.model.title, train_set.images.shape[1:], num_classes)
    return model


def _takes_grey(config, folder, resume):
    """Whether grey images stay grey: its weights, too, must have been trained on such."""
    if not takes_grey(config) or config.train.start is None:
        return takes_grey(config)
    return len(folder.meta().mean) == 1 if resume and folder.has_checkpoint else is_grey(config.train.start)


def _start(config, folder, resume, model, train_set):
    """Load the weights to start from, if there are any; one that resumes has them in its checkpoint."""
    if config.train.start is None:
        return Started()
    if resume and folder.has_checkpoint:
        meta = folder.meta()
        return Started((meta.mean, meta.std), meta.start, [f"from     {config.train.start}, when this run began"])
    return start_from(read_start(config.train.start), model, train_set.classes)


def _prepare(model, loader):
    """Show a few images to a network that computes a layer from them."""
    if hasattr(model, "prepare"):
        model.prepare(loader.normalized(loader.dataset.images[:5000]))


def _loaders(config, train_set, test_set, normalisation):
    t, numbers = config.train, isinstance(train_set, FloatDataset)
    kind, augment = FloatAugment if numbers else data.Augment, None
    if t.flip or t.crop or t.cutout:
        augment = kind(flip=t.flip, crop_padding=t.crop, cutout=t.cutout)
    mean, std = (np.zeros(1), np.ones(1)) if numbers else normalisation or data.channel_statistics(train_set.images)
    order = {"seed": config.seed, "shuffle": True, "drop_last": True}
    loader = data.Loader(train_set, t.batch_size, augment=augment, mean=mean, std=std, **order)
    if test_set is None:
        return loader, None
    return loader, data.Loader(test_set, min(t.batch_size, len(test_set)), shuffle=False, mean=mean, std=std)


class FolderStorage(Storage):
    """The folder of a run: log, checkpoints, summary, pictures."""

    saved_words = "everything is saved"

    def __init__(
        self,
        config: Config,
        trainer: Trainer,
        console: Console,
        folder: RunFolder,
        test_set: data.Dataset | None,
        start: dict[str, str],
        in_python: bool = False,
    ) -> None:
        super().__init__(config, trainer, console)
        self.folder, self.test_set, self.in_python = folder, test_set, in_python
        self.log: Any = None  # while it is open
        self.about = RunMeta(
            config,
            list(trainer.loader.dataset.classes),
            mean=np.asarray(trainer.loader.mean, np.float64).tolist(),
            std=np.asarray(trainer.loader.std, np.float64).tolist(),
            trainer={},  # the trainer puts in where it stands
            data=fingerprints(trainer.loader.dataset, test_set),
            versions=versions(),
            size=list(trainer.loader.dataset.size),
            floats=isinstance(trainer.loader.dataset, FloatDataset),
            code=record(config),
            start=start,
        )

    @contextlib.contextmanager
    def open(self, resume: bool) -> Iterator[None]:
        """Within the block the log is open; before it, to resume, the trainer goes back to the last checkpoint."""
        kept = self._restore() if resume and self.folder.has_checkpoint else 0
        self.folder.tidy()
        self.log = Log(self.folder.log, keep=kept)
        try:
            yield
        finally:
            self.log.close()

    def _restore(self):
        meta = RunMeta.from_dict(self.trainer.load(self.folder.last), self.folder.last)
        for line in resuming(meta, self.about, self.folder.path):
            self.console.line(line, hang=0)
        self.macs = meta.macs
        length = self.folder.log.stat().st_size if self.folder.log.exists() else 0
        if length < meta.log_bytes:
            self.console.line(f"warning: {self.folder.log} is shorter than at the checkpoint; earlier lines are lost")
        t = self.trainer
        epochs, steps = counted(self.config.train.epochs, "epoch"), counted(len(t.loader), "step")
        self.console.line(f"resume   after {t.epoch} of {epochs} and {t.step} of {steps}", hang=9)
        return meta.log_bytes

    def earlier(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self._records() if record.pop("kind", None) == kind]

    def step(self, record: dict[str, Any]) -> None:
        self.log.write(kind="step", **record)

    def epoch(self, record: dict[str, Any], best: bool) -> None:
        self.log.write(kind="epoch", **record)
        if best:
            self.trainer.save_weights(self.folder.best, self._meta())

    def draw(self, seconds: float) -> None:
        if seconds > PLOT_EVERY:
            draw = lambda path: plots.curves(self._records(), path, self._title())  # noqa: E731
            plots.attempt(draw, self.folder.path / "curves.png", self.console.line)

    def save(self) -> None:
        self.trainer.save(self.folder.last, self._meta())

    def _meta(self):
        return dataclasses.replace(self.about, log_bytes=self.log.sync(), macs=self.macs).to_dict()

    def _records(self):
        """What the log holds; nothing if it is damaged, which is no reason to lose the training."""
        try:
            return read_log(self.folder.log, warn=self.console.line)
        except (FormatError, OSError) as error:
            self.console.line(f"warning: {one_line(error)}; the summary and curves.png lack what stood there")
            return []

    def _title(self):
        width = "" if self.config.model.width is None else f" {self.config.model.width:g}x"
        return f"{self.config.model.title}{width} on {self.config.data.name}"

    def how_to_continue(self) -> str:
        return report.resume_command(self.folder, self.in_python)

    def finish(self, course: Course) -> dict[str, Any]:
        """The summary first: a run is finished with it, and no picture can undo that."""
        records = self._records()
        summary = finite(summarize(course, [record for record in records if record.get("kind") == "epoch"]))
        write_atomic(self.folder.summary, json.dumps(summary, indent=2, allow_nan=False) + "\n")
        warn = self.console.line
        shown = None if self.test_set is None else self.test_set.visible()
        files = plots.everything(records, course.evaluation, shown, self.folder.path, self._title(), warn)
        report.say(self.console, report.outcome(summary, self.folder, files, self.in_python))
        return summary
