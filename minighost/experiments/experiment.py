"""What an experiment is: a question, a recipe for all sides, arms that differ in a setting or two, and what is claimed.

To add one, write a file in ``minighost/experiments/catalogue`` and name its experiment in ``catalogue/__init__.py``::

    EXPERIMENT = Experiment(
        name="ghost-d",
        question="Which kernel size d should the cheap operation of a ghost module have?",
        source="Han et al. 2020, GhostNet, arXiv 1911.11907, table 3: VGG-16 on CIFAR-10, s = 2",
        claims=(Claim("d=3", "d=1", points=0.2),),         # percentage points, as the paper has them
        published={"d=3": Published(accuracy=93.7)},       # the paper's own numbers, by arm
        full=Form(CIFAR10, {"d=1": {"model.d": 1}, "d=3": {"model.d": 3}}, minutes=9),
        quick=Form(SHAPES10, {"d=1": {"model.d": 1}, "d=3": {"model.d": 3}}, minutes=1, seeds=1),
    )

Settings are the keys of ``minighost train --help-settings`` and options of the network (``model.d``). `CIFAR10` and
`SHAPES10` in `recipes` are complete recipes; ``CIFAR10 | {"model.name": "vgg16_cifar"}`` is one with a network. An arm
may set anything, but what is not the question belongs in the recipe. ``minighost experiment run NAME --list`` shows
the trials; tests/test_experiments.py builds the networks of every arm.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from minighost.experiments.findings import Findings

__all__ = ["ACCURACY", "COLUMNS", "Claim", "Experiment", "Form", "Published"]

COLUMNS = {  # what a table may have beside accuracy: its heading
    "parameters": "parameters",
    "macs": "multiply-adds",
    "minutes": "minutes",
    "images_per_second": "images/s",
    "train_ms": "training step, ms",
    "inference_ms": "inference, ms",
}
ACCURACY = "accuracy"  # as the other axis of a plot it stands for "arm by arm"


class Form(NamedTuple):
    """How large an experiment is: the full form answers, the quick one only shows how it goes.

    Attributes
    ----------
    recipe : dict of str to value
        Settings of all arms.
    arms : dict of str to dict
        For each arm its own settings, which count over the recipe's.
    minutes : float
        What one seed of all arms takes together on one core, measured; for the estimate.
    seeds : int
        How many, unless the user says otherwise.
    """

    recipe: Mapping[str, Any]
    arms: Mapping[str, Mapping[str, Any]]
    minutes: float
    seeds: int = 3


class Claim(NamedTuple):
    """What the paper says of two arms.

    Attributes
    ----------
    arm, against : str
    points : float, optional
        Test accuracy of `arm` less that of `against` in percentage points, as published.
    expects : {"higher", "lower", "equal"}, optional
        Of `arm`; by default the sign of `points`. "equal" is right for "no worse at half the cost".
    """

    arm: str
    against: str
    points: float | None = None
    expects: str | None = None

    @property
    def direction(self) -> str:
        """What is expected of `arm`."""
        if self.expects is not None:
            return self.expects
        return "equal" if not self.points else "higher" if self.points > 0 else "lower"


class Published(NamedTuple):
    """The paper's own numbers of an arm: accuracy in percent, parameters, multiply-adds; None where it has none."""

    accuracy: float | None = None
    parameters: float | None = None
    macs: float | None = None


@dataclass(frozen=True)
class Experiment:
    """One question, and how it is answered.

    Parameters
    ----------
    name : str
        Words of lower-case letters, joined by hyphens.
    question : str
        One sentence, with a question mark.
    source : str
        Authors, year, title in short, where to find it, the table or section, and on what data.
    full, quick : Form
        With the same arms, as far as possible; `quick` needs no files and takes some minutes.
    claims : tuple of Claim
        Each becomes a sentence of the report, with the difference that was measured and its 95 % interval.
    published : dict of str to Published
        By arm. They stand beside ours, never in our place.
    columns : tuple of str
        Of `COLUMNS`. Milliseconds are measured when the trials have ended, one thread, all arms in turns.
    plots : tuple of str
        "accuracy" draws the arms side by side; a name of `COLUMNS` draws accuracy against it.
    families : dict of str to str
        For plots against a cost: the line that each arm belongs to, by arm. By default all are points of no line.
    notes : tuple of str
        What a reader must know to judge the numbers: how the form differs from the paper's, what a number does not say.
    reading : callable, optional
        ``reading(findings)`` gives further sentences: what `claims` cannot say.
    appendix : callable, optional
        ``appendix()`` gives lines of Markdown that need no trial, such as the exact sizes of the paper's networks.
    """

    name: str
    question: str
    source: str
    full: Form
    quick: Form
    claims: tuple[Claim, ...] = ()
    published: Mapping[str, Published] | None = None
    columns: tuple[str, ...] = ("parameters", "macs", "minutes")
    plots: tuple[str, ...] = (ACCURACY,)
    families: Mapping[str, str] | None = None
    notes: tuple[str, ...] = ()
    reading: "Callable[[Findings], list[str]] | None" = None
    appendix: Callable[[], list[str]] | None = None

    def form(self, quick: bool) -> Form:
        """The quick form or the full one."""
        return self.quick if quick else self.full
