"""Which network a run has at a given point of it, if its filters are to be pruned on the way (`train.prune_after`)."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from minighost.train.config import Config

__all__ = ["network_at", "unpruned"]


def unpruned(config: Config) -> Config:
    """The configuration with the network that training begins with: all filters are there."""
    if config.train.prune_after is None:
        return config
    options = {name: value for name, value in config.model.options.items() if name != "inner"}
    return config.replace(model=dataclasses.replace(config.model, options=options))


def network_at(config: Config, progress: Mapping[str, Any]) -> Config:
    """The configuration with the network that a checkpoint with ``{"epoch": ..., "step": ...}`` is of.

    The filters go before the first step of an epoch; what was saved at the end of the one before still has them.
    """
    after = config.train.prune_after
    pruned = after is not None and (progress["epoch"], progress["step"]) > (after, 0)
    return config if pruned else unpruned(config)
