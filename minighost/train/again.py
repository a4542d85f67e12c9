"""How a network that somebody has made in Python can be made again, for the run that keeps its weights."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minighost.nn.initial import without_weights
from minighost.nn.module import Module
from minighost.train.config import Config
from minighost.train.settings import ModelConfig

__all__ = ["made_again"]


def made_again(model: Module, num_classes: int) -> ModelConfig:
    """The name and options from which `models.create` makes a network of the same layers and shapes.

    It is tried: `models.create` is called, for a network of `models.create` with the same options; for a class at the
    top of an imported file as ``FILE.py:CLASS``, which runs the file once more. Where none of them makes the same
    network, its class's name stands alone, under which nothing is found.
    """
    from minighost import models

    for name, options in _ways(model):
        chosen = ModelConfig(name, options.pop("width", None), options)
        try:
            Config.from_dict(Config(model=chosen).to_dict())  # only plain values can be kept
            with without_weights():
                other = models.create(name, num_classes=num_classes, rng=0, **chosen.given())
        except Exception:  # whatever a learner's file does
            continue
        if _structure(other) == _structure(model):
            return chosen
    return ModelConfig(type(model).__name__)


def _ways(model: Module) -> Iterator[tuple[str, dict[str, Any]]]:
    from minighost import models

    if made := models.made_by(model):
        name, options = made
        yield name, {key: value for key, value in options.items() if key not in ("num_classes", "rng")}
    kind = type(model)
    home = sys.modules.get(kind.__module__)
    top = home is not None and getattr(home, kind.__name__, None) is kind
    if top and kind.__module__ != "__main__" and not kind.__module__.startswith("minighost."):
        file = inspect.getsourcefile(kind)
        if file is not None and Path(file).suffix == ".py":
            yield f"{Path(file).absolute()}:{kind.__name__}", {}


def _structure(model: Module) -> list[Any]:
    layers = [(path, type(module).__name__) for path, module in model.named_modules()]
    return layers + [(path, parameter.shape) for path, parameter in model.named_parameters()]
