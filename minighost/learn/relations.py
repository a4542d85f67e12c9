"""Recognising a wrong answer as the right one of something else: twice, transposed, flipped, wrong at the border only.

A rule looks at the wrong array and the right one and returns a sentence or None. The first that fits is reported, so
rules go from the most specific to the vaguest. None may fit by chance: each explains many numbers by few.
"""

import math
from itertools import combinations, permutations

import numpy as np

__all__ = ["between", "between_shapes"]

CLOSE = 1e-7


def between(got, want):
    """How two arrays of one shape, not equal, are related; None if in no way that is known here."""
    if got.dtype.kind not in "fiub" or not np.isfinite(want).all() or not np.isfinite(got).all():
        return None
    got, want = got.astype(np.float64), want.astype(np.float64)
    for rule in RULES:
        sentence = rule(got, want)
        if sentence:
            return sentence
    return None


def between_shapes(got, want):
    """What a wrong shape looks like; None if like nothing that is known here."""
    if got.dtype.kind not in "fiub":
        return None
    if got.ndim == want.ndim and sorted(got.shape) == sorted(want.shape):
        for order in permutations(range(want.ndim)):
            if got.transpose(order).shape == want.shape and _like(got.transpose(order), want):
                return f"it is the right one with its axes in another order: .transpose{order} would put them right"
        return "the axes are in another order: two letters of the shape swapped?"
    if got.size == want.size and got.size > 1:
        right = _like(got.reshape(want.shape), want)
        return f"{'the right numbers' if right else 'as many numbers'} in another shape: .reshape{want.shape}"
    if got.ndim == want.ndim:
        off = {g - w for g, w in zip(got.shape, want.shape, strict=True)} - {0}
        if len(off) == 1 and abs(step := off.pop()) == 1:
            if step > 0:
                return "one too many: a range or slice leaves its end out"
            return "one too few: a range or slice leaves its end out; is a + 1 missing?"
    if want.ndim and got.ndim < want.ndim and got.shape == want.shape[-got.ndim or want.ndim :]:
        missing = want.shape[: want.ndim - got.ndim]
        return f"what is missing comes first, of shape {missing}: summed over, or one of many?"
    if got.ndim > want.ndim and got.shape[got.ndim - want.ndim :] == want.shape:
        return "a sum over the leading axes is missing"
    return None


# Rules ---------------------------------------------------------------------------------------------------------


def _zero(got, want):
    if not got.any() and want.size > 1:
        return "it is zero everywhere: is anything written to the result?"
    return None


def _constant(got, want):
    if got.size > 2 and np.ptp(got) == 0 and np.ptp(want) > 0:
        return "every number is the same"
    return None


def _factor(got, want):
    """The same factor everywhere. A single number may be a multiple by chance, so only a sign is reported for it."""
    power = float((want * want).sum())
    if power == 0:
        return None
    factor = float((got * want).sum()) / power
    if not _like(got, factor * want) or (np.count_nonzero(want) < 2 and factor != -1):
        return None
    if abs(factor + 1) < CLOSE:
        return "it is the negative of the right one: a sign error"
    for value, words in ((2, "twice the right one: counted twice?"), (0.5, "half of the right one: a factor of 2")):
        if abs(factor - value) < CLOSE:
            return f"it is {words}"
    for value in (factor, 1 / factor):
        if abs(value) > 2 and abs(value - round(value)) < CLOSE * abs(value) and abs(value) < 1e6:
            n = abs(round(value))
            sign = "minus " if value < 0 else ""
            if value == factor:
                return f"it is {sign}{n} times the right one: is a division by {n} missing?"
            return f"it is {sign}1/{n} of the right one: a mean instead of a sum, or divided by {n} once too often?"
    return f"it is {factor:.6g} times the right one, everywhere"


def _offset(got, want):
    over = got - want
    if want.size > 1 and np.ptp(want) > 0 and _like(over, np.full_like(over, over.flat[0]), want):
        return f"it is too {'large' if over.flat[0] > 0 else 'small'} by {abs(over.flat[0]):.6g}, everywhere"
    return None


def _swapped(got, want):
    for i, j in combinations(range(want.ndim), 2):
        if want.shape[i] == want.shape[j] > 1 and _like(got, want.swapaxes(i, j)):
            words = "transposed" if want.ndim == 2 else f"with axes {i} and {j} swapped"
            return f"it is the right one {words}: two indices or letters swapped?"
    return None


def _flipped(got, want):
    for count in (1, 2):
        for axes in combinations(range(want.ndim), count):
            if min((want.shape[k] for k in axes), default=0) > 1 and _like(got, np.flip(want, axes)):
                if want.ndim == 1:
                    return "it is the right one in reverse order"
                return f"it is the right one flipped along {_names(axes)}: a window or kernel flipped?"
    return None


def _shifted(got, want):
    """The right numbers, moved along one axis or two. What moved in from outside is not looked at."""
    single = [(axis, k) for k in (-1, 1, -2, 2) for axis in range(want.ndim)]
    pairs = [pair for pair in combinations(single, 2) if pair[0][0] != pair[1][0]]
    for move in [*((one,) for one in single), *(tuple(sorted(pair)) for pair in pairs)]:
        if any(abs(k) >= want.shape[axis] for axis, k in move):
            continue
        here, there = [slice(None)] * want.ndim, [slice(None)] * want.ndim
        for axis, k in move:
            side = want.shape[axis]
            here[axis], there[axis] = slice(max(0, k), side + min(0, k)), slice(max(0, -k), side - max(0, k))
        seen, meant = got[tuple(here)], want[tuple(there)]
        if len(np.unique(meant)) > 2 and 2 * seen.size >= want.size and _like(seen, meant, want):
            along = " and ".join(f"{k:+d} along axis {axis}" for axis, k in move)
            return f"it is the right one moved by {along}: does an index begin at the wrong place?"
    return None


def _reordered(got, want):
    """Slices of one axis in another order."""
    for axis in range(want.ndim - 1, -1, -1):
        mine, right = np.moveaxis(got, axis, 0), np.moveaxis(want, axis, 0)
        if not 1 < len(right) <= 64 or want.size == len(right) < 4:
            continue
        source = [next((k for k, other in enumerate(right) if _like(line, other, want)), None) for line in mine]
        if None not in source and source != list(range(len(right))):
            return f"along axis {axis} it holds the right slices in the order {source}: a wrong index or slice there?"
    return None


def _running(got, want):
    if want.size > 2 and _like(got.ravel(), np.cumsum(want.ravel())):
        return "each number has all those before it added: is a total not reset to 0?"
    return None


def _repeated(got, want):
    """One slice of an axis instead of all."""
    for axis in range(want.ndim):
        mine, right = np.moveaxis(got, axis, 0), np.moveaxis(want, axis, 0)
        if want.size > len(right) > 1 and np.ptp(mine, axis=0).max() == 0 and np.ptp(right, axis=0).max() > 0:
            source = next((k for k, other in enumerate(right) if _like(mine[0], other, want)), None)
            if source is not None:
                return f"along axis {axis} it is always the same slice, the right one for index {source}"
    return None


def _function_of(got, want):
    with np.errstate(all="ignore"):
        others = (
            (np.maximum(want, 0), "it is the right one with 0 instead of what is negative"),
            (np.abs(want), "it is the right one without its signs"),
            (want**2, "it is the square of the right one: is a square root missing?"),
            (np.sqrt(want), "it is the square root of the right one: is a square missing?"),
            (1 / want, "it is 1 over the right one: is the division upside down?"),
            (np.exp(want), "it is exp of the right one: is a logarithm missing?"),
            (np.log(want), "it is the logarithm of the right one"),
            (1 - want, "it is 1 minus the right one"),
        )
    if want.size < 2 or np.ptp(want) == 0:
        return None
    return next((words for other, words in others if np.isfinite(other).all() and _like(got, other)), None)


def _rounded(got, want):
    for other in (np.trunc(want), np.floor(want), np.round(want)):
        if want.size > 1 and other.any() and _like(got, other):
            return "it is the right one without its fractions: was the result made with a dtype of integers?"
    return None


def _per_channel(got, want):
    """A separate factor or offset for each index of the last axis."""
    C = want.shape[-1] if want.ndim > 1 else 0
    a, b = got.reshape(-1, C or 1), want.reshape(-1, C or 1)
    if C < 2 or len(b) < 3:
        return None
    factor = (a * b).sum(0) / np.maximum((b * b).sum(0), 1e-300)
    telling = np.ptp(b, axis=0).all() and np.abs(factor).min() > CLOSE and (np.abs(factor - 1) > CLOSE).sum() > 1
    if telling and _like(a, factor * b):
        return f"along axis {want.ndim - 1} each index is off by its own factor: is a scale left out?"
    if (np.abs((a - b)[0]) > CLOSE).sum() > 1 and _like(a - b, np.broadcast_to((a - b)[0], b.shape), b):
        return f"along axis {want.ndim - 1} each index is off by its own constant: is a bias or mean left out?"
    return None


def _place(got, want):
    """All wrong numbers lie in one slice of an axis, or all right ones do."""
    wrong = np.abs(got - want) > CLOSE * max(1.0, np.abs(want).max())
    if want.size < 4:
        return None
    empty = ", and it is 0 there: is the loop too short?" if not got[wrong].any() else ""
    for axis in range(want.ndim - 1, -1, -1):
        side = want.shape[axis]
        bad = np.flatnonzero(np.moveaxis(wrong, axis, 0).reshape(side, -1).any(1))
        if side > 1 and len(bad) == 1:
            end = "the last" if bad[0] == side - 1 else "the first" if bad[0] == 0 else "one"
            return f"only {end} of the {side} along axis {axis} is wrong (index {bad[0]}){empty or ': a border?'}"
        if side > 2 and len(bad) == side - 1:
            good = next(k for k in range(side) if k not in bad)
            return f"only index {good} of the {side} along axis {axis} is right{empty}"
    sides = [k for k in range(want.ndim) if want.shape[k] > 2]
    for axes in [*combinations(sides, 1), *combinations(sides, 2)]:
        inside = tuple(slice(1, -1) if k in axes else slice(None) for k in range(want.ndim))
        if not wrong[inside].any():
            return f"only the border along {_names(axes)} is wrong{empty or ': what lies beyond the edge?'}"
    for axis in sides:
        bad = np.flatnonzero(np.moveaxis(wrong, axis, 0).reshape(want.shape[axis], -1).any(1))
        if 0 < len(bad) <= want.shape[axis] / 2:
            return f"only the indices {bad.tolist()} along axis {axis} are wrong{empty}"
    return None


def _anywhere(got, want):
    if want.size > 3 and np.ptp(want) > 0 and _like(np.sort(got, axis=None), np.sort(want, axis=None)):
        return "these are the right numbers at wrong places: an axis order, a reshape, an index"
    return None


def _nearly(got, want):
    size = max(float(np.abs(want).max()), math.ulp(1.0))
    if np.abs(got - want).max() < 1e-5 * size:
        return "it is nearly right: is something computed in float32, or an eps left out or misplaced?"
    return None


RULES = (
    _zero,
    _nearly,
    _factor,
    _swapped,
    _flipped,
    _constant,
    _offset,
    _rounded,
    _function_of,
    _running,
    _repeated,
    _shifted,
    _reordered,
    _per_channel,
    _place,
    _anywhere,
)


def _like(a, b, scale=None):
    """Whether two arrays are equal up to rounding, as a share of the largest number of `scale` (of `b`)."""
    size = float(np.abs(b if scale is None else scale).max(initial=0))
    return a.shape == b.shape and size > 0 and bool((np.abs(a - b) <= CLOSE * size).all())


def _names(axes):
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {' and '.join(map(str, axes))}"
