"""Networks by name: ``create("ghostnet", width=0.5)``, or ``create("my.py:Net")``."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from minighost.models import own
from minighost.models.features import Features
from minighost.nn.module import Module
from minighost.registry import Registry

__all__ = [
    "ABOUT",
    "DETECTORS",
    "MODELS",
    "About",
    "check_options",
    "create",
    "detectors",
    "made_by",
    "names",
    "register",
    "takes",
]

MODELS = Registry("models.create", "model")  # images to logits
DETECTORS = Registry("models.create", "detector")  # images to logits and offsets of many boxes
DETECTOR_NAMES = "ghostnet_retinanet", "retinanet"  # of `minighost.detect`, which registers them when it is opened
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
_made: WeakKeyDictionary[Module, tuple[str, dict[str, Any]]] = WeakKeyDictionary()


def register(
    name: str,
    *,
    year: int = 0,
    idea: str = "",
    paper: str = "",
    like: str = "",
    side: int = 16,
    table: Registry = MODELS,
) -> Callable[[_Entry], _Entry]:
    """Decorator: make a class or function known under a name.

    Parameters
    ----------
    name : str
    year, idea, paper, side
        See `About`.
    like : str
        The name of a network that was registered before, whose year, idea and paper these are too.
    table : Registry
        `MODELS`, or `DETECTORS` for one that returns classes and boxes.
    """
    about = ABOUT[like]._replace(side=side) if like else About(year, idea, paper, side)

    def add(entry: _Entry) -> _Entry:
        table[name], ABOUT[name] = entry, about
        return entry

    return add


def names() -> list[str]:
    """Names of the networks that `create` knows, sorted; without `detectors`."""
    return sorted(MODELS)


def detectors() -> list[str]:
    """Names of the detectors that `create` knows, sorted."""
    return sorted(DETECTOR_NAMES)


def _table(name: str) -> Registry:
    if name not in DETECTOR_NAMES:
        return MODELS
    import_module("minighost.detect")
    return DETECTORS


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Errors as `create`, where name and options are what is wrong, without building the network."""
    spec, options = own.spec_of(name), {key: value for key, value in options.items() if key != "features_only"}
    if spec is None:
        _table(name).check(name, options)
    else:
        own.check_options(own.entry(spec), str(spec), options)


def takes(name: str, option: str) -> bool:
    """Whether a network, registered or of your own, takes an option; errors as `create`."""
    spec = own.spec_of(name)
    if spec is None:
        return option in _table(name).takes(name)
    return own.takes(own.entry(spec), option)


def create(name: str, features_only: bool | Sequence[int] = False, **options: Any) -> Module:
    """Build a network.

    Parameters
    ----------
    name : str
        One of `names()` or `detectors()`; or ``FILE.py:NAME`` for a class or function in a file of your own, which is
        run (``docs/own-networks.md``).
    features_only : bool or sequence of int
        Its maps at strides 4, 8, 16 and 32, or at those given, in place of logits; see `Features`.
    **options
        Passed on to the network's class; each documents its own. A network of your own need not take ``num_classes``
        and ``rng``.

    Raises
    ------
    ValueError
        The name or an option is unknown (the message lists those available), or an option is of a kind that the
        network cannot use; a file of your own raises, or holds no such network.
    OSError, FormatError
        A file of your own cannot be read.
    """
    spec = own.spec_of(name)
    if spec is None:
        model = _table(name).create(name, **options)
    else:
        model = own.create(own.entry(spec), str(spec), options)
    if features_only is not False:
        return Features(model, features_only)
    _made[model] = name, options
    return model


def made_by(model: Module) -> tuple[str, dict[str, Any]] | None:
    """Name and options with which `create` has made a network; None if something else has."""
    return _made.get(model)
