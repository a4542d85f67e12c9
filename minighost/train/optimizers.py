"""Optimizers by name: ``create("sgd", model.parameters(), lr=0.1, momentum=0.9)``."""

from collections.abc import Mapping
from typing import Any

from minighost.registry import Registry
from minighost.train.muon import Muon
from minighost.train.optim import SGD, AdamW, Optimizer, Parameters

__all__ = ["OPTIMIZERS", "create", "names", "options"]

OPTIMIZERS = Registry("train.optimizers.create", "optimizer", sgd=SGD, adamw=AdamW, muon=Muon)


def names() -> tuple[str, ...]:
    """Names that `create` knows."""
    return tuple(OPTIMIZERS)


def create(name: str, params: Parameters, lr: float, **options: Any) -> Optimizer:
    """Build an optimizer.

    Parameters
    ----------
    name : str
        One of `names()`.
    params : iterable of Parameter or of groups
        See `Optimizer`.
    lr : float
    **options
        Passed on to the optimizer's class; each documents its own.

    Raises
    ------
    ValueError
        The name or an option is unknown (the message lists those available), or an option is out of range.
    """
    return OPTIMIZERS.create(name, params, lr=lr, **options)


def options(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `settings`, a dict, that the optimizer takes; the rate and the decay, which belong to its groups, apart.

    Returns
    -------
    dict
    """
    own = set(OPTIMIZERS.takes(name)) - {"params", "lr", "weight_decay"}
    return {key: value for key, value in settings.items() if key in own}
