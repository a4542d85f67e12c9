"""Whether a layer may leave work for the next one: a module has called it, and nobody has switched fusing off."""

import contextlib
import threading
from collections.abc import Iterator
from contextvars import ContextVar

__all__ = ["calls", "fuses", "fusing", "fusing_is_on"]

_fusing = ContextVar("fusing", default=True)


class _Calls(threading.local):
    """Of one Python thread.

    Attributes
    ----------
    depth : int
        How many modules it is calling, one inside the other.
    folds : bool
        Whether the next one may answer by the fold that it keeps.
    by_layers : bool
        None may.
    """

    depth, folds, by_layers = 0, False, False


calls = _Calls()


@contextlib.contextmanager
def fusing(on: bool) -> Iterator[None]:
    """Choose for a block of code whether layers leave work for the next one (the default) or each returns an array.

    Where each returns an array, a model in evaluation does not answer by its fold either.

    It holds for the Python thread that runs the block.
    """
    before = _fusing.get()
    _fusing.set(bool(on))
    try:
        yield
    finally:
        _fusing.set(before)


def fusing_is_on() -> bool:
    """Whether nobody has switched it off."""
    return _fusing.get()


def fuses() -> bool:
    """Whether a layer may return something lazy now."""
    return calls.depth > 1 and _fusing.get()
