"""Whose names are whose: what other people call the parameters of our networks, and what shape they give them.

A table belongs to a class of `models` and to a source, "timm" or "torchvision". It says how our path of an array
becomes theirs. Everything about layouts follows from the array, but for what only the table can know. Every network
has the source "pytorch": our own names in PyTorch's layouts.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TypeVar

from minighost.nn import Module

__all__ = ["Table", "named_by", "table", "tables_of"]


class Table(NamedTuple):
    """How one source names the arrays of one family.

    Attributes
    ----------
    renames : tuple of (pattern, replacement)
        Regular expressions, applied in order to a whole path such as "stages.1.0.ghost1.primary.conv.weight".
    convolutions : str
        Pattern of our paths of linear layers that are 1x1 convolutions there.
    flattened : dict of str to int
        Paths of linear layers that follow a flattened plane, and the plane's channels: we flatten (H, W, C), they
        (C, H, W).
    absent : str
        Pattern of their names that have no counterpart here, beside ``num_batches_tracked``.
    """

    renames: tuple[tuple[str, str], ...]
    convolutions: str = r"(?!)"  # matches nothing
    flattened: dict[str, int] = {}
    absent: str = r"(?!)"

    def name(self, path: str) -> str:
        """Their name of an array of ours."""
        for pattern, replacement in self.renames:
            path = re.sub(pattern, replacement, path)
        return path


_Make = TypeVar("_Make", bound=Callable[..., Table])
_tables: dict[type, dict[str, Callable[..., Table]]] = {}


def named_by(source: str, kind: type) -> Callable[[_Make], _Make]:
    """Decorator: a function from a model of this class to its `Table` for a source; ValueError if there is none."""

    def add(function: _Make) -> _Make:
        _tables.setdefault(kind, {})[source] = function
        return function

    return add


def tables_of(model: Module) -> dict[str, Table]:
    """All tables for a model, by source."""
    found = {}
    for source, make in _makers(model).items():
        with suppress(ValueError):
            found[source] = make(model)
    return found


def _makers(model: Module) -> dict[str, Callable[..., Table]]:
    kind = next((kind for kind in type(model).__mro__ if kind in _tables), Module)
    return {"pytorch": _pytorch, **_tables.get(kind, {})}


def _pytorch(model: Module) -> Table:
    return Table(())


def table(asker: str, model: Module, source: str) -> Table:
    """The table for a model and a source.

    Raises
    ------
    ValueError
        There is none; the message says why, or lists those that there are.
    """
    makers = _makers(model)
    if source in makers:
        return makers[source](model)
    raise ValueError(
        f"{asker}: no table of names {source!r} for {type(model).__name__}; available: "
        f"{', '.join(map(repr, tables_of(model)))}, 'minighost'"
    )
