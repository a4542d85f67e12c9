"""One pool of threads: Numba's.

`kernel` marks a function whose iterations the threads share, `tile` straight-line code that kernels call:

    @kernel
    def _double(work, x, out):
        for first, last in spans(work, len(x), 1):
            for i in range(first, last):
                out[i] = 2 * x[i]

    _double(x, out)     # every thread runs the function, and each takes from `work` what is next

So a thread that is held up leaves the rest to the others. Kernels follow two rules: every output element has one
writer, and what one turn does depends on shapes alone - so results are the same bits for any number of threads.
A matrix product in a kernel runs on one BLAS thread; all parallelism is the kernel's. Two spinning thread pools on the
same cores (OpenMP and BLAS) are several times slower than either, so BLAS is held to a single thread for the whole
process as soon as the first kernel runs. Under ``NUMBA_DISABLE_JIT=1`` kernels are plain Python on one thread.
"""

import contextlib
import functools
import gc
import hashlib
import os
import time
from pathlib import Path

# A thread that spins while it waits for another keeps the core from the very thread it waits for: on a busy machine a
# step then takes many times longer. One that sleeps wakes up late. So: spin briefly, then sleep. GNU's OpenMP reads
# this once, when Numba loads it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")

import numba  # noqa: E402
import numpy as np  # noqa: E402
from numba import njit  # noqa: E402
from numba.core.caching import FunctionCache  # noqa: E402

from minighost.ops.cores import suitable  # noqa: E402
from minighost.ops.linked import linked_only
from minighost.ops.parallel import on_all_threads, share, spans, ticket  # noqa: E402

__all__ = ["kernel", "kernels_folder", "share", "spans", "threads", "ticket", "tile", "watching"]

# Fused multiply-adds are safe for NaN; the flags that assume there is none are not used.
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


def tile(function):
    """Compile the work on one tile, to be called from a `kernel` and from there only: Python has no way in."""
    compiled = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)
    return compiled if numba.config.DISABLE_JIT else linked_only(compiled)


def kernel(function):
    """Compile a function that every thread runs, and give it back as one that is called without `work`."""
    if numba.config.DISABLE_JIT:
        plain = functools.wraps(function)(lambda *args: function(np.zeros(1, np.int64), *args))
        plain.__func__ = function  # here pdb looks for what `break minighost.ops....` should stop in
        return plain
    body = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)

    @njit(nogil=True, no_cfunc_wrapper=True)
    def on_threads(threads, *args):
        return on_all_threads(body, threads, args)

    on_threads.compile = _lightly(on_threads.compile)
    _cache(on_threads, function)

    @functools.wraps(function)
    def launch(*args):
        _start()
        note, start = _state.note, time.perf_counter()
        if on_threads(_state.threads, np.zeros(1, np.int64), *args):
            raise RuntimeError(
                f"{function.__module__}.{function.__name__}: an error in a compiled kernel, most likely an index out "
                "of bounds; NUMBA_DISABLE_JIT=1 shows where"
            )
        if note is not None:
            note(function, args, time.perf_counter() - start)

    launch.compiled = on_threads  # where its `signatures` can be counted
    return launch


def _lightly(compile_now):
    """LLVM's first level already vectorises loops here; levels 2 and 3 compile longer for code as quick."""

    @functools.wraps(compile_now)
    def compile_lightly(signature):
        level, numba.config.OPT = numba.config.OPT, min(1, numba.config.OPT)
        collecting = gc.isenabled()
        gc.disable()  # the compiler makes millions of small objects, none of which is garbage yet
        try:
            return compile_now(signature)
        finally:
            numba.config.OPT = level
            if collecting:
                gc.enable()

    return compile_lightly


def _cache(dispatcher, function):
    """Keep compiled code on disk under the name of the kernel, if there is a place for it."""
    if os.environ.get("MINIGHOST_CACHE", "1") == "0":
        return
    with _cache_folder(), contextlib.suppress(RuntimeError):  # neither the package nor the user's home can be written
        dispatcher._cache = FunctionCache(function)


@contextlib.contextmanager
def _cache_folder():
    """Cache in a folder of this version's own: Numba sees changes in a kernel's file, but not in a callee's."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(kernels_folder() or before)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


@functools.cache
def kernels_folder():
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
def _start():
    """Start the pool, hold every BLAS at one thread, and find out how many threads to use; once."""
    import scipy.linalg.cython_blas  # noqa: F401 - loaded before the limit is set, for kernels take products from it
    import threadpoolctl

    _state.limits = threadpoolctl.threadpool_limits(1, user_api="blas")  # lifted when the object is collected
    _state.threads, _state.reason = suitable(numba.get_num_threads())


class _State:
    """What is decided when the first kernel runs, and changed by `threads`."""

    threads = 0
    reason = ""
    limits = None
    note = None


_state = _State()


@contextlib.contextmanager
def watching(note):
    """Within the block, call ``note(function, args, seconds)`` behind every kernel that runs compiled."""
    before, _state.note = _state.note, note
    try:
        yield
    finally:
        _state.note = before


class threads:
    """Show or set the number of threads that kernels use; BLAS stays at one.

    Parameters
    ----------
    n : int, optional
        1 to the ceiling that Numba took at import (the number of cores, or ``NUMBA_NUM_THREADS``).
        Without it nothing changes.

    Attributes
    ----------
    count : int
        The number of threads now. At first it is the ceiling, or fewer where the process may not use as many
        (``OMP_NUM_THREADS``, a container's quota, a process of a pool).
    reason : str
        Why there are fewer than the ceiling, if nobody set them.

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
        _start()
        self._before = _state.threads, _state.reason
        if n is not None:
            ceiling = numba.config.NUMBA_NUM_THREADS
            if not 1 <= n <= ceiling:
                raise ValueError(
                    f"threads: n={n} must lie between 1 and {ceiling}, the cores Numba found; "
                    "NUMBA_NUM_THREADS in the environment raises the ceiling"
                )
            _state.threads, _state.reason = int(n), ""

    @property
    def count(self):
        return _state.threads

    @property
    def reason(self):
        return _state.reason

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        _state.threads, _state.reason = self._before

    def __repr__(self):
        return f"threads({self.count}), BLAS 1" + (f" ({self.reason})" if self.reason else "")
