"""A debug switch: whether an array that a backward needs was changed in place since its forward.

A layer keeps its input, not a copy. ``x += 1`` between forward and backward makes the gradient wrong, silently. Inside
``with checking():``, or with ``MINIGHOST_DEBUG=1`` in the environment, each call of a module notes a checksum of the
arrays that it keeps, and its backward compares.
"""

import contextlib
import os
import zlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np

from minighost.nn.functional.values import Lazy

__all__ = ["checking", "compare", "is_on", "remember"]

_checking = ContextVar("checking", default=os.environ.get("MINIGHOST_DEBUG", "0") not in ("", "0"))


@contextlib.contextmanager
def checking(on: bool = True) -> Iterator[None]:
    """Choose for a block of code whether arrays that a backward needs are watched for changes.

    Off by default: the checksums cost another pass over everything that is kept.

    Examples
    --------
    >>> from minighost import nn
    >>> layer, x = nn.Linear(2, 1, rng=0), np.ones((3, 2), np.float32)
    >>> with nn.checking():
    ...     dout = layer(x)
    >>> x += 1
    >>> layer.backward(dout)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    RuntimeError: Linear backward: an array (3, 2) of float32 that it kept was changed in place after the forward...
    """
    before = _checking.get()
    _checking.set(bool(on))
    try:
        yield
    finally:
        _checking.set(before)


def is_on() -> bool:
    """Whether forwards take checksums."""
    return _checking.get()


class _Fingerprints(NamedTuple):
    cache: object
    sums: list
    paths: list  # its last is the layer's path in the outermost module that was called


def remember(module):
    """Take the checksums of what a module keeps for its backward; called after its forward."""
    sums = [(array, _checksum(array)) for array in _arrays(module._cache)]
    module._fingerprints = _Fingerprints(module._cache, sums, [])
    for path, inner in module.named_modules():
        if inner._fingerprints is not None:
            inner._fingerprints.paths.append(path)


def compare(module):
    """Raise RuntimeError if an array that a module keeps is not what it was after the forward."""
    cache, sums, paths = module._fingerprints
    if cache is not module._cache:  # its forward ran once more, without a call
        return
    for array, before in sums:
        if _checksum(array) != before:
            kind = type(module).__name__
            raise RuntimeError(
                f"{f'{paths[-1]} ({kind})' if paths[-1] else kind} backward: an array {array.shape} of {array.dtype} "
                "that it kept was changed in place after the forward, so its gradients would be wrong; change a copy "
                "(x = x + 1 in place of x += 1), or later"
            )


def _arrays(value):
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from _arrays(one)
    elif isinstance(value, Lazy):
        yield from _arrays(list(vars(value).values()))


def _checksum(array):
    return zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data)
