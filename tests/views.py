"""The same numbers seen through every kind of view, for tests of what a caller may hand over."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

__all__ = ["KINDS", "UPDATABLE", "View", "assert_kernels_see_plain_arrays", "few", "hold", "sizes", "views"]

GUARD = -7.125  # between and around a view's numbers

few = settings(max_examples=max(3, settings.default.max_examples // 4))  # where there are many tests alike
sizes = st.sampled_from([1, 1, 1, 2, 3])  # of an axis: mostly 1, where strides mean nothing


def hold(value, array):
    """Make a parameter or buffer hold this very array, of any layout, shape and dtype: to assign would copy."""
    value.__init__(array)


class View:
    """A view of some memory, its numbers as a plain array, and the memory itself, which is to stay as it is.

    Attributes
    ----------
    array : ndarray, the view
    plain : ndarray, equal to it
    """

    def __init__(self, array, memory):
        self.array, self._memory = array, memory
        self.plain = np.array(array, array.dtype.newbyteorder("="), order="C", subok=False)
        self._before = memory.tobytes()

    def assert_untouched(self, name):
        """Nothing has written to the memory."""
        assert self._memory.tobytes() == self._before, f"{name}: memory of the caller was written to"

    def assert_only_the_view_was_written(self, name):
        """What lies between and around the view's numbers is as it was."""
        self.array[...] = self.plain
        self.assert_untouched(f"{name}, around it")


def _transposed(x, rng):
    order = rng.permutation(x.ndim)
    memory = np.array(x.transpose(order), order="C")
    return memory.transpose(np.argsort(order)), memory


def _fortran(x, rng):
    memory = np.array(x, order="F")
    return memory, memory


def _every_second(x, rng):
    steps = rng.integers(1, 3, x.ndim)
    memory = np.full([2 * size * step for size, step in zip(x.shape, steps, strict=True)], GUARD, x.dtype)
    view = memory[tuple(slice(step - 1, size * step, step) for size, step in zip(x.shape, steps, strict=True))]
    view[...] = x
    return view, memory


def _backwards(x, rng):
    turn = tuple(slice(None, None, rng.choice([1, -1])) for _ in x.shape)
    memory = np.array(x[turn], order="C")
    return memory[turn], memory


def _slice(x, rng):
    before, behind = rng.integers(0, 3, 2)
    memory = np.full((*x.shape[:-1], before + x.shape[-1] + behind), GUARD, x.dtype)
    view = memory[..., before : before + x.shape[-1]]
    view[...] = x
    return view, memory


def _broadcast(x, rng):
    axis = rng.integers(x.ndim)
    memory = x.take([0], axis)
    return np.broadcast_to(memory, x.shape), memory


def _overlapping(x, rng):
    """Writable, and yet each number of an axis lies in one place."""
    axis = rng.integers(x.ndim)
    memory = x.take([0], axis)
    strides = [0 if k == axis else s for k, s in enumerate(memory.strides)]
    return as_strided(memory, x.shape, strides), memory


def _read_only(x, rng):
    memory = x.copy()
    view = memory[...]
    view.flags.writeable = False
    return view, memory


def _swapped(x, rng):
    memory = x.astype(x.dtype.newbyteorder())
    return memory, memory


def _unaligned(x, rng):
    memory = np.zeros(x.nbytes + 1, np.uint8)
    view = memory[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view, memory


class _Subclass(np.ndarray):
    """As libraries derive them."""


def _subclass(x, rng):
    memory = x.copy()
    return memory.view(np.matrix if x.ndim == 2 else _Subclass), memory


def _odd_strides(x, rng):
    """Where an axis has one number nobody steps along it, and its stride may be anything."""
    memory = x.copy()
    odd = rng.choice([0, x.itemsize, -x.itemsize, 3, 7 * x.itemsize, 1 << 40], x.ndim)
    strides = [s if size > 1 else int(o) for size, s, o in zip(x.shape, memory.strides, odd, strict=True)]
    return as_strided(memory, x.shape, strides), memory


def _odd_slice(x, rng):
    view, memory = _slice(x, rng)
    strides = [s if size > 1 else 5 * x.itemsize for size, s in zip(x.shape, view.strides, strict=True)]
    return as_strided(view, x.shape, strides), memory


KINDS = {
    "transposed": _transposed,
    "Fortran order": _fortran,
    "every second": _every_second,
    "backwards": _backwards,
    "slice": _slice,
    "broadcast": _broadcast,
    "overlapping": _overlapping,
    "read-only": _read_only,
    "byte-swapped": _swapped,
    "unaligned": _unaligned,
    "subclass": _subclass,
    "odd strides": _odd_strides,
    "slice with odd strides": _odd_slice,
}
UPDATABLE = [kind for kind in KINDS if kind not in ("broadcast", "overlapping", "read-only")]


@st.composite
def views(draw, x, kinds=KINDS):
    """`x` as some kind of view; a broadcast one has the numbers of a part of `x` only."""
    kind = KINDS[draw(st.sampled_from(list(kinds)))] if x.ndim and x.size else _subclass
    array, memory = kind(x, np.random.default_rng(draw(st.integers(0, 99))))
    return View(array, memory)


def assert_kernels_see_plain_arrays(function, args, seconds):
    """For `engine.watching`: whatever a caller hands over, kernels get plain arrays."""
    for arg in args:
        if isinstance(arg, tuple):
            assert_kernels_see_plain_arrays(function, arg, seconds)
        elif isinstance(arg, np.ndarray):
            plain = type(arg) is np.ndarray and arg.flags.carray and arg.dtype.isnative
            exact = not arg.size or arg.strides == np.empty(arg.shape, arg.dtype).strides
            assert plain and exact, f"{function.__module__}.{function.__name__}: {arg.shape}, {arg.strides}"
