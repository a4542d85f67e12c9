"""What this machine attains at best: how many operations per second, how many bytes per second.

A piece of work with F operations and B bytes cannot take less than ``max(F / peak, B / bandwidth)`` - the roofline
(Williams, Waterman & Patterson 2009). Both roofs are measured, not looked up: the peak by matrix products in single
precision, those of the kernels (`engine.gemm`); the bandwidth by a copy and a triad ``a = b + s*c``
(McCalpin 1995, STREAM) on arrays well over the last-level cache. Work on smaller arrays stays in cache and may beat it.

The copy is the C library's, which writes past the caches. The triad is a compiled loop, so its output is read into the
cache before it is written, as a kernel's is; these bytes are not counted. Each thread makes one call for all of its
numbers: in blocks, NumPy's calls would be so short that the threads waited for Python's lock most of the time.
"""

import functools
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minighost import ops
from minighost.engine.gemm import gemm
from minighost.engine.launch import kernel, share, spans, tile

__all__ = ["Roofline", "measure_roofline", "roofline_here"]

SIZES = (96, 128, 256, 384)  # of square matrices; which one is quickest depends on caches and clock


@dataclass(frozen=True)
class Roofline:
    """The two roofs.

    Attributes
    ----------
    flops : float
        Operations per second of the quickest matrix product.
    copy, triad : float
        Bytes per second, those read and those written.
    threads : int
    array_bytes : int
        All arrays of the bandwidth measurement together.
    cache_bytes : int
        The last-level cache, as far as it is known.

    Examples
    --------
    >>> roof = Roofline(flops=100.0, copy=10.0, triad=8.0, threads=1)
    >>> roof.seconds(flops=200, nbytes=10), roof.seconds(flops=20, nbytes=40), roof.attainable(4.0)
    (2.0, 4.0, 40.0)
    """

    flops: float
    copy: float
    triad: float
    threads: int
    array_bytes: int = 0
    cache_bytes: int = 0

    @property
    def bandwidth(self):
        """Bytes per second: the better of copy and triad."""
        return max(self.copy, self.triad)

    def attainable(self, intensity):
        """Operations per second at `intensity` operations per byte: ``min(peak, bandwidth * intensity)``."""
        return min(self.flops, self.bandwidth * intensity)

    def seconds(self, flops, nbytes):
        """The least that work of `flops` operations on `nbytes` bytes can take."""
        return max(flops / self.flops, nbytes / self.bandwidth)

    def least(self, pieces):
        """The least that pieces of work (`cost.Piece`) can take one after the other."""
        return sum(self.seconds(piece.flops, piece.bytes) for piece in pieces)


@functools.cache
def roofline_here(threads):
    """`measure_roofline`, once in a process for each number of threads."""
    return measure_roofline(threads)


def measure_roofline(threads, sizes=SIZES, nbytes=None, repeats=5):
    """Measure both roofs; takes a second or two.

    Parameters
    ----------
    threads : int
        Of both measurements.
    sizes : sequence of int
        Sides of the square matrices, of which the best counts.
    nbytes : int, optional
        All arrays of the bandwidth measurement; by default four times the last-level cache, but no more than an eighth
        of the memory that is free.
    repeats : int
        Tries, of which the best counts.

    Returns
    -------
    Roofline

    Raises
    ------
    ValueError
        If `threads` is out of range.
    """
    cache = _last_level_cache()
    nbytes = min(4 * cache, _free_memory() // 8) if nbytes is None else nbytes
    with ops.threads(threads), ThreadPoolExecutor(threads) as pool:
        flops = max(_products_rate(threads, size, repeats) for size in sizes)
        copy, triad, total = _bandwidths(pool, threads, nbytes, repeats)
    return Roofline(flops, copy, triad, threads, total, cache)


def _products_rate(threads, size, repeats):
    """Operations per second of products of two (size, size) matrices, each thread with its own matrices."""
    a, b = np.random.default_rng(0).random((2, threads, size, size), np.float32)
    out, seconds = np.empty_like(a), []
    products = max(1, round(2e9 / size**3))  # tens of milliseconds, for threads take time to wake
    for _ in range(repeats + 1):  # the first compiles
        start = time.perf_counter()
        _products(a, b, products, out, n_threads=threads)
        seconds.append(time.perf_counter() - start)
    return threads * products * 2 * size**3 / min(seconds)


@kernel
def _products(work, a, b, count, out):
    for t in share(work, len(out)):
        for _ in range(count):
            gemm(a[t], False, b[t], False, out[t])


def _bandwidths(pool, threads, nbytes, repeats):
    """Bytes per second of a copy and of a triad, and the bytes of all arrays."""
    length = max(1, nbytes // (3 * 4 * threads))
    # Each thread touches its own arrays first: on a machine with several memories they then lie in the nearest.
    arrays = list(pool.map(lambda _: [np.full(length, 0.5, np.float32) for _ in range(3)], range(threads)))

    def copy(own):
        np.copyto(own[0], own[1])

    def triad(own):
        _triad(*own, n_threads=1)  # the pool's threads, for each must find its own arrays

    one = 4 * length * threads
    rates = [n * one / _best(pool, work, arrays, repeats) for n, work in ((2, copy), (3, triad))]
    return *rates, 3 * one


@kernel
def _triad(work, a, b, c):
    for first, last in spans(work, len(a), 1):
        _multiply_add(a[first:last], b[first:last], c[first:last])


@tile
def _multiply_add(a, b, c):
    for i in range(len(a)):
        a[i] = b[i] + np.float32(0.5) * c[i]


def _best(pool, work, shares, repeats):
    """Seconds of the quickest try at doing all shares at once."""
    times = []
    for _ in range(repeats + 1):  # the first wakes the threads
        start = time.perf_counter()
        list(pool.map(work, shares))
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _last_level_cache(folder="/sys/devices/system/cpu/cpu0/cache", otherwise=32 << 20):
    """Bytes of the largest cache that Linux reports; elsewhere what most machines have."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    found = []
    for file in Path(folder).glob("index*/size"):
        text = file.read_text(encoding="ascii").strip()
        if text[:-1].isdigit() and text[-1] in units:
            found.append(int(text[:-1]) * units[text[-1]])
    return max(found, default=otherwise)


def _free_memory(otherwise=4 << 30):
    """Bytes of free memory, of all memory where the system does not tell which is free."""
    for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"):
        if name in getattr(os, "sysconf_names", {}):
            return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
    return otherwise
