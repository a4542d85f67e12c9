"""Memory that is kept from step to step.

A training step asks for the same arrays again and again. Fresh memory costs a page fault every 4 KiB, which on large
activations takes longer than the arithmetic. So `empty` hands out blocks from a pool, and takes a block back as soon
as nobody else refers to it - Python's own reference count tells. An array that a caller still holds, or a view
of it, is therefore never handed out twice: what looks like `np.empty` behaves like `np.empty`. In several Python
threads, too: one at a time looks for a block, and has it before the next one looks.
"""

import math
import os
import sys
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["empty", "pool_bytes", "release_pool", "workspace", "zeros"]

_SMALL = 1 << 15  # bytes; below that the C allocator is as quick
_ALIGN = 64  # a cache line, and the widest vector register
_lock = threading.RLock()  # a collection of garbage in the midst of it may ask for memory, too
_blocks: dict[int, list[tuple[np.ndarray, int]]] = {}  # size in bytes -> blocks of it, each with its first aligned byte


def empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """`np.empty` from the pool: uninitialised, C-contiguous, aligned to 64 bytes."""
    dtype = np.dtype(dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < _SMALL:
        return np.empty(shape, dtype)
    block, start = _free_block(_size_class(nbytes))
    return block[start : start + nbytes].view(dtype).reshape(shape)


def zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """`np.zeros` from the pool."""
    out = empty(shape, dtype)
    out.fill(0)
    return out


class _Arena(threading.local):
    """Working memory of this Python thread, and how it has been divided so far."""

    block = np.empty(0, np.uint8)

    def __init__(self):
        self.divided = {}


_arena = _Arena()


def workspace(dtype: npt.DTypeLike, *shapes: tuple[int, ...]) -> list[npt.NDArray[Any]]:
    """Uninitialised arrays for the next kernel to work in; the next call of `workspace` hands out the same memory.

    Parameters
    ----------
    dtype : dtype
        Of all of them.
    *shapes : tuple of int

    Returns
    -------
    list of ndarray
        Aligned like those of `empty`. They are made once for each combination of shapes.
    """
    key = (dtype, shapes)
    arrays = _arena.divided.get(key)
    if arrays is None:
        arrays = _divide(np.dtype(dtype), shapes)
        _arena.divided[key] = arrays
    return arrays


def _divide(dtype, shapes):
    sizes = [-(-math.prod(shape) * dtype.itemsize // _ALIGN) * _ALIGN for shape in shapes]
    if sum(sizes) + _ALIGN > _arena.block.size or len(_arena.divided) > 1 << 12:
        _arena.block, _arena.divided = np.empty(max(sum(sizes) + _ALIGN, _arena.block.size), np.uint8), {}
    arrays, first = [], -_arena.block.ctypes.data % _ALIGN
    for shape, size in zip(shapes, sizes, strict=True):
        count = math.prod(shape) * dtype.itemsize
        arrays.append(_arena.block[first : first + count].view(dtype).reshape(shape))
        first += size
    return arrays


def pool_bytes() -> int:
    """Bytes the pool holds, in use or free."""
    with _lock:
        return sum(size * len(blocks) for size, blocks in _blocks.items())


def release_pool() -> None:
    """Give all memory back that no array uses any more."""
    with _lock:
        _arena.block, _arena.divided = np.empty(0, np.uint8), {}
        for size, blocks in _blocks.items():
            _blocks[size] = [(block, start) for block, start in blocks if _references(block) > _IDLE]


def _size_class(nbytes):
    """Round up to one of four sizes per power of two, so that arrays of similar size can share a block."""
    step = 1 << max(12, (nbytes + _ALIGN).bit_length() - 3)
    return -(-(nbytes + _ALIGN) // step) * step


def _free_block(size):
    with _lock:
        blocks = _blocks.setdefault(size, [])
        for block, start in blocks:
            if _references(block) <= _IDLE:
                return block, start
        block = np.empty(size, np.uint8)
        blocks.append((block, -block.ctypes.data % _ALIGN))
        return blocks[-1]


def _references(block):
    return sys.getrefcount(block)


def _references_of_an_idle_block():
    for block, _ in [(np.empty(0, np.uint8), 0)]:
        return _references(block)


_IDLE = _references_of_an_idle_block()  # measured, for it differs between Python versions


def _new_lock():
    """In a forked child: whoever held the old one is not there."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_new_lock)
