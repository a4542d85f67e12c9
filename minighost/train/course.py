"""The course of a training: its epochs, what the terminal says of them, when it saves, and when it ends."""

import time
from collections.abc import Iterable
from typing import Any

from minighost.nn.module import Module
from minighost.terminal.console import Console, duration
from minighost.train import report
from minighost.train.callbacks import Callback, StopTraining
from minighost.train.config import Config
from minighost.train.parallel import SharedStop
from minighost.train.signals import Interrupted, StopRequest
from minighost.train.storage import Storage
from minighost.train.trainer import Trainer
from minighost.wording import counted

__all__ = ["Course"]


class _Leave(Exception):
    """Leaves an epoch, or an evaluation, in the middle."""


class Course:
    """A training from where its trainer stands to its end.

    Parameters
    ----------
    config : Config
    trainer : Trainer
    storage : Storage
        Where log, checkpoints and results go.
    console : Console
    stop : StopRequest
    callbacks : iterable of Callback

    Attributes
    ----------
    model : Module
    epochs : list of dict
        The records of the epochs that have ended in this course.
    evaluation : Evaluation, or another task's, or None
        Of the test images, the latest; None before the first, and without test images.
    ended : str
        Why a callback has ended the training; "" if none has.
    """

    def __init__(
        self,
        config: Config,
        trainer: Trainer,
        storage: Storage,
        console: Console,
        stop: StopRequest | SharedStop,
        callbacks: Iterable[Callback] = (),
    ) -> None:
        self.config, self.trainer, self.storage, self.console, self.stop = config, trainer, storage, console, stop
        self.callbacks = tuple(callbacks)
        self.epochs: list[dict[str, Any]] = []
        self.evaluation: Any = None
        self.ended = ""
        self.explained = False  # whether a high test loss has been
        self.step_seconds = self.test_seconds = 0.0

    @property
    def model(self) -> Module:
        return self.trainer.model

    def go(self) -> dict[str, Any]:
        """Train to the end; returns the final metrics. Interrupted if it is asked to stop; then all is saved."""
        self.trainer.check_ranks()
        if not self.trainer.finished:
            self._rehearse()
        self.saved = time.monotonic()
        self._tell("train_begin")
        while not (self.trainer.finished or self.ended):
            self._epoch()
            if self.stop and not self.trainer.finished:
                self._interrupted()
        if self.evaluation is None:  # a run that was killed just before this point, or ended in the middle of an epoch
            self.evaluation = self._evaluate()
        summary = self.storage.finish(self)
        self._tell("train_end")
        return summary

    def _tell(self, event, *record):
        """Call the callbacks; one that fails ends the training, but loses nothing."""
        for callback in self.callbacks:
            try:
                getattr(callback, event)(self, *record)
            except StopTraining as reason:
                self.ended = self.ended or str(reason) or f"{type(callback).__name__}.{event}"
            except Exception as error:
                self.storage.save()
                where = f"{self._where()}; {self.storage.saved_words}"
                error.add_note(f"raised by the callback {type(callback).__name__}.{event} {where}")
                raise

    def _rehearse(self):
        try:
            with report.compiling(self.console) as seconds, self.stop.at_once():
                first, step, test = self.trainer.rehearse()
                seconds.append(first)
        except Interrupted:
            self._stopped("before the next step")
            raise
        self.step_seconds, self.test_seconds = step, test * self._test_batches()
        self.storage.macs = macs = self._macs()
        words = f"{macs / 1e6:.1f} million multiply-adds per image, " if macs else ""
        self.console.line(
            f"speed    {words}{step:.3f} s per step, {self.config.train.batch_size / step:.0f} images/s: "
            f"about {duration(self._left())} to go",
            hang=9,
        )
        self.console.line()
        self.console.line(report.table_head(self.trainer.task))

    def _test_batches(self):
        return 0 if self.trainer.test_loader is None else len(self.trainer.test_loader)

    def _left(self):
        """Seconds until the end, from the latest speed."""
        t = self.trainer
        epochs, every = self.config.train.epochs, self.config.train.test_every
        tests = -(-(epochs - t.epoch) // every)
        return (epochs * len(t.loader) - t.global_step) * self.step_seconds + tests * self.test_seconds

    def _prune(self):
        """Go on with fewer filters; what a step takes is measured once more."""
        parameters, macs = self._parameters(), self.storage.macs
        self.trainer.prune()
        with self.stop.at_once():
            _, self.step_seconds, test = self.trainer.rehearse()
        self.test_seconds, self.storage.macs = test * self._test_batches(), self._macs()
        self.console.line(
            f"prune    {parameters:,} -> {self._parameters():,} parameters, {macs / 1e6:.1f} -> "
            f"{self.storage.macs / 1e6:.1f} million multiply-adds",
            hang=9,
        )

    def _parameters(self):
        return sum(p.data.size for p in self.model.parameters())

    def _macs(self):
        """Per image, of the latest pass."""
        return sum(module.macs for module in self.model.modules() if not list(module.children()))

    def _epoch(self):
        t, epochs = self.trainer, self.config.train.epochs
        if t.prune_due:
            self._prune()
        bar = self.console.bar(f"epoch {t.epoch + 1}/{epochs}", len(t.loader), t.step)
        try:
            done = t.train_epoch(lambda record: self._after_step(record, bar))
        except _Leave:
            self.evaluation = None  # it is of older weights
            return self._save()
        finally:
            bar.close()
        if not done:
            self._interrupted()
        start, due = time.perf_counter(), (t.epoch + 1) % self.config.train.test_every == 0
        self.evaluation = self._evaluate() if due or t.ends else None
        if self.evaluation is not None:
            self.test_seconds = time.perf_counter() - start
        self._end_epoch(t.schedule(t.global_step - 1))

    def _after_step(self, record, bar):
        sums = self.trainer.sums
        self.step_seconds = sums["seconds"] * self.config.train.batch_size / sums["seen"]
        if record["step"] % self.config.train.log_every == 0:
            self.storage.step(record)
        bar.step(
            f"loss {sums['loss'] / sums['seen']:.3f}  {self.trainer.task.progress(sums)}  "
            f"run {duration(self._left())} left"
        )
        minutes, steps = self.config.train.checkpoint_minutes, self.config.train.checkpoint_steps
        late = minutes and self.trainer.ranks.any(time.monotonic() - self.saved > 60 * minutes)
        if late or (steps and record["step"] % steps == 0):
            self._save()
        self._tell("step_end", record)
        if self.ended:
            raise _Leave

    def _evaluate(self):
        t = self.trainer
        if t.test_loader is None:
            return None
        bar = self.console.bar("test", len(t.test_loader))

        def tick():
            bar.step("")
            if self.stop:
                raise _Leave

        try:
            return t.evaluate(tick)
        except _Leave:
            self._interrupted()
        finally:
            bar.close()

    def _end_epoch(self, lr):
        t, result = self.trainer, self.evaluation
        step, trained = t.global_step, t.finish_epoch()
        tested, best, score = {}, False, t.task.score
        if result is not None:
            tested = t.task.measured(result)
            best = t.best is None or tested[score] > t.best[score]
            t.best = {"epoch": t.epoch, score: tested[score]} if best else t.best
        record = {
            "epoch": t.epoch,
            "step": step,
            **{f"train_{key}": value for key, value in trained.items() if key not in ("seconds", "images_per_second")},
            **tested,
            "lr": lr,
            "seconds": trained["seconds"],
            **({"test_seconds": self.test_seconds} if tested else {}),
            "images_per_second": trained["images_per_second"],
        }
        self.epochs.append(record)
        self.storage.epoch(record, best)
        self._save()
        columns = self.console.width or 80
        epochs, encoding = self.config.train.epochs, self.console.encoding
        self.console.line(report.row(t.task, record, epochs, self._left(), encoding, columns))
        self._explain(record)
        if not t.finished:
            self.storage.draw(trained["seconds"])
        self._tell("epoch_end", record)

    def _explain(self, record):
        """Once: is a test loss that looks broken only batch norm's lag?"""
        if not self.explained and "test_loss" in record:
            found = self.trainer.lagging(record["test_loss"], record["train_loss"])
            self.explained = found is not None
            for line in report.lag_note(found) if self.explained else ():
                self.console.line(line)

    def _save(self):
        self.storage.save()
        self.saved = time.monotonic()

    def _where(self):
        t = self.trainer
        epochs, steps = counted(self.config.train.epochs, "epoch"), counted(len(t.loader), "step")
        return f"after {t.epoch} of {epochs} and {t.step} of {steps}"

    def _interrupted(self):
        self._save()
        self._stopped(f"{self._where()}; {self.storage.saved_words}")
        self._tell("train_end")
        raise Interrupted(self.stop.status)

    def _stopped(self, when):
        command = self.storage.how_to_continue()
        self.console.line(f"stopped by {self.stop.name} {when}.{' Continue with:' * bool(command)}", hang=0)
        if command:
            self.console.line(f"    {command}")
