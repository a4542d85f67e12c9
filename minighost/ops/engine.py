"""One pool of threads: Numba's.

A matrix product inside a `prange` loop runs on one BLAS thread; all parallelism is the loop's. Two spinning thread
pools on the same cores (OpenMP and BLAS) are several times slower than either, so BLAS is held to a single thread for
the whole process as soon as the first kernel runs.

`kernel` marks a function that owns a `prange` loop, `tile` the straight-line code that such a loop calls for one tile.
Both compile on first use, are cached on disk, and are plain Python under ``NUMBA_DISABLE_JIT=1``. They follow two
rules: every output element has one writer, and tile bounds depend on shapes alone - so results are the same bits for
any number of threads.
"""

import contextlib
import functools
import hashlib
import os
from pathlib import Path

# A thread that spins while it waits for another keeps the core from the very thread it waits for: on a busy machine a
# step then takes many times longer. One that sleeps wakes up late. So: spin briefly, then sleep. GNU's OpenMP reads
# this once, when Numba loads it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")

import numba  # noqa: E402
from numba import njit  # noqa: E402

__all__ = ["kernel", "threads", "tile"]

# Fused multiply-adds are safe for NaN; the flags that assume there is none are not used.
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


def tile(function):
    """Compile the work on one tile, to be called from a `kernel` of the same file."""
    return _compile(function, **_OPTIONS)


def kernel(function):
    """Compile a function whose `prange` loop runs over tiles; the Python wrapper sees to the threads first."""
    compiled = _compile(function, parallel=True, **_OPTIONS)

    @functools.wraps(function)
    def launch(*args):
        _hold_blas()
        return compiled(*args)

    launch.compiled = compiled  # where its `signatures` can be counted
    return launch


def _compile(function, **options):
    if os.environ.get("MINIGHOST_CACHE", "1") == "0":
        return njit(**options)(function)
    try:
        with _cache_folder():
            return njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package folder nor the user's home can be written to
        return njit(**options)(function)


@contextlib.contextmanager
def _cache_folder():
    """Cache in a folder of this version's own: Numba sees changes in a kernel's file, but not in a callee's."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_kernels_folder() or before)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


@functools.cache
def _kernels_folder():
    """``NUMBA_CACHE_DIR``, else the package's __pycache__, else the user's cache; in it the stamp of the sources."""
    ops = Path(__file__).parent
    stamp = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(ops.rglob("*.py")))).hexdigest()[:12]
    places = [Path(numba.config.CACHE_DIR)] if numba.config.CACHE_DIR else [ops.parent / "__pycache__", _user_cache()]
    for folder in (place / f"kernels-{stamp}" for place in places):
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
    return None


def _user_cache():
    import pooch

    return Path(pooch.os_cache("minighost"))


@functools.cache
def _hold_blas():
    """Limit every loaded BLAS to one thread, once; SciPy's has to be loaded first, for Numba takes products from it."""
    import scipy.linalg.cython_blas  # noqa: F401
    import threadpoolctl

    # Kept alive by the cache: the limits would be lifted when the object is collected.
    return threadpoolctl.threadpool_limits(1, user_api="blas")


class threads:
    """Show or set the number of threads that kernels use; BLAS stays at one.

    Parameters
    ----------
    n : int, optional
        1 to the ceiling that Numba took at import (the number of cores, or ``NUMBA_NUM_THREADS``).
        Without it nothing changes.

    Raises
    ------
    ValueError
        If `n` is out of range.

    Examples
    --------
    >>> threads(1).count
    1
    >>> with threads(1):    # for a block; the earlier number comes back behind it
    ...     pass
    """

    def __init__(self, n=None):
        ceiling = numba.config.NUMBA_NUM_THREADS
        self._before = numba.get_num_threads()
        if n is not None:
            if not 1 <= n <= ceiling:
                raise ValueError(
                    f"threads: n={n} must lie between 1 and {ceiling}, the cores Numba found; "
                    "NUMBA_NUM_THREADS in the environment raises the ceiling"
                )
            _hold_blas()
            numba.set_num_threads(int(n))

    @property
    def count(self):
        """The number of threads now."""
        return numba.get_num_threads()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        numba.set_num_threads(self._before)

    def __repr__(self):
        return f"threads({self.count}), BLAS 1"
