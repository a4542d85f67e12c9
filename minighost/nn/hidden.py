"""Modules and parameters in a Python list, tuple, dict or set: nobody would train, save or switch them."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

from minighost.nn.parameter import Held

__all__ = ["contained", "refusal"]

CONTAINERS = (list, tuple, dict, set, frozenset)
MOST, DEEPEST = 1000, 8  # things in a container that are looked at, containers in one another


def contained(value: Any, depth: int = DEEPEST) -> Iterator[Any]:
    """Yield the modules, parameters and buffers in a container and in the containers inside it."""
    for one in islice(value.values() if isinstance(value, dict) else value, MOST):
        if isinstance(one, CONTAINERS):
            if depth:
                yield from contained(one, depth - 1)
        elif isinstance(one, Held) or hasattr(type(one), "named_children"):
            yield one


def refusal(module: Any, known: Collection[int]) -> str:
    """What to say of a module one of whose containers holds something that is not `known` (ids); "" if none does."""
    for name, value in list(vars(module).items()):
        if isinstance(value, CONTAINERS) and name not in module._seen_through:
            if any(id(one) not in known for one in contained(value)):
                return (
                    f"{type(module).__name__}.{name} is a {type(value).__name__} of modules or parameters: what is in "
                    f"it is neither trained nor saved nor switched between training and evaluation; write "
                    f"self.{name} = nn.ModuleList(...), or give each an attribute of its own"
                )
    return ""
