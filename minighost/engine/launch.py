"""One pool of threads: Numba's.

`kernel` marks a function whose iterations the threads share, `tile` straight-line code that kernels call:

    @kernel
    def _double(work, x, out):
        for first, last in spans(work, len(x), 1):
            for i in range(first, last):
                out[i] = 2 * x[i]

    _double(x, out)     # every thread runs the function, and each takes from `work` what is next

So a thread that is held up leaves the rest to the others. Kernels follow two rules: every output element has one
writer, and what one iteration does depends on shapes alone - so results are the same bits for any number of threads.
Two spinning thread pools on the same cores (OpenMP and NumPy's BLAS) are several times slower than either, so BLAS is
held to a single thread for the whole process as soon as the first kernel runs. Under ``NUMBA_DISABLE_JIT=1`` kernels
are plain Python on one thread.

Several Python threads may call kernels. Numba's pool takes one caller at a time, so launches wait for one another; a
launch on a single thread needs no pool, and does not wait. A process that was forked after the pool had started has no
pool, and runs on one thread.
"""

import contextlib
import functools
import gc
import inspect
import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, Protocol, Self, TypeVar, TypeVarTuple, overload

# A thread that spins while it waits for another keeps the core from the very thread it waits for: on a busy machine a
# step then takes many times longer. One that sleeps wakes up late. So: spin briefly, then sleep. GNU's OpenMP reads
# this once, when Numba loads it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")

from minighost.engine.cores import check_environment, suitable  # noqa: E402

check_environment()  # before Numba reads it

import numba  # noqa: E402
import numpy as np  # noqa: E402
from numba import njit  # noqa: E402
from numba.core.compiler_lock import global_compiler_lock  # noqa: E402
from numba.np.ufunc import parallel as numba_pool  # noqa: E402

from minighost.engine.kernel_cache import KernelCache, kernels_folder  # noqa: E402
from minighost.engine.linked import linked_only  # noqa: E402
from minighost.engine.parallel import WORK, is_last, on_all_threads, share, spans, thread_id  # noqa: E402

__all__ = [
    "OPTIONS",
    "compiling",
    "is_last",
    "kernel",
    "kernels_folder",
    "share",
    "spans",
    "thread_id",
    "threads",
    "tile",
    "watching",
]

# Fused multiply-adds are safe for NaN; the flags that assume there is none are not used.
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


_Function = TypeVar("_Function", bound=Callable[..., Any])
_Arguments = TypeVarTuple("_Arguments")
Flops = Callable[[Any], int]


class Launch(Protocol[*_Arguments]):
    """A kernel as Python calls it: without `work`."""

    flops: Callable[..., int]

    def __call__(self, *args: *_Arguments, n_threads: int | None = None) -> None: ...


def tile(function: _Function) -> _Function:
    """Compile the work on one tile, to be called from a `kernel` and from there only: Python has no way in."""
    compiled = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)(function)
    return compiled if numba.config.DISABLE_JIT else linked_only(compiled)


@overload
def kernel(function: Callable[[Any, *_Arguments], Any]) -> Launch[*_Arguments]: ...
@overload
def kernel(*, flops: Flops) -> Callable[[Callable[[Any, *_Arguments], Any]], Launch[*_Arguments]]: ...
def kernel(function=None, *, flops=None):
    """Compile a function that every thread runs, and give it back as one that is called without `work`.

    What has scratch memory for each thread is called with the number of them, ``n_threads=``, and never runs on more.

    Parameters
    ----------
    flops : callable, optional
        Takes the arguments of a call by name, ``a.x``, and returns the floating-point operations of its products,
        twice the multiply-adds. ``KERNEL.flops(*args)`` asks it; without one a kernel counts as having no products.

    Examples
    --------
    >>> @kernel(flops=lambda a: 2 * a.x.size)
    ... def scale_and_shift(work, x, out): ...
    >>> scale_and_shift.flops(np.zeros(3), np.zeros(3))
    6
    """
    if function is None:
        return functools.partial(kernel, flops=flops)
    launch, names = _launch(function), list(inspect.signature(function).parameters)[1:]
    launch.flops = lambda *args: flops(SimpleNamespace(**dict(zip(names, args, strict=True)))) if flops else 0
    return launch


def _launch(function):
    if numba.config.DISABLE_JIT:

        @functools.wraps(function)
        def plain(*args, n_threads=1):
            note, start = _note.get(), time.perf_counter()
            function(np.zeros(WORK, np.int64), *args)
            if note is not None:
                note(plain, args, time.perf_counter() - start)

        plain.__func__ = function  # type: ignore[attr-defined]  # here pdb looks for what `break minighost....` should stop in
        return plain
    body = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)(function)

    @njit(nogil=True, no_cfunc_wrapper=True)
    def on_threads(threads, *args):
        return on_all_threads(body, threads, args)

    on_threads.compile = _lightly(on_threads.compile, _words(function))
    if os.environ.get("MINIGHOST_CACHE", "1") != "0":
        on_threads._cache = KernelCache(function)

    @functools.wraps(function)
    def launch(*args, n_threads=None):
        everyone = _state.threads or _start()
        n_threads = n_threads or everyone
        with _state.turn if n_threads > 1 else _AT_ONCE:
            note, start = _note.get(), time.perf_counter()
            failed = on_threads(n_threads, np.zeros(WORK, np.int64), *args)
        if failed:
            raise RuntimeError(
                f"{function.__module__}.{function.__name__}: an error in a compiled kernel, most likely an index out "
                "of bounds; NUMBA_DISABLE_JIT=1 shows where"
            )
        if note is not None:
            note(launch, args, time.perf_counter() - start)

    launch.compiled = on_threads  # type: ignore[attr-defined]  # where its `signatures` can be counted
    return launch


def _words(function):
    """``conv: backward weights`` for `_backward_weights` in conv.py."""
    return f"{function.__module__.rpartition('.')[2]}: {function.__name__.strip('_').replace('_', ' ')}"


def _lightly(compile_now, name):
    """LLVM's first level already vectorises loops here; levels 2 and 3 compile longer for code as quick."""

    @functools.wraps(compile_now)
    @global_compiler_lock  # the level is one for all Python threads
    def compile_lightly(signature):
        if (told := _compiling.get()) is not None:
            told(name)
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


class _State:
    """What is decided when the first kernel runs, and changed by `threads`: one for all Python threads."""

    threads = 0
    reason = ""
    limits = None
    forked = False
    lock = threading.Lock()  # of all this
    turn = threading.RLock()  # of Numba's pool
    settings: weakref.WeakValueDictionary = weakref.WeakValueDictionary()  # every `threads` there is, oldest first


_state = _State()
_note: ContextVar = ContextVar("watching", default=None)
_compiling: ContextVar = ContextVar("compiling", default=None)
_numbers = itertools.count()
_AT_ONCE = contextlib.nullcontext()


def _start():
    """Start the pool, hold every BLAS at one thread, and find out how many threads to use; once."""
    import threadpoolctl

    with _state.lock:
        if not _state.threads:
            _state.limits = threadpoolctl.threadpool_limits(1, user_api="blas")
            count, _state.reason = (1, _FORKED) if _state.forked else suitable(numba.get_num_threads())
            _state.threads = count
    return _state.threads


_FORKED = "forked after the pool of threads had started"


def _in_forked_child():
    """Of the pool nothing but its memory is left, and to call it ends the process or hangs; so do without."""
    _state.lock, _state.turn = threading.Lock(), threading.RLock()  # whoever held them is not here
    if numba_pool._is_initialized:
        _state.forked = True
        if _state.threads:
            _state.threads, _state.reason = 1, _FORKED


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_in_forked_child)
    # A child that is born while another thread compiles would wait for that thread for ever.
    lock = global_compiler_lock
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


@contextlib.contextmanager
def watching(note: Callable[[Any, tuple[Any, ...], float], None]) -> Iterator[None]:
    """Within the block, call ``note(kernel, args, seconds)`` after every kernel that this thread runs."""
    before = _note.get()
    _note.set(note)
    try:
        yield
    finally:
        _note.set(before)


@contextlib.contextmanager
def compiling(told: Callable[[str], None]) -> Iterator[None]:
    """Within the block, call ``told("conv: backward")`` before this thread compiles or loads a kernel."""
    token = _compiling.set(told)
    try:
        yield
    finally:
        _compiling.reset(token)


class threads:
    """Show or set the number of threads that kernels use, in the whole process; BLAS stays at one.

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
    TypeError
        If `n` is no integer.
    ValueError
        If `n` is out of range; in a process that was forked after the pool had started, if it is not 1.

    Notes
    -----
    There is one number for all Python threads. Where blocks in several of them overlap, the one that began last counts
    as long as it lasts; after the last of them the number is what it was before the first.

    Examples
    --------
    >>> threads(1).count
    1
    >>> with threads(1):    # for a block; the earlier number comes back after it
    ...     pass
    """

    def __init__(self, n: int | None = None) -> None:
        _state.threads or _start()
        self._own: tuple[int, str] | None = None
        self._number: int | None = None
        if n is not None:
            _check(n)
            self._own = int(n), ""
            with _state.lock:
                self._set()

    def _set(self):
        self._before, self._number, self._open = (_state.threads, _state.reason), next(_numbers), False
        _state.settings[self._number] = self
        self._apply(self._own)

    def _apply(self, setting):
        if setting and not _state.forked:
            _state.threads, _state.reason = setting

    @property
    def count(self) -> int:
        return _state.threads

    @property
    def reason(self) -> str:
        return _state.reason

    def __enter__(self) -> Self:
        with _state.lock:
            if self._number not in _state.settings:  # nothing was set, or it has been a block before
                self._set()
            self._open = True
            self._apply(self._own)  # again, for an earlier block may have ended since
        return self

    def __exit__(self, *exc: object) -> None:
        with _state.lock:
            _state.settings.pop(self._number, None)
            self._open = False
            later = [other for number, other in sorted(_state.settings.items()) if number > self._number]
            if later:
                later[0]._before = self._before
            if not any(other._open for other in later):
                self._apply(self._before)

    def __repr__(self) -> str:
        return f"threads({self.count}), BLAS 1" + (f" ({self.reason})" if self.reason else "")


def _check(n):
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool):
        raise TypeError(f"threads: n must be an integer, got {n!r}")
    ceiling = 1 if _state.forked else numba.config.NUMBA_NUM_THREADS
    if 1 <= n <= ceiling:
        return
    if _state.forked:
        raise ValueError(
            f"threads: n={n} must be 1 in this process, which was {_FORKED}; "
            "multiprocessing's start method 'spawn' gives each process a pool of its own"
        )
    raise ValueError(
        f"threads: n={n} must lie between 1 and {ceiling}, the cores Numba found; "
        "NUMBA_NUM_THREADS in the environment raises the ceiling"
    )
