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
from minighost.train import optimizers
from minighost.train.recipes import PRESETS, RECIPES, fine_tuning, own_boxes, own_images
from minighost.train.settings import TASKS, DataConfig, ModelConfig, TrainConfig, setting
from minighost.train.values import Choice, Free, Text, Whole
from minighost.type_aliases import PathLike

__all__ = ["LARGEST", "Config", "keys", "with_whole_path"]

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
    task: str = setting("classify", Choice(*TASKS), "what is learnt: classes of images; or to detect things with boxes")
    seed: int = setting(0, Whole(0), "random seed of initial weights, order, augmentation and dropout")
    threads: int = setting(0, Whole(0), "number of threads; 0: one per core")
    out: str | None = setting(None, Text(none=True), "folder of the run; by default runs/DATA-MODEL, numbered")

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
