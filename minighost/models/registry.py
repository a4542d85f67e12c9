"""Networks by name: ``create("ghostnet", width=0.5)``."""

import difflib
import inspect

__all__ = ["create", "names", "register"]

_builders: dict = {}


def register(builder):
    """Make a class or function available under its name in lower case; returns it, so it serves as a decorator."""
    _builders[builder.__name__.lower()] = builder
    return builder


def names():
    """Names that `create` knows, sorted."""
    return sorted(_builders)


def create(name, **options):
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
    if name not in _builders:
        raise ValueError(
            f"models.create: unknown model {name!r}{_nearest(name, _builders)}; available: {', '.join(names())}"
        )
    known = list(inspect.signature(_builders[name]).parameters)
    for option in options:
        if option not in known:
            raise ValueError(
                f"models.create: {name} has no option {option!r}{_nearest(option, known)}; it takes {', '.join(known)}"
            )
    try:
        return _builders[name](**options)
    except (ArithmeticError, AttributeError, LookupError, NameError) as error:  # whatever a list for a number leads to
        raise ValueError(f"models.create: {name} cannot be built with {options}: {error}") from error


def _nearest(word, words):
    close = difflib.get_close_matches(word, words, 1)
    return f" (did you mean {close[0]!r}?)" if close else ""
