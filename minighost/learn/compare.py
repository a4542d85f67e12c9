"""Comparing what a learner's function gives with what it must give, in words that lead to the fix.

Each complaint is an AssertionError that names the call, the first wrong place with both numbers, and - where the wrong
numbers are the right ones of something else - the likely mistake (`relations`).
"""

import difflib
import numbers

import numpy as np

from minighost.learn import relations

__all__ = ["frozen", "function", "same", "untouched"]

SHOWN = 24  # arrays of at most this many numbers are shown whole
KINDS = {
    "f": "floats",
    "i": "integers",
    "u": "integers",
    "b": "True and False",
    "c": "complex numbers",
    "O": "objects",
    "U": "strings",
}


def same(got, want, what, tolerance=1e-9, hints=()):
    """Refuse `got` unless it is `want`.

    Parameters
    ----------
    got : object
        What the learner's function returned.
    want : ndarray, number, or tuple of them
        A tuple asks for as many values, each compared for itself.
    what : str
        The call in words, as "correlate(x of 4x5, w of 2x3)".
    tolerance : float
        Allowed difference, as a share of the largest number of `want` (of 1 where that is smaller).
    hints : list of (ndarray, str)
        Known wrong answers; if `got` is one of them, its sentence is said.

    Raises
    ------
    AssertionError
        In this order: nothing returned, a wrong type, shape or kind of number, NaN, a wrong number.
    """
    if got is None:
        raise AssertionError(f"{what}: returned None: is there a return?")
    if isinstance(want, (tuple, list)):
        _same_tuple(got, want, what, tolerance, hints)
        return
    _is_array(got, want, what)
    got, want = np.asarray(got), np.asarray(want)
    said = [words for other, words in hints if _close(got, np.asarray(other), tolerance)]
    _same_shape(got, want, what, said)
    _same_kind(got, want, what)
    _no_new_nan(got, want, what, said)
    wrong = ~_equal(got, want, tolerance)
    if wrong.any():
        reason = said[0] if said else relations.between(got, want)
        raise AssertionError(f"{what}: {_differences(got, want, wrong)}{_because(reason)}{_whole(got, want)}")


def untouched(before, after, what):
    """Refuse an argument that was written to.

    Parameters
    ----------
    before, after : ndarray
        A copy that was made before the call, and the argument itself.
    what : str
        The call and the argument, as "relu_forward(x): x".
    """
    before, after = np.asarray(before), np.asarray(after)
    if before.shape != after.shape:
        raise AssertionError(f"{what} had shape {before.shape} before the call and has {after.shape} now")
    changed = ~_equal(after, before, 0.0)
    if changed.any():
        place = tuple(int(k) for k in np.argwhere(changed)[0])
        raise AssertionError(
            f"{what} was written to: {_at(place)}it was {_number(before[place])} before the call and is "
            f"{_number(after[place])} now; write to a new array (np.zeros, x.copy()) instead of the argument"
        )


def function(mine, name):
    """The function `name` of the learner's module `mine`.

    Raises
    ------
    AssertionError
        It is missing, or is not a function.
    """
    found = getattr(mine, name, None)
    if found is None:
        there = [n for n, value in vars(mine).items() if callable(value) and not n.startswith("_")]
        close = difflib.get_close_matches(name, there, n=1)
        likely = f"; is it the one called {close[0]}?" if close else ""
        raise AssertionError(f"the function {name} is missing from the file: keep its `def {name}(...):` line{likely}")
    if not callable(found):
        kind = _article(type(found).__name__)
        raise AssertionError(f"{name} must be a function, and is {kind}: is the name used twice?")
    return found


def frozen(*arrays):
    """Read-only copies, so that a write in the learner's code raises at its own line.

    Returns
    -------
    ndarray, or tuple of ndarray
        One for one, a tuple for several. What is not an array is passed on as it is.
    """
    copies = tuple(_locked(x) if isinstance(x, np.ndarray) else x for x in arrays)
    return copies[0] if len(copies) == 1 else copies


def _locked(x):
    x = x.copy()
    x.flags.writeable = False
    return x


# What is asked, in order ---------------------------------------------------------------------------------------


def _same_tuple(got, want, what, tolerance, hints):
    if not isinstance(got, (tuple, list, np.ndarray)) or getattr(got, "ndim", 1) == 0:
        raise AssertionError(f"{what}: returned {_article(type(got).__name__)}, must return {len(want)} values")
    if len(got) != len(want):
        values = "1 value" if len(got) == 1 else f"{len(got)} values"
        raise AssertionError(f"{what}: returned {values}, must return {len(want)}")
    said = [words for other, words in hints if isinstance(other, (tuple, list)) and _all_close(got, other, tolerance)]
    for k, (g, w) in enumerate(zip(got, want, strict=True)):
        try:
            same(g, w, f"{what}, value {k}", tolerance)
        except AssertionError as error:
            raise AssertionError(f"{error}{_because(said[0])}" if said else str(error)) from None


def _is_array(got, want, what):
    if isinstance(got, tuple):
        raise AssertionError(
            f"{what}: returned a tuple of {len(got)}, must return one {'number' if np.ndim(want) == 0 else 'array'}"
        )
    if np.ndim(want) == 0:
        if isinstance(got, (numbers.Number, np.generic)) or isinstance(got, np.ndarray):
            return
        raise AssertionError(f"{what}: returned {_article(type(got).__name__)}, must return a number")
    if isinstance(got, list):
        raise AssertionError(f"{what}: returned a list, must return an array: np.array(...) converts it")
    if not isinstance(got, (np.ndarray, np.generic, numbers.Number)):
        raise AssertionError(f"{what}: returned {_article(type(got).__name__)}, must return an array")


def _same_shape(got, want, what, said):
    if got.shape == want.shape:
        return
    if want.ndim == 0:
        reason = said[0] if said else "is an index or a sum missing?"
        raise AssertionError(f"{what}: returned an array of shape {got.shape}, must return a number{_because(reason)}")
    if got.ndim != want.ndim:
        where = f"{_axes(got.ndim)} where there must be {want.ndim}"
    else:
        wrong = [k for k in range(want.ndim) if got.shape[k] != want.shape[k]]
        where = ", ".join(f"axis {k} has {got.shape[k]}, must have {want.shape[k]}" for k in wrong)
    reason = said[0] if said else relations.between_shapes(got, want)
    raise AssertionError(f"{what}: returned shape {got.shape}, must be {want.shape}: {where}{_because(reason)}")


def _same_kind(got, want, what):
    kind, must = got.dtype.kind, want.dtype.kind
    if kind not in "fiubc":
        raise AssertionError(f"{what}: holds {KINDS.get(kind, got.dtype)}, must hold {KINDS.get(must, want.dtype)}")
    if kind == must or {kind, must} == {"i", "u"}:
        return
    if got.ndim == 0 and kind in "iu" and must == "f":  # a sum that began with 0 and met only integers
        return
    fix = {
        ("i", "f"): "make the result with a dtype of floats (np.zeros without dtype=int; np.zeros_like copies it)",
        ("f", "i"): "divide with // instead of /, or index instead of computing",
        ("b", "f"): "a comparison gives True and False; multiply with it",
    }.get((kind, must))
    raise AssertionError(
        f"{what}: holds {KINDS[kind]} ({got.dtype}), must hold {KINDS.get(must, must)} ({want.dtype})"
        f"{f': {fix}' if fix else ''}"
    )


def _no_new_nan(got, want, what, said):
    missing = np.isnan(got) & ~np.isnan(want)
    if missing.any():
        place = tuple(int(k) for k in np.argwhere(missing)[0])
        cause = said[0] if said else "0/0, the root or logarithm of a negative number, inf - inf, np.empty?"
        raise AssertionError(
            f"{what}: {_count(missing)} NaN; {_at(place)}it must be {_number(want[place])}{_because(cause)}"
        )


def _equal(got, want, tolerance):
    """Where they agree: equal, NaN in both, or near enough."""
    finite = np.abs(want[np.isfinite(want)])
    room = tolerance * max(1.0, float(finite.max(initial=0.0)))
    with np.errstate(invalid="ignore"):
        near = np.abs(np.subtract(got, want, dtype=np.result_type(got, want, np.float64))) <= room
    return near | (got == want) | (np.isnan(got) & np.isnan(want))


def _close(got, other, tolerance):
    return got.shape == other.shape and got.dtype.kind in "fiub" and bool(_equal(got, other, tolerance).all())


def _all_close(got, other, tolerance):
    pairs = list(zip(got, other, strict=False))
    return len(got) == len(other) and all(_close(np.asarray(g), np.asarray(o), tolerance) for g, o in pairs)


# Words ---------------------------------------------------------------------------------------------------------


def _differences(got, want, wrong):
    if want.ndim == 0:
        return f"gives {_number(got)}, must be {_number(want)}"
    place = tuple(int(k) for k in np.argwhere(wrong)[0])
    count = "its only number is wrong" if want.size == 1 else f"{_count(wrong)} numbers wrong"
    return f"{count}; {_at(place)}it gives {_number(got[place])}, must be {_number(want[place])}"


def _count(mask):
    total = np.count_nonzero(mask)
    return f"all {mask.size}" if total == mask.size else f"{total} of {mask.size}"


def _at(place):
    return f"at [{', '.join(map(str, place))}] " if place else ""


def _number(x):
    x = x.item() if hasattr(x, "item") else x
    return f"{x:.10g}" if isinstance(x, float) else str(x)


def _because(reason):
    return f"\n  likely: {reason}" if reason else ""


def _whole(got, want):
    """Both arrays, if they are small enough to look at."""
    if not 1 < want.size <= SHOWN or sum(side > 1 for side in want.shape) > 2:
        return ""
    shape = [side for side in want.shape if side > 1] if want.ndim > 2 else want.shape
    lines = []
    for title, array in (("yours", got), ("right", want)):
        text = np.array2string(array.reshape(shape), precision=4, suppress_small=True, max_line_width=100)
        first, *rest = text.splitlines()
        lines += [f"  {title}  {first}", *(f"         {line}" for line in rest)]
    return "\n" + "\n".join(lines)


def _axes(count):
    return "a single number" if count == 0 else f"{count} {'axis' if count == 1 else 'axes'}"


def _article(name):
    return f"an {name}" if name[:1] in "aeiou" else f"a {name}"
