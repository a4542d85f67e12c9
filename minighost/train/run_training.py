"""One whole training run in its folder: what `minighost train` does."""

import dataclasses
import json
import sys
import time
from typing import Any, TextIO

from minighost import data, ops
from minighost.errors import FormatError, one_line
from minighost.files import write_atomic
from minighost.plots import run as plots
from minighost.terminal.console import Console, duration
from minighost.train import report
from minighost.train.config import Config
from minighost.train.lock import run_lock
from minighost.train.log import Log, finite, read_log
from minighost.train.meta import RunMeta, fingerprints, resuming, versions
from minighost.train.restore import create_model, recreate_model, takes_grey
from minighost.train.runfolder import choose_folder
from minighost.train.signals import Interrupted, listening
from minighost.train.trainer import Trainer

__all__ = ["run"]

PLOT_EVERY = 20.0  # seconds of an epoch from which on its end is worth a new picture of the curves


def run(
    config: Config, *, resume: bool = False, overwrite: bool = False, stream: TextIO | None = None
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
        Where to report; `sys.stderr` by default.

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
    console = Console(sys.stderr if stream is None else stream)
    folder = choose_folder(config, resume)
    folder.check(config, resume, overwrite)
    if resume and folder.finished:
        console.line(f"{folder.path}: this run is finished; its results are in summary.json")
        return json.loads(folder.summary.read_text(encoding="utf-8"))
    with ops.threads(config.threads or None) as threads, listening() as stop:
        try:
            with stop.at_once():
                train_set, test_set = (_load(config, split) for split in ("train", "test"))  # first: this may fail
                if train_set.channels == 1 and not takes_grey(config):
                    train_set, test_set = train_set.rgb(), test_set.rgb()
                    console.line(
                        f"note: the images are grey; {config.model.name} has no in_channels, so they are shown as RGB"
                    )
                model = _model(config, folder, resume, train_set)
                loader, test_loader = _loaders(config, train_set, test_set)
                _prepare(model, loader)
                trainer = Trainer(model, loader, test_loader, config.train, stop)
        except Interrupted:
            console.line(f"stopped by {stop.name} before anything was written")
            raise
        folder.path.mkdir(parents=True, exist_ok=True)
        with run_lock(folder.path):
            folder.begin(config, resume, overwrite)
            for line in report.header(config, folder, model, trainer, train_set, test_set, threads):
                console.line(line)
            return _Run(config, folder, console, trainer, test_set, stop).go(resume)


def _load(config, split):
    size = config.data.train_size if split == "train" else config.data.test_size
    options = {} if size is None else {"n": size}
    return data.load(config.data.name, split, directory=config.data.dir, archive=config.data.archive, **options)


def _model(config, folder, resume, train_set):
    num_classes, channels = len(train_set.classes), train_set.channels
    if resume and folder.has_checkpoint:
        return recreate_model(config, num_classes, folder.weights(), f"{folder.last}.json", channels)
    return create_model(config, num_classes, channels)


def _prepare(model, loader):
    """Show a few images to a network that computes a layer from them."""
    if hasattr(model, "prepare"):
        model.prepare(data.normalize(loader.dataset.images[:5000], loader.mean, loader.std))


def _loaders(config, train_set, test_set):
    t = config.train
    mean, std = data.channel_statistics(train_set.images)
    augment = data.Augment(flip=t.flip, crop_padding=t.crop, cutout=t.cutout) if t.flip or t.crop or t.cutout else None
    return (
        data.Loader(
            train_set, t.batch_size, seed=config.seed, shuffle=True, augment=augment, mean=mean, std=std, drop_last=True
        ),
        data.Loader(test_set, min(t.batch_size, len(test_set)), shuffle=False, mean=mean, std=std),
    )


class _Stop(Exception):
    """Leaves an evaluation when the run has been asked to stop."""


class _Run:
    """The course of a run: epochs, log, checkpoints, pictures."""

    def __init__(self, config, folder, console, trainer, test_set, stop):
        self.config, self.folder, self.console, self.trainer, self.test_set = config, folder, console, trainer, test_set
        self.stop, self.macs = stop, 0
        self.log: Any = None  # from `go` on
        self.evaluation: Any = None  # the latest one
        self.step_seconds = self.test_seconds = 0.0
        self.about = RunMeta(
            config,
            list(test_set.classes),
            mean=[float(value) for value in trainer.loader.mean],
            std=[float(value) for value in trainer.loader.std],
            trainer={},  # the trainer puts in where it stands
            data=fingerprints(trainer.loader.dataset, test_set),
            versions=versions(),
            size=list(test_set.size),
        )

    def go(self, resume):
        kept = self._restore() if resume and self.folder.has_checkpoint else 0
        self.folder.tidy()
        self.log = Log(self.folder.log, keep=kept)
        try:
            if not self.trainer.finished:
                self._rehearse()
            self.saved = time.monotonic()
            while not self.trainer.finished:
                self._epoch()
                if self.stop and not self.trainer.finished:
                    self._interrupted()
            return self._finish()
        finally:
            self.log.close()

    def _restore(self):
        meta = RunMeta.from_dict(self.trainer.load(self.folder.last), self.folder.last)
        for line in resuming(meta, self.about, self.folder.path):
            self.console.line(line)
        self.macs = meta.macs
        length = self.folder.log.stat().st_size if self.folder.log.exists() else 0
        if length < meta.log_bytes:
            self.console.line(f"warning: {self.folder.log} is shorter than at the checkpoint; earlier lines are lost")
        t = self.trainer
        self.console.line(
            f"resume   after {t.epoch} of {self.config.train.epochs} epochs and {t.step} of {len(t.loader)} steps"
        )
        return meta.log_bytes

    def _rehearse(self):
        self.console.begin("compiling kernels ... ")
        try:
            with self.stop.at_once():
                first, step, test = self.trainer.rehearse()
        except Interrupted:
            self.console.line()
            self._stopped("before the next step")
            raise
        t = self.trainer
        self.step_seconds, self.test_seconds = step, test * len(t.test_loader)
        self.console.line(f"{first:.1f} s")
        self.macs = sum(module.macs for module in t.model.modules() if not list(module.children()))
        macs = f"{self.macs / 1e6:.1f} million multiply-adds per image, " if self.macs else ""
        self.console.line(
            f"speed    {macs}{step:.3f} s per step, {self.config.train.batch_size / step:.0f} images/s: "
            f"about {duration(self._left())} to go"
        )
        self.console.line()
        self.console.line(report.table_head())

    def _left(self):
        """Seconds until the end, from the latest speed."""
        t = self.trainer
        epochs = self.config.train.epochs
        return (epochs * len(t.loader) - t.global_step) * self.step_seconds + (epochs - t.epoch) * self.test_seconds

    def _epoch(self):
        t, epochs = self.trainer, self.config.train.epochs
        bar = self.console.bar(f"epoch {t.epoch + 1}/{epochs}", len(t.loader), t.step)
        try:
            done = t.train_epoch(lambda record: self._after_step(record, bar))
        finally:
            bar.close()
        if not done:
            self._interrupted()
        start = time.perf_counter()
        self.evaluation = self._evaluate()
        self.test_seconds = time.perf_counter() - start
        self._end_epoch(t.optimizer.lr)

    def _after_step(self, record, bar):
        sums = self.trainer.sums
        self.step_seconds = sums["seconds"] * self.config.train.batch_size / sums["seen"]
        if record["step"] % self.config.train.log_every == 0:
            self.log.write(kind="step", **record)
        bar.step(
            f"loss {sums['loss'] / sums['seen']:.3f}  acc {100 * sums['right'] / sums['seen']:4.1f} %  "
            f"run {duration(self._left())} left"
        )
        minutes, steps = self.config.train.checkpoint_minutes, self.config.train.checkpoint_steps
        late = minutes and time.monotonic() - self.saved > 60 * minutes
        if late or (steps and record["step"] % steps == 0):
            self._save()

    def _evaluate(self):
        t = self.trainer
        bar = self.console.bar("test", len(t.test_loader))

        def tick():
            bar.step("")
            if self.stop:
                raise _Stop

        try:
            return t.evaluate(tick)
        except _Stop:
            self._interrupted()
        finally:
            bar.close()

    def _end_epoch(self, lr):
        t, result = self.trainer, self.evaluation
        step, trained = t.global_step, t.finish_epoch()
        record = {
            "epoch": t.epoch,
            "step": step,
            "train_loss": trained["loss"],
            "train_accuracy": trained["accuracy"],
            "test_loss": result.loss,
            "test_accuracy": result.accuracy,
            "lr": lr,
            "seconds": trained["seconds"],
            "test_seconds": self.test_seconds,
            "images_per_second": trained["images_per_second"],
        }
        self.log.write(kind="epoch", **record)
        if t.best is None or result.accuracy > t.best["test_accuracy"]:
            t.best = {"epoch": t.epoch, "test_accuracy": result.accuracy}
            t.save_weights(self.folder.best, self._meta())
        self._save()
        self.console.line(report.row(record, self.config.train.epochs, self._left(), self.console.encoding))
        if trained["seconds"] > PLOT_EVERY and not t.finished:
            draw = lambda path: plots.curves(self._records(), path, self._title())  # noqa: E731
            plots.attempt(draw, self.folder.path / "curves.png", self.console.line)

    def _meta(self):
        return dataclasses.replace(self.about, log_bytes=self.log.sync(), macs=self.macs).to_dict()

    def _save(self):
        self.trainer.save(self.folder.last, self._meta())
        self.saved = time.monotonic()

    def _records(self):
        """What the log holds; nothing if it is damaged, which is no reason to lose the training."""
        try:
            return read_log(self.folder.log, warn=self.console.line)
        except (FormatError, OSError) as error:
            self.console.line(f"warning: {one_line(error)}; the summary and curves.png lack what stood there")
            return []

    def _title(self):
        width = "" if self.config.model.width is None else f" {self.config.model.width:g}x"
        return f"{self.config.model.name}{width} on {self.config.data.name}"

    def _interrupted(self):
        t = self.trainer
        self._save()
        self._stopped(
            f"after {t.epoch} of {self.config.train.epochs} epochs and {t.step} of {len(t.loader)} steps; "
            f"everything is saved"
        )
        raise Interrupted(self.stop.status)

    def _stopped(self, when):
        self.console.line(f"stopped by {self.stop.name} {when}. Continue with:")
        self.console.line(f"    {report.resume_command(self.folder)}")

    def _finish(self):
        """The summary first: a run is finished with it, and no picture can undo that."""
        result = self.evaluation or self._evaluate()  # a run that was killed just before this point
        self.evaluation = result
        records = self._records()
        summary = finite(self._summary([record for record in records if record.get("kind") == "epoch"], result))
        write_atomic(self.folder.summary, json.dumps(summary, indent=2, allow_nan=False) + "\n")
        warn = self.console.line
        files = plots.everything(records, result, self.test_set, self.folder.path, self._title(), warn)
        for line in report.outcome(summary, self.folder, files):
            self.console.line(line)
        return summary

    def _summary(self, epochs, result):
        t, confusion = self.trainer, result.confusion
        right = confusion.diagonal() / confusion.sum(axis=1).clip(1)
        return {
            "model": self.config.model.name,
            "width": self.config.model.width,
            "data": self.config.data.name,
            "parameters": sum(p.data.size for p in t.model.parameters()),
            "macs": int(self.macs) or None,
            "test_accuracy": result.accuracy,
            "test_loss": result.loss,
            "test_images": len(result.labels),
            "train_accuracy": _last(epochs, "train_accuracy"),
            "train_loss": _last(epochs, "train_loss"),
            "train_images": len(t.loader.dataset),
            "best_epoch": t.best["epoch"],
            "best_test_accuracy": t.best["test_accuracy"],
            "epochs": t.epoch,
            "steps": t.global_step,
            "seed": self.config.seed,
            "seconds": sum(_numbers(epochs, "seconds") + _numbers(epochs, "test_seconds")),
            "images_per_second": _mean(_numbers(epochs, "images_per_second")),
            "accuracy_by_class": dict(zip(self.test_set.classes, (round(float(r), 6) for r in right), strict=True)),
        }


def _numbers(records, key):
    """What is there of a quantity: a damaged log may lack anything."""
    return [record[key] for record in records if isinstance(record.get(key), int | float)]


def _last(records, key):
    return next(iter(_numbers(records[-1:], key)), None)


def _mean(numbers):
    return sum(numbers) / len(numbers) if numbers else None
