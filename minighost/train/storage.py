"""What a course asks of the place where it is stored. `Storage` itself stores nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from minighost.train import report
from minighost.train.log import finite
from minighost.train.summary import summarize

if TYPE_CHECKING:
    from minighost.terminal.console import Console
    from minighost.train.config import Config
    from minighost.train.course import Course
    from minighost.train.trainer import Trainer

__all__ = ["Follower", "Storage"]


class Storage:
    """A place that keeps nothing; `run_training.FolderStorage` is the folder of a run.

    Parameters
    ----------
    config : Config
    trainer : Trainer
    console : Console

    Attributes
    ----------
    macs : int
        Multiply-adds per image; 0 is unknown.
    """

    saved_words = "the model has what was learnt so far"

    def __init__(self, config: Config, trainer: Trainer, console: Console) -> None:
        self.config, self.trainer, self.console = config, trainer, console
        self.macs = 0

    def earlier(self, kind: str) -> list[dict[str, Any]]:
        """The records of "step" or "epoch" from before this course."""
        return []

    def step(self, record: dict[str, Any]) -> None:
        """A step whose metrics belong into the log."""

    def epoch(self, record: dict[str, Any], best: bool) -> None:
        """An epoch has ended; `best` says whether its test score is the best so far."""

    def draw(self, seconds: float) -> None:
        """An epoch that took `seconds` has been told of: time for a picture of how it goes?"""

    def save(self) -> None:
        """Keep all that is needed to continue from here."""

    def how_to_continue(self) -> str:
        """The command that continues; "" if there is none."""
        return ""

    def finish(self, course: Course) -> dict[str, Any]:
        """The training is over: the final metrics, after they have been stored and told."""
        summary = finite(summarize(course, course.epochs))
        report.say(self.console, report.outcome(self.trainer.task, summary))
        return summary


class Follower(Storage):
    """What the other ranks have in place of the folder, which is the first one's: they take part, and keep nothing."""

    def __init__(self, config: Config, trainer: Trainer, console: Console, *about_the_folder: object) -> None:
        super().__init__(config, trainer, console)

    @contextlib.contextmanager
    def open(self, resume: bool) -> Iterator[None]:
        """To resume, go back to the checkpoint that the first rank reads."""
        if resume:
            self.trainer.load("")
        yield

    def save(self) -> None:
        self.trainer.save("", {})
