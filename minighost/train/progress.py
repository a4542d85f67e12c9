"""What a training's checkpoint holds: tensors by prefix (model/, optimizer/, ema/), and how far the training was."""

from typing import Any, NamedTuple

from minighost.train.task import Task
from minighost.type_aliases import State

__all__ = ["Progress", "evaluated", "part", "prefixed"]


class Progress(NamedTuple):
    """How far a training is.

    Attributes
    ----------
    epoch, step : int
        Epochs finished, and steps finished in the present one.
    sums : dict of str to number
        Of the present epoch: ``loss``, ``seen``, ``seconds`` and what the task counts.
    best : dict or None
        The best epoch so far and its score.
    """

    epoch: int
    step: int
    sums: dict[str, Any]
    best: dict[str, Any] | None

    @classmethod
    def read(cls, state: dict[str, Any], task: Task, epochs: int, steps: int, batch_size: int) -> "Progress":
        """From a checkpoint's meta data, each number checked.

        Parameters
        ----------
        state : dict
        task : Task
            What else its sums have.
        epochs, steps, batch_size : int
            Of the run: epochs, steps per epoch, images per step.

        Raises
        ------
        LookupError, TypeError, ValueError
            Something is missing, of another type or out of range.
        """
        epoch, step, sums, best = (state[key] for key in ("epoch", "step", "sums", "best"))
        _number("epoch", epoch, int, epochs)
        _number("step", step, int, steps)
        _number("images seen", sums["seen"], int, step * batch_size, step * batch_size)
        for name, kind in task.counts.items():
            _number(f"images {name}" if kind is int else name, sums[name], kind, sums["seen"] if kind is int else 1e300)
        _number("seconds", sums["seconds"], float, 1e12)
        _number("sum of losses", sums["loss"], float, 1e300)
        if best is not None:
            _number("best epoch", best["epoch"], int, epochs)
            _number("best accuracy", best[task.score], float, 1)
        return cls(epoch, step, sums, best)


def _number(name: str, value: Any, kind: Any, most: float, least: float = 0) -> None:
    if type(value) is not kind or not (least <= value <= most):
        raise ValueError(f"{name}: expected {kind.__name__} from {least} to {most}, got {value!r:.80}")


def prefixed(prefix: str, tensors: State) -> State:
    """The tensors with `prefix` before their names."""
    return {prefix + name: value for name, value in tensors.items()}


def evaluated(tensors: State) -> State:
    """Of a checkpoint's tensors the weights that are evaluated: averaged, if it holds an average."""
    averaged = {name: value for name, value in part(tensors, "ema/").items() if name != "ema.updates"}
    return averaged or part(tensors, "model/")


def part(tensors: State, prefix: str) -> State:
    """The tensors whose name begins with `prefix`, without it."""
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
