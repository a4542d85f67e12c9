"""A limit on how many weights a network may have, while it is built from a description that may come from a stranger.

A file of a kilobyte can describe a network of terabytes. Layers ask here before they make their weights.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["and_more", "at_most", "count"]

_left: ContextVar[int | None] = ContextVar("weights that may still be made", default=None)


@contextmanager
def at_most(weights: int) -> Iterator[None]:
    """Within the block layers with more than `weights` weights in all raise ValueError instead of being made."""
    token = _left.set(weights)
    try:
        yield
    finally:
        _left.reset(token)


@contextmanager
def and_more(weights: int) -> Iterator[None]:
    """Within the block `weights` more may be made, and none counts: for layers of which some are dropped at once."""
    left = _left.get()
    token = _left.set(None if left is None else left + weights)
    try:
        yield
    finally:
        _left.reset(token)


def count(shape: tuple[int, ...]) -> None:
    """Count the weights of `shape` that are about to be made."""
    left = _left.get()
    if left is None:
        return
    wanted = math.prod(shape)
    if wanted > left:
        raise ValueError(
            f"the network has more weights than there are values: {wanted:,} of {shape}, and {left:,} are left"
        )
    _left.set(left - wanted)
