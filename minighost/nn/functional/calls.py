"""Whether a layer may leave work for the next one: a module has called it, and nobody has switched fusing off."""

import contextlib
import threading
from contextvars import ContextVar

__all__ = ["calls", "fuses", "fusing"]

_fusing = ContextVar("fusing", default=True)


class _Calls(threading.local):
    """How many modules this Python thread is calling, one inside the other."""

    depth = 0


calls = _Calls()


@contextlib.contextmanager
def fusing(on):
    """Choose for a block of code whether layers leave work for the next one (the default) or each returns an array.

    It holds for the Python thread that runs the block.
    """
    before = _fusing.get()
    _fusing.set(bool(on))
    try:
        yield
    finally:
        _fusing.set(before)


def fuses():
    """Whether a layer may return something lazy now."""
    return calls.depth > 1 and _fusing.get()
