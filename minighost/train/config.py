"""The configuration of a run: every number that decides its outcome, in one tree.

Later sources override earlier ones: the defaults below, the data set's recipe, a TOML file, single ``key=value``
settings. The resolved tree is saved with the run, and is all that is needed to repeat it.
"""

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from minighost import own_code
from minighost.data.dataset import Dataset
from minighost.data.sets import SETS
from minighost.data.sources import is_named, whole_path
from minighost.errors import FormatError
from minighost.inputs import read_regular
from minighost.registry import unknown
from minighost.train import optimizers, schedules
from minighost.train.recipes import PRESETS, RECIPES, fine_tuning, own_boxes, own_images
from minighost.train.values import Choice, Flag, Free, Numbers, Real, Rule, Size, Text, Whole
from minighost.type_aliases import PathLike

__all__ = ["TASKS", "Config", "DataConfig", "ModelConfig", "TrainConfig", "keys", "with_whole_path"]

TASKS = ("classify", "detect")
UNKNOWN_TO_DETECT = (
    "label_smoothing",
    "cutout",
    "views",
    "start",
    "freeze",
    "body_lr",
    "prune_after",
)  # settings of a classifier
LARGEST = 1 << 20  # bytes of a file of settings


def _key(default: Any, rule: Rule, text: str) -> Any:
    return field(default=default, metadata={"rule": rule, "help": text})


@dataclass(frozen=True)
class ModelConfig:
    """Which network. Keys other than `name` and `width` are options of it and go to `minighost.models.create`.

    To detect, it is the network below a `RetinaNet`, whose options the others are.
    """

    name: str = _key("ghostnet", Text(), "network, one of minighost.models.names(), or FILE.py:NAME for your own")
    width: float | None = _key(None, Real(above=0, none=True), "width multiplier")
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

    name: str = _key(
        "shapes10",
        Text(),
        "one of minighost.data.names(), or your own images: a folder with a folder per class, an .npz, .safetensors or "
        "idx file, or FILE.py:function; to detect, a folder in COCO's format",
    )
    dir: str | None = _key(None, Text(none=True), "folder with the data set's files")
    archive: str | None = _key(None, Text(none=True), "archive file of the data set")
    size: tuple[int, int] | None = _key(
        None,
        Size(none=True),
        "height and width to which images are cut and scaled; none: as they are",
    )
    split: float = _key(0.2, Real(above=0, below=1), "share of own images kept for testing, if nobody has divided them")
    split_seed: int = _key(0, Whole(0), "another one keeps other images for testing; independent of seed")
    train_size: int | None = _key(None, Whole(1, none=True, most=10**6), "number of training images (all)")
    test_size: int | None = _key(None, Whole(1, none=True, most=10**6), "number of test images (all)")


@dataclass(frozen=True)
class TrainConfig:
    """How the weights are found."""

    epochs: int = _key(5, Whole(1), "passes over the training images")
    batch_size: int = _key(128, Whole(2), "images per step")
    lr: float = _key(0.2, Real(above=0), "peak learning rate")
    optimizer: str = _key("sgd", Choice(*optimizers.names()), "optimizer")
    momentum: float = _key(0.9, Real(least=0, below=1), "momentum of sgd and muon")
    nesterov: bool = _key(True, Flag(), "Nesterov momentum (sgd, muon)")
    sgd_factor: float = _key(
        1.0, Real(above=0), "muon: learning rate of the parameters that sgd updates instead, as a multiple of lr"
    )
    sgd_momentum: float | None = _key(
        None, Real(least=0, below=1, none=True), "muon: momentum of the parameters that sgd updates instead"
    )
    sgd_decay: float = _key(
        0.0,
        Real(least=0, below=1),
        "muon: share by which what sgd updates, biases too, decays per step at the peak rate, instead of weight_decay",
    )
    weight_decay: float = _key(5e-4, Real(least=0), "decay of weights; biases and batch norm are exempt")
    decay_depthwise: bool = _key(True, Flag(), "decay the kernels of depthwise convolutions, too")
    schedule: str = _key("onecycle", Choice(*schedules.names()), "learning-rate schedule")
    warmup_epochs: float = _key(0.0, Real(least=0), "warm-up of the learning rate, in epochs")
    anneal: str = _key("cosine", Choice("cosine", "linear"), "how onecycle's rate falls")
    milestones: tuple[float, ...] = _key((), Numbers(least=0), "epochs at which schedule=step lowers the rate")
    gamma: float = _key(0.1, Real(above=0), "factor at each milestone")
    label_smoothing: float = _key(0.0, Real(least=0, below=1), "share of the target that is spread over all classes")
    ema_decay: float = _key(0.0, Real(least=0, below=1), "decay of the averaged weights that are evaluated; 0 is off")
    sync_batch_norm: bool = _key(
        True, Flag(), "with --mpi: batch norm over the whole batch, as in one process, or over each rank's share"
    )
    clip_norm: float = _key(0.0, Real(least=0), "largest norm of the gradient; 0 is off")
    flip: bool | str = _key(
        True, Flag("alternate"), "mirror half of the training images; alternate: each image every second epoch"
    )
    crop: int = _key(4, Whole(0), "padding of random crops in pixels; 0 is off")
    cutout: int = _key(0, Whole(0), "side of the blanked-out square in pixels; 0 is off")
    views: str = _key(
        "image", Choice("image", "mirror", "shift"), "averaged at the end; mirror: both sides; shift: also shifted"
    )
    start: str | None = _key(
        None, Text(none=True), "weights to start from (--from): the folder of a run, or a .safetensors file"
    )
    freeze: str | None = _key(
        None, Text(none=True), "last layer that stays as it is, with all before it; body: all but the head"
    )
    body_lr: float = _key(1.0, Real(above=0), "learning rate of all layers but the head, as a multiple of lr")
    prune_after: int | None = _key(
        None,
        Whole(0, none=True),
        "epochs with all filters; then the weakest go, down to the network's option inner (model.inner=0.5)",
    )
    extended: tuple[float, ...] = _key(
        (),
        Numbers(least=1),
        "numbers of epochs that were planned before train.epochs; --resume --epochs N adds to them",
    )
    head_lr: float = _key(1.0, Real(above=0), "learning rate of the head, as a multiple of lr")
    stem_epochs: float = _key(
        0.0, Real(least=0), "epochs in which a whitening stem's biases learn, at a rate that falls to 0; 0: all of them"
    )
    test_every: int = _key(
        1, Whole(1), "epochs between evaluations of the test images; the last epoch is always evaluated"
    )
    log_every: int = _key(10, Whole(1), "steps between lines of log.jsonl")
    checkpoint_minutes: float = _key(5.0, Real(least=0), "minutes between checkpoints within an epoch; 0 is off")
    checkpoint_steps: int = _key(0, Whole(0), "steps between checkpoints within an epoch; 0 is off")


@dataclass(frozen=True)
class Config:
    """A whole run. Make one with `Config.resolve`; it is never changed afterwards.

    Examples
    --------
    >>> Config.resolve(overrides={"train.epochs": "3"}).train.epochs
    3
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    task: str = _key("classify", Choice(*TASKS), "what is learnt: classes of images; or to detect things, with boxes")
    seed: int = _key(0, Whole(0), "random seed of initial weights, order, augmentation and dropout")
    threads: int = _key(0, Whole(0), "number of threads; 0: one per core")
    out: str | None = _key(None, Text(none=True), "folder of the run; by default runs/DATA-MODEL, numbered")

    @classmethod
    def resolve(
        cls,
        dataset: str | None = None,
        toml_path: PathLike | None = None,
        overrides: Mapping[str, Any] | None = None,
        base: "Config | None" = None,
        check: bool = True,
        preset: str | None = None,
        images: Dataset | None = None,
    ) -> "Config":
        """The configuration from all its sources, checked.

        Parameters
        ----------
        dataset : str, optional
            Like the override ``data.name``, but weaker than the other sources.
        toml_path : path, optional
            A TOML file with tables ``[model]``, ``[data]``, ``[train]`` and the top keys ``seed``, ``threads``,
            ``out``.
        overrides : dict of str to value, optional
            Dotted keys; values may be text, as on a command line. The file of a network of one's own is kept with its
            whole path; to leave out what it does not take of a recipe, it is run.
        base : Config, optional
            Start from this configuration in place of defaults and recipe (to resume a run).
        check : bool
            Also check that the keys go together; each by itself is checked in any case.
        preset : str, optional
            One of `PRESETS`, in place of the data set's recipe.
        images : Dataset, optional
            The training images, if they are one's own: then the recipe is `own_images`, or to detect `own_boxes` (see
            `train.images.resolve`).

        Raises
        ------
        ValueError
            An unknown key (with close matches) or preset, or a value of the wrong type or out of range.
        FormatError
            A file that is not TOML.
        """
        file = _read_toml(toml_path) if toml_path is not None else {}
        overrides = dict(overrides or {})
        given = {**file, **overrides}
        if "model.name" in given:
            given["model.name"] = with_whole_path(given["model.name"])
        if isinstance(given.get("data.name"), str):  # a run is continued and measured from other folders, too
            given["data.name"] = whole_path(given["data.name"])
        if base is None:
            detects = given.get("task") == "detect"
            name = given.get("data.name", dataset or ("shapes-detect" if detects else DataConfig.name))
            start = _preset(preset) if preset else _recipe(name, images, detects)
            source = Text(none=True).read("train.start", given.get("train.start"))
            start = _for_network(start, given.get("model.name")) if source is None else _tuned(start, source, given)
        else:
            start = {key: value for key, value in base.flat().items() if value is not None}
        where = {**dict.fromkeys(file, f"{toml_path}: "), **dict.fromkeys(overrides, "")}
        config = cls._build({**start, **given}, where)
        if base is None and "train.warmup_epochs" not in given:  # a recipe's warm-up is a share of its run
            share = start.get("train.warmup_epochs", 0) / start.get("train.epochs", TrainConfig.epochs)
            train = dataclasses.replace(config.train, warmup_epochs=share * config.train.epochs)
            config = config.replace(train=train)
        if check:
            config.check_together()
        return config

    @classmethod
    def _build(cls, values, where):
        rules = keys()
        tree: dict[str, dict[str, Any]] = {"model": {}, "data": {}, "train": {}, "": {}}
        options = {}
        for key, value in values.items():
            section, _, name = key.rpartition(".")
            if key in rules:
                tree[section][name] = rules[key]["rule"].read(f"{where.get(key, '')}{key}", value)
            elif section == "model" and name.isidentifier() and len(name) <= 100:
                options[name] = Free().read(f"{where.get(key, '')}{key}", value)
            else:
                raise ValueError(where.get(key, "") + _unknown(key, rules))
        model = ModelConfig(**tree["model"], options=options)
        return cls(model, DataConfig(**tree["data"]), TrainConfig(**tree["train"]), **tree[""])

    def check_together(self) -> None:
        """Rules that bind several keys; ValueError names the one that is broken."""
        self._check_task()
        for name in ("num_classes", "rng"):
            if name in self.model.options:
                raise ValueError(
                    f"model.{name}: is decided by {'the data set' if name == 'num_classes' else 'seed'}; leave it out"
                )
        train = self.train
        own = optimizers.options(train.optimizer, vars(train))
        if own.get("nesterov") and not train.momentum:
            raise ValueError("train.nesterov: needs train.momentum > 0, got 0; set train.nesterov=false")
        for name in ("sgd_factor", "sgd_momentum", "sgd_decay"):
            if name not in own and getattr(train, name) != getattr(TrainConfig, name):
                raise ValueError(f"train.{name}: has no effect with train.optimizer={train.optimizer}; leave it out")
        if train.schedule == "onecycle" and train.warmup_epochs >= train.epochs:
            raise ValueError(
                f"train.warmup_epochs: must be shorter than the run, got {train.warmup_epochs:g} of "
                f"train.epochs={train.epochs}; lower it"
            )
        if train.schedule == "step" and not train.milestones:
            raise ValueError("train.milestones: schedule=step needs at least one epoch, e.g. train.milestones=6,9")
        if train.milestones and train.schedule != "step":
            raise ValueError(
                f"train.milestones: has no effect with train.schedule={train.schedule}; set train.schedule=step"
            )
        if train.prune_after is not None:
            self._check_pruning(train)
        if any(epochs % 1 or epochs >= train.epochs for epochs in train.extended):
            raise ValueError(
                f"train.extended: must be whole numbers below train.epochs={train.epochs}, got "
                f"{', '.join(f'{epochs:g}' for epochs in train.extended)}; leave it out to start a run"
            )

    def _check_pruning(self, train):
        if self.model.options.get("inner", 1) == 1:
            raise ValueError(
                f"train.prune_after={train.prune_after}: down to what? Set model.inner to the share of filters that is "
                "to be left, e.g. model.inner=0.5 (resnet_cifar has this option)"
            )
        if train.prune_after >= train.epochs:
            raise ValueError(
                f"train.prune_after={train.prune_after}: must be less than train.epochs={train.epochs}, or nothing is "
                "trained after the pruning; lower it"
            )
        if train.freeze is not None:
            raise ValueError(f"train.prune_after: does not go with train.freeze={train.freeze}; leave one out")

    def _check_task(self):
        named = SETS.get(self.data.name)
        if named is not None and named.boxes != (self.task == "detect"):
            raise ValueError(
                f"task: {self.data.name} has boxes, so that the task is to detect; set task=detect (--task detect)"
                if named.boxes
                else f"task: to detect takes pictures with boxes, and {self.data.name} has none; give "
                f"--data {' or '.join(name for name in SETS if SETS[name].boxes)}, or a folder in COCO's format"
            )
        for name in UNKNOWN_TO_DETECT if self.task == "detect" else ():
            value = getattr(self.train, name)
            if value != getattr(TrainConfig, name):
                raise ValueError(f"train.{name}: is for classifiers, and task=detect; leave it out, got {value}")

    def flat(self) -> dict[str, Any]:
        """Every key with its value: ``{"model.name": "ghostnet", ..., "seed": 0}``; the model's options among them."""
        flat = {}
        for section, part in (("model.", self.model), ("data.", self.data), ("train.", self.train), ("", self)):
            flat.update(
                {section + f.name: getattr(part, f.name) for f in dataclasses.fields(part) if "rule" in f.metadata}
            )
        flat.update({f"model.{name}": value for name, value in self.model.options.items()})
        return flat

    def to_dict(self) -> dict[str, Any]:
        """The tree as JSON knows it: dicts, lists, numbers, text, None."""
        tree: dict[str, Any] = {"model": {}, "data": {}, "train": {}}
        for key, value in self.flat().items():
            section, _, name = key.rpartition(".")
            (tree[section] if section else tree)[name] = list(value) if isinstance(value, tuple) else value
        return tree

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "Config":
        """Inverse of `to_dict`, with all checks."""
        config = cls._build({key: value for key, value in _flatten(tree).items() if value is not None}, {})
        config.check_together()
        return config

    @classmethod
    def load(cls, path: PathLike) -> "Config":
        """The configuration that a run saved; `path` is its ``config.json``. FormatError if it is not one."""
        try:
            tree = json.loads(read_regular(path, LARGEST))
            if not isinstance(tree, dict):
                raise ValueError(f"expected a JSON object, got {type(tree).__name__}")
            return cls.from_dict(tree)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{path}: not the configuration of a run: {error}") from error

    def replace(self, **values: Any) -> "Config":
        """A copy with top-level keys (`seed`, `threads`, `out`) or sections exchanged."""
        return dataclasses.replace(self, **values)


def keys() -> dict[str, dict[str, Any]]:
    """Every known key: ``{"train.epochs": {"rule": ..., "help": ..., "default": ...}, ...}``, in order."""
    sections = (("model.", ModelConfig), ("data.", DataConfig), ("train.", TrainConfig), ("", Config))
    return {
        section + f.name: {**f.metadata, "default": f.default}
        for section, part in sections
        for f in dataclasses.fields(part)
        if "rule" in f.metadata
    }


def with_whole_path(name: Any) -> Any:
    """A network's name; FILE.py:NAME with its path from the root, for a run may be loaded from another folder."""
    spec = own_code.parse(name) if isinstance(name, str) else None
    return name if spec is None else str(spec.absolute())


def _recipe(dataset, images, detects):
    if images is not None:
        recipe = (own_boxes if detects else own_images)(len(images), images.size)
    else:
        recipe = RECIPES.get(dataset, {}) if isinstance(dataset, str) else {}
    return {"data.name": dataset, **recipe}


def _for_network(recipe, name):
    """A recipe for another network than its own: without its network's options, and without a width if it has none.

    To detect, they are options of the detector, which is the same over another network; but that may lack a stride.
    """
    if name is None or name == recipe.get("model.name", ModelConfig.name):
        return recipe
    if recipe.get("task") == "detect":
        from minighost import models

        keep = name in models.detectors() or models.takes(name, "stem_stride")  # a detector is refused later
        return recipe if keep else {key: value for key, value in recipe.items() if key != "model.stem_stride"}
    foreign = {key for key in recipe if key.startswith("model.")} - {"model.width"}
    if "model.width" in recipe and isinstance(name, str) and own_code.parse(name) is not None:
        from minighost import models  # only now: reading a configuration imports nothing heavy

        foreign |= set() if models.takes(name, "width") else {"model.width"}
    return {key: value for key, value in recipe.items() if key not in foreign}


def _tuned(recipe, source, given):
    """A recipe with what suits pretrained weights; from a run its network, too, and for own images its size."""
    from minighost.train.start import settings_of

    network, name = settings_of(source), given.get("model.name")
    size = network.pop("data.size", None)
    if size is not None and not is_named(recipe["data.name"]):
        recipe = {**recipe, "data.size": size}
    if network and name in (None, network["model.name"]):
        recipe = {key: value for key, value in recipe.items() if not key.startswith("model.")} | network
    else:
        recipe = _for_network(recipe, name)
    return {**recipe, **fine_tuning(recipe)}


def _preset(name):
    if name not in PRESETS:
        raise unknown("", "preset", name, PRESETS)
    return PRESETS[name]


def _unknown(key, rules):
    key = key[:100]
    close = difflib.get_close_matches(key, rules, n=3, cutoff=0.6)
    if not close:  # perhaps only the section is wrong or missing
        close = [known for known in rules if known.rpartition(".")[2] == key.rpartition(".")[2]]
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"unknown key {key!r}; {hint}Known keys: {', '.join(rules)}, and model.OPTION for an option of the network"


def _read_toml(path):
    try:
        return _flatten(tomllib.loads(read_regular(path, LARGEST).decode("utf-8-sig")))
    except RecursionError as error:
        raise FormatError(f"{path}: not a TOML file of settings: its lists or tables are nested too deep") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not a TOML file: {error}") from error


def _flatten(tree):
    """``{"train": {"lr": 1}}`` to ``{"train.lr": 1}``, one level deep: no known key lies deeper."""
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update({f"{key}.{name}": inner for name, inner in value.items()})
        else:
            flat[key] = value
    return flat
