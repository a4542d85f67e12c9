"""The settings of a run, section by section: each with its default, the values that it may have, and what it means."""

from dataclasses import dataclass, field
from typing import Any

from minighost import own_code
from minighost.train import optimizers, schedules
from minighost.train.values import Choice, Flag, Numbers, Real, Rule, Size, Text, Whole

__all__ = ["TASKS", "DataConfig", "ModelConfig", "TrainConfig", "setting"]

TASKS = ("classify", "detect")


def setting(default: Any, rule: Rule, text: str) -> Any:
    """A field with its default, its rule and a line of help."""
    return field(default=default, metadata={"rule": rule, "help": text})


@dataclass(frozen=True)
class ModelConfig:
    """Which network. Keys other than `name` and `width` are options of it and go to `minighost.models.create`.

    To detect, it is the network below a `RetinaNet`, whose options the others are.
    """

    name: str = setting("ghostnet", Text(), "network, one of minighost.models.names(), or FILE.py:NAME for your own")
    width: float | None = setting(None, Real(above=0, none=True), "width multiplier")
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def own(self) -> own_code.Spec | None:
        """The file and name of a network of one's own."""
        return own_code.parse(self.name)

    @property
    def title(self) -> str:
        """The name for tables and pictures: without the folder of a file."""
        return self.name if self.own is None else self.own.title

    def given(self) -> dict[str, Any]:
        """The options for `minighost.models.create`, the width among them if there is one."""
        return self.options if self.width is None else {**self.options, "width": self.width}


@dataclass(frozen=True)
class DataConfig:
    """Which images."""

    name: str = setting(
        "shapes10",
        Text(),
        "one of minighost.data.names(), or your own images: a folder with a folder per class, an .npz, .safetensors or "
        "idx file, or FILE.py:function; to detect, a folder in COCO's format",
    )
    dir: str | None = setting(None, Text(none=True), "folder with the data set's files")
    archive: str | None = setting(None, Text(none=True), "archive file of the data set")
    size: tuple[int, int] | None = setting(
        None,
        Size(none=True),
        "height and width to which images are cut and scaled; none: as they are",
    )
    split: float = setting(
        0.2, Real(above=0, below=1), "share of own images kept for testing, if nobody has divided them"
    )
    split_seed: int = setting(0, Whole(0), "another one keeps other images for testing; independent of seed")
    train_size: int | None = setting(None, Whole(1, none=True, most=10**6), "number of training images (all)")
    test_size: int | None = setting(None, Whole(1, none=True, most=10**6), "number of test images (all)")


@dataclass(frozen=True)
class TrainConfig:
    """How the weights are found."""

    epochs: int = setting(5, Whole(1), "passes over the training images")
    batch_size: int = setting(128, Whole(2), "images per step")
    lr: float = setting(0.2, Real(above=0), "peak learning rate")
    optimizer: str = setting("sgd", Choice(*optimizers.names()), "optimizer")
    momentum: float = setting(0.9, Real(least=0, below=1), "momentum of sgd and muon")
    nesterov: bool = setting(True, Flag(), "Nesterov momentum (sgd, muon)")
    sgd_factor: float = setting(
        1.0, Real(above=0), "muon: learning rate of the parameters that sgd updates instead, as a multiple of lr"
    )
    sgd_momentum: float | None = setting(
        None, Real(least=0, below=1, none=True), "muon: momentum of the parameters that sgd updates instead"
    )
    sgd_decay: float = setting(
        0.0,
        Real(least=0, below=1),
        "muon: share by which what sgd updates, biases too, decays per step at the peak rate, instead of weight_decay",
    )
    weight_decay: float = setting(5e-4, Real(least=0), "decay of weights; biases and batch norm are exempt")
    decay_depthwise: bool = setting(True, Flag(), "decay the kernels of depthwise convolutions, too")
    schedule: str = setting("onecycle", Choice(*schedules.names()), "learning-rate schedule")
    warmup_epochs: float = setting(0.0, Real(least=0), "warm-up of the learning rate, in epochs")
    anneal: str = setting("cosine", Choice("cosine", "linear"), "how onecycle's rate falls")
    milestones: tuple[float, ...] = setting((), Numbers(least=0), "epochs at which schedule=step lowers the rate")
    gamma: float = setting(0.1, Real(above=0), "factor at each milestone")
    label_smoothing: float = setting(0.0, Real(least=0, below=1), "share of the target that is spread over all classes")
    ema_decay: float = setting(
        0.0, Real(least=0, below=1), "decay of the averaged weights that are evaluated; 0 is off"
    )
    sync_batch_norm: bool = setting(
        True, Flag(), "with --mpi: batch norm over the whole batch, as in one process, or over each rank's share"
    )
    clip_norm: float = setting(0.0, Real(least=0), "largest norm of the gradient; 0 is off")
    flip: bool | str = setting(
        True, Flag("alternate"), "mirror half of the training images; alternate: each image every second epoch"
    )
    crop: int = setting(4, Whole(0), "padding of random crops in pixels; 0 is off")
    cutout: int = setting(0, Whole(0), "side of the blanked-out square in pixels; 0 is off")
    views: str = setting(
        "image", Choice("image", "mirror", "shift"), "averaged at the end; mirror: both sides; shift: also shifted"
    )
    start: str | None = setting(
        None, Text(none=True), "weights to start from (--from): the folder of a run, or a .safetensors file"
    )
    freeze: str | None = setting(
        None, Text(none=True), "last layer that stays as it is, with all before it; body: all but the head"
    )
    body_lr: float = setting(1.0, Real(above=0), "learning rate of all layers but the head, as a multiple of lr")
    prune_after: int | None = setting(
        None,
        Whole(0, none=True),
        "epochs with all filters; then the weakest go, down to the network's option inner (model.inner=0.5)",
    )
    extended: tuple[float, ...] = setting(
        (),
        Numbers(least=1),
        "numbers of epochs that were planned before train.epochs; --resume --epochs N adds to them",
    )
    head_lr: float = setting(1.0, Real(above=0), "learning rate of the head, as a multiple of lr")
    stem_epochs: float = setting(
        0.0, Real(least=0), "epochs in which a whitening stem's biases learn, at a rate that falls to 0; 0: all of them"
    )
    test_every: int = setting(
        1, Whole(1), "epochs between evaluations of the test images; the last epoch is always evaluated"
    )
    log_every: int = setting(10, Whole(1), "steps between lines of log.jsonl")
    checkpoint_minutes: float = setting(5.0, Real(least=0), "minutes between checkpoints within an epoch; 0 is off")
    checkpoint_steps: int = setting(0, Whole(0), "steps between checkpoints within an epoch; 0 is off")
