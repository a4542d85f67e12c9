"""Networks by name: ``create("ghostnet", width=0.5)``."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from minighost.models.features import Features
from minighost.nn.module import Module
from minighost.registry import Registry

__all__ = ["ABOUT", "MODELS", "About", "create", "names", "register"]

MODELS = Registry("models.create", "model")
_Entry = TypeVar("_Entry", bound=Callable[..., Module])


class About(NamedTuple):
    """What a table of networks says of one.

    Attributes
    ----------
    year : int
    idea : str
        In five words or so.
    paper : str
        Authors and where to find it.
    side : int
        Pixels of the side of a small image that it can be trained on, for those who only try it out.
    """

    year: int
    idea: str
    paper: str
    side: int


ABOUT: dict[str, About] = {}


def register(
    name: str, *, year: int = 0, idea: str = "", paper: str = "", like: str = "", side: int = 16
) -> Callable[[_Entry], _Entry]:
    """Decorator: make a class or function known under a name.

    Parameters
    ----------
    name : str
    year, idea, paper, side
        See `About`.
    like : str
        The name of a network that was registered before, whose year, idea and paper these are too.
    """
    about = ABOUT[like]._replace(side=side) if like else About(year, idea, paper, side)

    def add(entry: _Entry) -> _Entry:
        MODELS[name], ABOUT[name] = entry, about
        return entry

    return add


def names() -> list[str]:
    """Names that `create` knows, sorted."""
    return sorted(MODELS)


def create(name: str, features_only: bool | Sequence[int] = False, **options: Any) -> Module:
    """Build a network.

    Parameters
    ----------
    name : str
        One of `names()`.
    features_only : bool or sequence of int
        Its maps at strides 4, 8, 16 and 32, or at those given, in place of logits; see `Features`.
    **options
        Passed on to the network's class; each documents its own.

    Raises
    ------
    ValueError
        The name or an option is unknown (the message lists those available), or an option is of a kind that the
        network cannot use.
    """
    model = MODELS.create(name, **options)
    return model if features_only is False else Features(model, features_only)
