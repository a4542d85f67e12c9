"""What a user adds to a training: a callback is told of every step and epoch, and may end it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minighost.train.course import Course

__all__ = ["Callback", "StopTraining"]


class StopTraining(Exception):
    """Raised in a callback: the training ends here, and counts as finished. Its text says why."""


class Callback:
    """Derive from it, and define what you want to hear of; each method does nothing by itself.

    `course` knows everything: ``course.model``, ``course.trainer`` (with ``optimizer``, ``epoch``, ``step``),
    ``course.config``, ``course.epochs`` (the records so far), ``course.evaluation`` (of the latest epoch).

    Raise `StopTraining` to end the training after the step or epoch that you were told of. Any other exception ends it
    too: what has been learnt is saved if the training has a folder, and the exception goes to the caller.

    Examples
    --------
    ::

        class Enough(mg.Callback):
            def epoch_end(self, course, record):
                if record["test_accuracy"] > 0.95:
                    raise mg.StopTraining("95 % is enough")

        mg.fit(model, train, test, callbacks=[Enough()])
    """

    def train_begin(self, course: Course) -> None:
        """Before the first step."""

    def step_end(self, course: Course, record: dict[str, Any]) -> None:
        """After each step; `record` has step, epoch, loss, accuracy, lr and grad_norm."""

    def epoch_end(self, course: Course, record: dict[str, Any]) -> None:
        """After each epoch; `record` has epoch, step, train_loss, train_accuracy, lr, seconds, images_per_second.

        With test images also test_loss, test_accuracy and test_seconds.
        """

    def train_end(self, course: Course) -> None:
        """After the last step, whether training has reached its end, was ended by a callback, or was interrupted."""
