"""One whole training run in its folder: what `minighost train` does."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TextIO

import numpy as np

from minighost import data, models, ops
from minighost.data.box_loader import BoxAugment, BoxLoader
from minighost.data.floats import FloatAugment, FloatDataset
from minighost.data.sources import Opened, label
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
from minighost.train.parallel import Single
from minighost.train.pruning import network_at, unpruned
from minighost.train.restore import check_model, create_model, recreate_model, takes_grey
from minighost.train.runfolder import RunFolder, choose_folder
from minighost.train.signals import Interrupted, listening
from minighost.train.start import Started, is_grey, read_start, start_from
from minighost.train.storage import Follower, Storage
from minighost.train.summary import summarize
from minighost.train.task import task_of
from minighost.train.trainer import Trainer
from minighost.wording import counted

__all__ = ["conduct", "run"]

PLOT_EVERY = 20.0  # seconds of an epoch from which on its end is worth a new picture of the curves


class Kept(NamedTuple):
    """What the last checkpoint of a run to resume says."""

    path: str
    weights: int
    meta: RunMeta


def run(
    config: Config,
    *,
    resume: bool = False,
    overwrite: bool = False,
    stream: TextIO | None = None,
    callbacks: Iterable[Callback] = (),
    images: Opened | None = None,
    ranks: Single | None = None,
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
    ranks : Single or Ranks, optional
        The processes that share the training; each calls this function. The first one alone reads and writes the
        folder, and reports.

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
    ranks = ranks or Single()
    console = console_for(stream) if ranks.first else Console(None)
    ranks.check_batch(config.train.batch_size)
    if config.task == "detect" and ranks.count > 1:
        raise ValueError("--mpi: to detect is trained in one process; leave out --mpi")
    folder, kept, finished = ranks.from_first(lambda: _look(config, resume, overwrite))
    if finished is not None:
        console.line(f"{folder.path}: this run is finished; its results are in summary.json")
        return finished
    check_model(config)

    def make():
        find = lambda: images or open_images(config.data, task=config.task)  # noqa: E731
        opened = ranks.together(find, in_turn=True)  # first: this may fail
        train_set, test_set = opened.train, opened.test
        for line in () if resume else opened.notes:
            console.line(f"note: {line}")
        if train_set.channels == 1 and not _takes_grey(config, kept):
            train_set, test_set = train_set.rgb(), test_set.rgb()
            words = f"note: the images are grey; {config.model.title} has no in_channels, so they are shown as RGB"
            console.line(words, hang=0)
        return _model(config, kept, train_set, console), train_set, test_set

    options: dict[str, Any] = {"resume": resume, "overwrite": overwrite, "kept": kept}
    return conduct(config, make, console, folder, **options, callbacks=callbacks, ranks=ranks)


def conduct(
    config: Config,
    make: Callable[[], tuple[Module, data.Dataset, data.Dataset | None]],
    console: Console,
    folder: RunFolder | None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    kept: Kept | None = None,
    callbacks: Iterable[Callback] = (),
    in_python: bool = False,
    ranks: Single | None = None,
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
    kept : Kept, optional
        The checkpoint from which to resume.
    """
    ranks = ranks or Single()
    with (
        ops.threads(config.threads or ranks.threads(ops.threads().count)) as threads,
        listening() as stop,
        contextlib.ExitStack() as stack,
    ):
        try:
            with stop.at_once():
                model, train_set, test_set = make()
                started = ranks.together(lambda: _start(config, kept, model, train_set), in_turn=True)
                if ranks.count > 1:
                    _compare_data(train_set, test_set, ranks)
                loader, test_loader = _loaders(config, train_set, test_set, started.normalisation, ranks)
                if config.train.start is None:
                    _prepare(model, loader)
                shared = ranks.shared_stop(stop)
                task = task_of(config.task, config.train, model, train_set.size)
                trainer = Trainer(model, loader, test_loader, config.train, shared, ranks, task)
                if config.train.prune_after is not None:
                    trainer.smaller = lambda: create_model(config, len(train_set.classes), train_set.channels)
        except Interrupted:
            console.line(f"stopped by {stop.name} before anything was written")
            raise
        storage = Storage(config, trainer, console)
        if folder is not None:
            ranks.from_first(lambda: _begin(folder, config, resume, overwrite, stack))
        lines = report.header(config, folder, model, trainer, train_set, test_set, threads, started.lines)
        report.say(console, lines)
        if folder is not None:
            kind = FolderStorage if ranks.first else Follower
            storage = stored = kind(config, trainer, console, folder, test_set, started.about, in_python)
            resume = resume and ranks.from_first(lambda: folder.has_checkpoint)
            ranks.together(lambda: stack.enter_context(stored.open(resume)))
        return Course(config, trainer, storage, console, shared, callbacks).go()


def _look(config, resume, overwrite):
    """The run's folder; its last checkpoint, to resume; its summary, if nothing is left to be done."""
    folder = choose_folder(config, resume)
    folder.check(config, resume, overwrite)
    if resume and folder.finished and not folder.is_extended_by(config):
        return folder, None, json.loads(folder.summary.read_text(encoding="utf-8"))
    if not (resume and folder.has_checkpoint):
        return folder, None, None
    return folder, Kept(f"{folder.last}.json", folder.weights(), folder.meta()), None


def _begin(folder, config, resume, overwrite, stack):
    """Take the folder, until the stack ends."""
    folder.path.mkdir(parents=True, exist_ok=True)
    stack.enter_context(run_lock(folder.path))
    folder.begin(config, resume, overwrite)


def _compare_data(train_set, test_set, ranks):
    """Whether all ranks are about to learn from the same images; ValueError if not."""
    for name, value in fingerprints(train_set, test_set).items():
        ranks.same(f"the {name} are", value, "put the same files on every computer")


def _model(config, kept, train_set, console):
    num_classes, channels = len(train_set.classes), train_set.channels
    if kept is not None:
        made = network_at(config, kept.meta.trainer)
        return recreate_model(made, num_classes, kept.weights, kept.path, channels)
    model = create_model(unpruned(config), num_classes, channels)
    if config.model.own is not None and config.task == "classify":
        with report.compiling(console, f"checking {config.model.title}"):
            models.try_out(model, config.model.title, train_set.images.shape[1:], num_classes)
    return model


def _takes_grey(config, kept):
    """Whether grey images stay grey: its weights, too, must have been trained on such."""
    if not takes_grey(config) or config.train.start is None:
        return takes_grey(config)
    return len(kept.meta.mean) == 1 if kept is not None else is_grey(config.train.start)


def _start(config, kept, model, train_set):
    """Load the weights to start from, if there are any; one that resumes has them in its checkpoint."""
    if config.train.start is None:
        return Started()
    if kept is not None:
        meta = kept.meta
        return Started((meta.mean, meta.std), meta.start, [f"from     {config.train.start}, when this run began"])
    return start_from(read_start(config.train.start), model, train_set.classes)


def _prepare(model, loader):
    """Show a few images to a network that computes a layer from them."""
    if hasattr(model, "prepare"):
        model.prepare(loader.normalized(loader.dataset.images[:5000]))


def _loaders(config, train_set, test_set, normalisation, ranks):
    t, numbers = config.train, isinstance(train_set, FloatDataset)
    kind, load = FloatAugment if numbers else data.Augment, data.Loader
    augment: Any = None
    if config.task == "detect":
        augment, load = BoxAugment(t.flip, t.crop), BoxLoader
    elif t.flip or t.crop or t.cutout:
        augment = kind(flip=t.flip, crop_padding=t.crop, cutout=t.cutout)
    mean, std = (np.zeros(1), np.ones(1)) if numbers else normalisation or data.channel_statistics(train_set.images)
    options: dict[str, Any] = {"mean": mean, "std": std, "share": (ranks.rank, ranks.count)}
    loader = load(train_set, t.batch_size, seed=config.seed, augment=augment, drop_last=True, **options)
    if test_set is None:
        return loader, None
    return loader, load(test_set, min(t.batch_size, len(test_set)), shuffle=False, **options)


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
            ranks=trainer.ranks.count,
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
        return f"{self.config.model.title}{width} on {label(self.config.data.name)}"

    def how_to_continue(self) -> str:
        return self.trainer.ranks.command(report.resume_command(self.folder, self.in_python))

    def finish(self, course: Course) -> dict[str, Any]:
        """The summary first: a run is finished with it, and no picture can undo that."""
        records = self._records()
        summary = finite(summarize(course, [record for record in records if record.get("kind") == "epoch"]))
        write_atomic(self.folder.summary, json.dumps(summary, indent=2, allow_nan=False) + "\n")
        warn = self.console.line
        task, drawings, title = self.trainer.task, {}, self._title()
        if self.test_set is not None and course.evaluation is not None:
            drawings = task.drawings(course.evaluation, self.test_set.visible(), title)
        files = plots.everything(records, drawings, self.folder.path, title, warn)
        report.say(self.console, report.outcome(task, summary, self.folder, files, self.in_python))
        return summary
