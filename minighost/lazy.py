"""Names of a package that are looked up on first use, so that importing the package loads nothing heavy."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(
    package: str, home: Mapping[str, str]
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """What a package needs to look its names up on first use.

    Parameters
    ----------
    package : str
        The package's ``__name__``.
    home : dict of str to str
        For each public name the module, below the package, that defines it; "" for a module itself.

    Returns
    -------
    all_names, getattribute, directory : list of str, function, function
        The package's ``__all__``, ``__getattr__`` and ``__dir__`` (PEP 562).

    Examples
    --------
    >>> names, getattribute, _ = lazy_names("minighost", {"threads": "ops", "models": ""})
    >>> names, getattribute("threads").__name__, getattribute("models").__name__
    (['models', 'threads'], 'threads', 'minighost.models')
    """

    def getattribute(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {', '.join(home)}")
        if not home[name]:
            return import_module(f"{package}.{name}")
        return getattr(import_module(f"{package}.{home[name]}"), name)

    return sorted(home), getattribute, lambda: sorted(home)
