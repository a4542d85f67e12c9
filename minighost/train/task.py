"""What a network is trained for: what a batch costs, and how good the network is on images it has not seen.

Everything else about a training - steps, epochs, checkpoints, the way back to them, the log - is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from minighost.nn.module import Module
from minighost.train.settings import TASKS, TrainConfig
from minighost.type_aliases import Array

if TYPE_CHECKING:
    from minighost.data.loader import Loader
    from minighost.train.parallel import Single

__all__ = ["Cost", "Task", "task_of"]


class Cost(NamedTuple):
    """Of one batch.

    Attributes
    ----------
    loss : float
        Mean over the images.
    counts : tuple of float
        What is added up beside it over the images of an epoch, one number for each of `Task.counts`.
    dout : object
        The gradient of the loss, as the network's `backward` takes it.
    """

    loss: float
    counts: tuple[float, ...]
    dout: Any


class Task:
    """Derive from it, and say what it is that is learnt.

    Attributes
    ----------
    counts : dict of str to type
        What an epoch adds up beside the loss: names, and whether they are whole numbers (`int`, at most one per image)
        or not (`float`).
    score : str
        The key, of those that `measured` gives, by which an epoch is the best one: higher is better.
    trained, tested : tuple of str
        What a summary says of training and of test images: keys without "train_", and keys of `measured`.
    head : str
        Of the table of epochs, the columns that `cells` fills.
    """

    counts: dict[str, type] = {}
    score = ""
    trained: tuple[str, ...] = ("loss",)
    tested: tuple[str, ...] = ()
    head = ""

    # Computing -------------------------------------------------------------------------------------------------------

    def cost(self, out: Any, targets: Any) -> Cost:
        """What the network's output for a batch costs, given what a loader says about its images."""
        raise NotImplementedError

    def inference(self, model: Module) -> Callable[[Array], Any]:
        """What maps a batch to the network's output in evaluation mode."""
        raise NotImplementedError

    def evaluate(
        self, model: Module, loader: Loader, ends: bool, tick: Callable[[], object], ranks: Single | None = None
    ) -> Any:
        """An evaluation of all images of a loader; `ends` says whether a planned end is reached, where time is no
        matter. `tick` is called after each batch."""
        raise NotImplementedError

    def measured(self, evaluation: Any) -> dict[str, float]:
        """What the log of an epoch says of an evaluation."""
        raise NotImplementedError

    def by_class(self, evaluation: Any, classes: Sequence[str]) -> dict[str, dict[str, float]]:
        """What a summary says of each class, under one key; of no evaluation nothing."""
        raise NotImplementedError

    # Words and pictures ----------------------------------------------------------------------------------------------

    def shares(self, counts: Mapping[str, float], images: int) -> dict[str, float]:
        """What a record says of counts over `images` images."""
        raise NotImplementedError

    def progress(self, sums: Mapping[str, float]) -> str:
        """How the epoch goes, in a few characters."""
        return ""

    def cells(self, record: Mapping[str, Any]) -> str:
        """The columns of an epoch below `head`."""
        raise NotImplementedError

    def height(self, record: Mapping[str, Any]) -> float:
        """What the bar beside an epoch shows, 0 to 1."""
        raise NotImplementedError

    def outcome(self, summary: Mapping[str, Any]) -> str:
        """What has been reached, in words."""
        raise NotImplementedError

    def drawings(self, evaluation: Any, dataset: Any, title: str) -> dict[str, Callable[[Any], object]]:
        """Functions that draw an evaluation of a data set to a path, by the name of the file."""
        return {}


def task_of(name: str, config: TrainConfig, model: Module, size: tuple[int, int]) -> Task:
    """The task of that name.

    Parameters
    ----------
    name : str
        One of `config.TASKS`.
    config : TrainConfig
    model : Module
        That is to be trained.
    size : (int, int)
        Height and width of the images.
    """
    if name == "detect":
        from minighost.train.detection import Detection

        return Detection(model, size)
    assert name in TASKS
    from minighost.train.classification import Classification

    return Classification(config)
