"""Networks by name: ``create("ghostnet", width=0.5)``."""

from typing import Any

from minighost.nn.module import Module
from minighost.registry import Registry

__all__ = ["MODELS", "create", "names", "register"]

MODELS = Registry("models.create", "model")
register = MODELS.register


def names() -> list[str]:
    """Names that `create` knows, sorted."""
    return sorted(MODELS)


def create(name: str, **options: Any) -> Module:
    """Build a network.

    Parameters
    ----------
    name : str
        One of `names()`.
    **options
        Passed on to the network's class; each documents its own.

    Raises
    ------
    ValueError
        The name or an option is unknown (the message lists those available), or an option is of a kind that the
        network cannot use.
    """
    return MODELS.create(name, **options)
