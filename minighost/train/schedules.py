"""Learning-rate schedules: pure functions of the global step.

A schedule remembers nothing, so a resumed run needs no schedule state: ``schedule(step)`` is the rate of that step,
counted from 0. Those with an end reach their final value at ``total_steps``, one past the last step that is taken, so
that no step is spent at rate 0.
"""

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from minighost.arguments import number
from minighost.registry import Registry, unknown

__all__ = ["Constant", "Cosine", "Extended", "OneCycle", "Schedule", "Step", "Warmup", "create", "extended", "names"]

Schedule = Callable[[int], float]  # from a step to its learning rate


def _cosine(start: float, end: float, share: float) -> float:
    """From `start` to `end` along half a cosine, `share` of the way (0 to 1)."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))


def _linear(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


SHAPES = {"cosine": _cosine, "linear": _linear}


def _check(name: str, least: float | None = None, **values: Any) -> None:
    """Refuse values that are not above 0, or not at least `least` if that is given."""
    for key, value in values.items():
        number(name, key, value, least=least, above=0 if least is None else None)


@dataclass(frozen=True)
class Constant:
    """The same rate at every step."""

    lr: float

    def __post_init__(self) -> None:
        _check("Constant", lr=self.lr)

    def __call__(self, step: int) -> float:
        return self.lr


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from `lr` at step 0 to `final` at `total_steps` (Loshchilov & Hutter 2017, eq. 5, one period)."""

    lr: float
    total_steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _check("Cosine", lr=self.lr, total_steps=self.total_steps)
        _check("Cosine", least=0, final=self.final)

    def __call__(self, step: int) -> float:
        return _cosine(self.lr, self.final, min(step / self.total_steps, 1.0))


@dataclass(frozen=True)
class OneCycle:
    """Up, then down to nearly nothing (Smith & Topin 2018).

    Parameters
    ----------
    lr : float
        Peak rate, reached at `warmup_steps`.
    total_steps : int
        Steps of the whole run.
    warmup_steps : float
        Length of the rise, 0 <= warmup_steps < total_steps; it need not be whole.
    start : float
        Rate at step 0 as a share of the peak.
    final : float
        Rate at `total_steps` as a share of the peak.
    warmup, anneal : {"linear", "cosine"}
        Shapes of the rise and of the fall.
    """

    lr: float
    total_steps: int
    warmup_steps: float = 0.0
    start: float = 0.04
    final: float = 0.0
    warmup: str = "linear"
    anneal: str = "cosine"

    def __post_init__(self) -> None:
        _check("OneCycle", lr=self.lr, total_steps=self.total_steps)
        _check("OneCycle", least=0, warmup_steps=self.warmup_steps, start=self.start, final=self.final)
        if self.warmup_steps >= self.total_steps:
            raise ValueError(
                f"OneCycle: warm-up of {self.warmup_steps:g} steps must be shorter than the run of "
                f"{self.total_steps} steps; lower train.warmup_epochs or raise train.epochs"
            )
        for name in (self.warmup, self.anneal):
            if name not in SHAPES:
                raise unknown("OneCycle", "shape", name, SHAPES)

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return SHAPES[self.warmup](self.lr * self.start, self.lr, step / self.warmup_steps)
        share = min((step - self.warmup_steps) / (self.total_steps - self.warmup_steps), 1.0)
        return SHAPES[self.anneal](self.lr, self.lr * self.final, share)


@dataclass(frozen=True)
class Step:
    """`lr` times ``gamma`` for each of the `milestones` (steps, ascending) that has been reached."""

    lr: float
    milestones: tuple[float, ...]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        _check("Step", lr=self.lr, gamma=self.gamma)
        for index, milestone in enumerate(self.milestones):
            _check("Step", least=0, **{f"milestones[{index}]": milestone})
        if list(self.milestones) != sorted(self.milestones):
            raise ValueError(f"Step: milestones must ascend, got {list(self.milestones)}")

    def __call__(self, step: int) -> float:
        return self.lr * self.gamma ** bisect.bisect_right(self.milestones, step)


@dataclass(frozen=True)
class Warmup:
    """Linear rise over the first `steps` steps; from there on, and as its ceiling, `after` at the same global step."""

    after: Schedule
    steps: float
    start: float = 0.04

    def __post_init__(self) -> None:
        _check("Warmup", steps=self.steps)
        _check("Warmup", least=0, start=self.start)

    def __call__(self, step: int) -> float:
        return self.after(step) * _linear(self.start, 1.0, min(step / self.steps, 1.0))


@dataclass(frozen=True)
class Extended:
    """A run that goes on after its end: each plan holds from the step at which the one before it ended.

    Every plan begins at step 0, so that a rate which falls over the whole run jumps up to where it would be by now if
    all steps had been planned from the start, and falls from there.

    Parameters
    ----------
    plans : tuple of callable
    ends : tuple of int
        The last step of each plan but the last, ascending.
    """

    plans: tuple[Schedule, ...]
    ends: tuple[int, ...]

    def __call__(self, step: int) -> float:
        return self.plans[bisect.bisect_right(self.ends, step)](step)


class Run(NamedTuple):
    """What schedules are built for: the length of the run and its settings, as `create` takes them, times in epochs."""

    total_steps: int
    steps_per_epoch: int
    warmup_epochs: float
    anneal: str
    milestones: Sequence[float]
    gamma: float

    @property
    def warmup_steps(self) -> float:
        return self.warmup_epochs * self.steps_per_epoch

    def warmed_up(self, schedule: Schedule) -> Schedule:
        """The schedule after the run's warm-up, if it has one."""
        return Warmup(schedule, self.warmup_steps) if self.warmup_epochs else schedule


def _step(lr: float, run: Run) -> Schedule:
    return run.warmed_up(Step(lr, tuple(epoch * run.steps_per_epoch for epoch in run.milestones), run.gamma))


SCHEDULES = Registry(
    "train.schedules.create",
    "schedule",
    onecycle=lambda lr, run: OneCycle(lr, run.total_steps, run.warmup_steps, anneal=run.anneal),
    cosine=lambda lr, run: run.warmed_up(Cosine(lr, run.total_steps)),
    step=_step,
    constant=lambda lr, run: run.warmed_up(Constant(lr)),
)


def names() -> tuple[str, ...]:
    """Names that `create` knows."""
    return tuple(SCHEDULES)


def create(
    name: str,
    lr: float,
    total_steps: int,
    steps_per_epoch: int,
    *,
    warmup_epochs: float = 0.0,
    anneal: str = "cosine",
    milestones: Sequence[float] = (),
    gamma: float = 0.1,
) -> Schedule:
    """Schedule `name` with its times given in epochs.

    Parameters
    ----------
    name : str
        One of `names()`.
    lr : float
        Peak rate.
    total_steps, steps_per_epoch : int
    warmup_epochs : float
        Rise at the beginning, in epochs; inside the cycle for "onecycle", wrapped around the others.
    anneal : {"cosine", "linear"}
        Shape of the fall of "onecycle".
    milestones : sequence of float
        Epochs at which "step" multiplies by `gamma`.

    Returns
    -------
    callable
        ``schedule(step) -> lr``.
    """
    run = Run(total_steps, steps_per_epoch, warmup_epochs, anneal, milestones, gamma)
    return SCHEDULES.find(name)(lr, run)


def extended(name: str, lr: float, epochs: Sequence[float], steps_per_epoch: int, **options: Any) -> Schedule:
    """The schedule of a run that was planned for ``epochs[0]`` epochs, then extended to ``epochs[1]``, and so on.

    Parameters
    ----------
    name, lr, steps_per_epoch, **options
        As for `create`.
    epochs : sequence of whole numbers, ascending

    Returns
    -------
    callable
        ``schedule(step) -> lr``; that of `create` if there is one number.
    """
    steps = [int(planned) * steps_per_epoch for planned in epochs]
    plans = tuple(create(name, lr, total, steps_per_epoch, **options) for total in steps)
    return plans[0] if len(plans) == 1 else Extended(plans, tuple(steps[:-1]))
