"""Why a gradient is wrong: the usual mistakes, each recognised by its traces.

A wrong gradient of a usual mistake is nearly always the right gradient of something else: of a part of the output (an
``=`` that should be ``+=``), of another kernel (flipped, transposed), of the right thing at another place (padding cut
off wrongly, a wrong slice of channels). So each rule computes what its mistake would have given, by finite differences
where it must, and compares. A rule returns a sentence or None.
"""

from itertools import combinations

import numpy as np

from minighost.gradcheck.measure import Probe, unit

__all__ = ["causes"]

CLOSE = 1e-5
MOST = 60_000  # forwards that a diagnosis may cost


class _Case:
    """A wrong gradient `given` of the array `x`, and `right`, the measured one."""

    def __init__(self, subject, found, dout):
        self.subject, self.name, self.dout = subject, found.name, dout
        self.x, self.given, self.right = subject.arrays[found.name], found.given, found.measured
        self.wrong = found.wrong
        self._parts = None

    def slopes(self, index):
        """The slope of each output number at one index, by plain differences; NaN at the edge of a domain."""
        probe = Probe(self.subject, [self.name], np.ones(self.dout.shape))
        direction = {self.name: unit(self.x.shape, index)}
        for size in (max(abs(self.x[index]), probe.typical), abs(self.x[index])):
            below, above = (probe(direction, t) for t in (-1e-6 * size, 1e-6 * size))
            if below is not None and above is not None and size > 0:
                return ((above - below) / (2e-6 * size)).reshape(self.dout.shape)
        return np.full(self.dout.shape, np.nan)

    def gradient(self, dout):
        """The right gradient for another upstream gradient."""
        found = [(self.slopes(index) * dout).sum() for index in np.ndindex(self.x.shape)]
        return np.reshape(found, self.x.shape)

    @property
    def parts(self):
        """What each position of the output (all axes but the last) contributes: (positions, *shape), or None."""
        if self._parts is None and self.dout.ndim > 1 and self.x.size and self.x.size <= MOST:
            columns = [(self.slopes(index) * self.dout).sum(-1).ravel() for index in np.ndindex(self.x.shape)]
            self._parts = np.array(columns).T.reshape(-1, *self.x.shape)
        return self._parts

    def is_like(self, other, given=None):
        """Whether the given gradient is this one."""
        given = self.given if given is None else given
        size = np.abs(other).max(initial=0)
        return given.shape == other.shape and size > 0 and np.abs(given - other).max() <= CLOSE * size


def causes(subject, found, dout):
    """Likely reasons for a wrong gradient, likeliest first; empty if nothing looks familiar.

    Parameters
    ----------
    subject : Subject
    found : Finding
    dout : ndarray
        The upstream gradient.

    Returns
    -------
    list of str
    """
    if found.given is None:
        return []
    case = _Case(subject, found, dout)
    if case.given.shape != case.x.shape:
        return [*filter(None, [_shape(case)])]
    if case.right is None or case.right.shape != case.x.shape:
        return [*filter(None, [_zero(case)])]
    for rule in (_place,) if case.is_like(case.right) else RULES:
        reason = rule(case)
        if reason:
            return [reason]
    return []


# Rules ---------------------------------------------------------------------------------------------------------


def _shape(case):
    given, shape = case.given.shape, case.x.shape
    if sorted(given) == sorted(shape):
        return "the axes are in another order: a transposed product, or a missing transpose"
    if given[len(given) - len(shape) :] == shape:
        return f"a sum over the first {_axes(len(given) - len(shape))} is missing"
    if len(given) == len(shape) and all(a >= b for a, b in zip(given, shape, strict=True)):
        pads = [a - b for a, b in zip(given, shape, strict=True)]
        return f"it is larger by {pads}: is padding not cut off?"
    return None


def _zero(case):
    if not case.given.any():
        return "it is zero everywhere: is it computed at all, and does it depend on dout?"
    return None


def _factor(case):
    a, n = case.given.ravel(), case.right.ravel()
    if not n.any():
        return "the output does not depend on it: the right gradient is zero"
    factor = (a @ n) / (n @ n)
    if not case.is_like(factor * case.right):
        return None
    return f"everywhere {_named(factor, case)}"


def _named(factor, case):
    if abs(factor + 1) < CLOSE:
        return "the negative of the right one: a sign error"
    shape = case.dout.shape if case.dout.ndim > 1 else case.x.shape
    sizes: dict[int, str] = {}
    letters = "NHWC" if len(shape) == 4 else "NC" if len(shape) == 2 else "ABCDEFG"[: len(shape)]
    for count in range(len(shape), 0, -1):
        for axes in combinations(range(len(shape)), count):
            sizes.setdefault(int(np.prod([shape[k] for k in axes])), "*".join(letters[k] for k in axes))
    for size, name in sizes.items():
        if size > 2 and abs(factor * size - 1) < CLOSE:
            return f"1/{size} of the right one, that is 1/({name}) of the output: a mean instead of a sum"
        if size > 2 and abs(factor / size - 1) < CLOSE:
            return f"{size} times the right one, that is {name} of the output: a division by it is missing"
    if abs(factor - 2) < CLOSE or abs(factor - 0.5) < CLOSE:
        return f"{factor:.4g} times the right one: a factor of 2 {'too many' if factor > 1 else 'is missing'}"
    return f"{factor:.6g} times the right one: a constant factor"


def _channel_factor(case):
    """Each channel off by its own factor: a forgotten scale."""
    if case.x.ndim < 2:
        return None
    a, n = (v.reshape(-1, v.shape[-1]) for v in (case.given, case.right))
    factor = (a * n).sum(0) / np.maximum((n * n).sum(0), 1e-300)
    if not case.is_like(factor * case.right):
        return None
    for name, other in case.subject.arrays.items():
        if other.shape == factor.shape and np.allclose(factor * other, 1, rtol=1e-4):
            return f"each channel lacks the factor {name}"
        if other.shape == factor.shape and np.allclose(factor, other, rtol=1e-4):
            return f"each channel has the factor {name} once too often"
    return "each channel is off by its own factor: is a per-channel scale (gamma, 1/std) left out?"


def _flipped(case):
    for axes in _spatial_sets(case.x.shape):
        if case.is_like(np.flip(case.right, axes)):
            return f"it is the right one, flipped along {_axes(axes)}: a flipped kernel"
    return None


def _swapped(case):
    for i, j in combinations(range(case.x.ndim), 2):
        if case.x.shape[i] == case.x.shape[j] and case.is_like(case.right.swapaxes(i, j)):
            return f"it is the right one with axes {i} and {j} swapped: a transposed product"
    return None


def _shifted(case):
    """Right numbers at the wrong place: padding cut off at the wrong side."""
    if case.x.ndim < 3:
        return None
    axes = (1, 2) if case.x.ndim == 4 else (0, 1)
    for down in range(-3, 4):
        for right in range(-3, 4):
            steps = (down, right)
            if not any(steps) or any(abs(s) >= case.x.shape[axis] for s, axis in zip(steps, axes, strict=True)):
                continue
            here, there = [slice(None)] * case.x.ndim, [slice(None)] * case.x.ndim
            for s, axis in zip(steps, axes, strict=True):
                size = case.x.shape[axis]
                here[axis], there[axis] = slice(max(0, -s), size - max(0, s)), slice(max(0, s), size + min(0, s))
            if case.is_like(case.right[tuple(there)], case.given[tuple(here)]):
                return (
                    f"it is the right one moved by {steps} along {_axes(axes)}: is the padding cut off on both sides?"
                )
    return None


def _channels(case):
    """Channels (of either of the last two axes) in another order."""
    for axis in range(case.x.ndim - 1, max(case.x.ndim - 3, -1), -1):
        a, n = np.moveaxis(case.given, axis, 0), np.moveaxis(case.right, axis, 0)
        source = []
        for channel in a:
            like = [k for k, other in enumerate(n) if case.is_like(other, channel)]
            source.append(like[0] if like else None)
        known = [s for s in source if s is not None]
        if len(a) > 1 and len(known) == len(a) and source != list(range(len(a))):
            return f"along axis {axis} it holds the right channels {source}: a wrong slice of channels?"
    return None


def _upstream_itself(case):
    if case.is_like(case.dout):
        return "it is dout itself: the local derivative (a mask, say) is missing"
    return None


def _other_kernel(case):
    """The right gradient for a kernel that is flipped or transposed."""
    for name, other in case.subject.arrays.items():
        if name == case.name or other.ndim < 2 or 2 * case.x.size > MOST:
            continue
        kept = other.copy()
        changes = [(f"flipped along {_axes(axes)}", np.flip(kept, axes)) for axes in _spatial_sets(kept.shape)]
        for i, j in combinations(range(kept.ndim), 2):
            if kept.shape[i] == kept.shape[j]:
                changes.append((f"with axes {i} and {j} swapped", kept.swapaxes(i, j)))
        for words, changed in changes:
            try:
                other[...] = changed
                like = not np.array_equal(changed, kept) and case.is_like(case.gradient(case.dout))
            finally:
                other[...] = kept
            if like:
                return f"it would be right for {name} {words}"
    return None


def _part(case):
    """Only some positions of the output contribute: an assignment instead of an addition, a loop that ends early."""
    parts = case.parts
    if parts is None or len(parts) < 2:
        return None
    touched = np.abs(parts) > 1e-9 * np.abs(parts).max()
    flat, mask = parts.reshape(len(parts), -1), touched.reshape(len(parts), -1)
    last = len(parts) - 1 - mask[::-1].argmax(0)
    for words, chosen in (("last", last), ("first", mask.argmax(0))):
        alone = np.take_along_axis(flat, chosen[None], 0)[0].reshape(case.x.shape)
        if case.is_like(alone):
            return f"each place holds only the {words} of its contributions: = instead of +="
    N = case.dout.shape[0]
    images = parts.reshape(N, -1, *case.x.shape).sum(1)
    for n, words in ((N - 1, "last"), (0, "first")):
        if N > 1 and case.is_like(images[n]):
            return f"only the {words} of the {N} images counts: a sum over N is missing, or = instead of +="
    grid = parts.reshape(*case.dout.shape[:-1], *case.x.shape)
    for axis in range(1, case.dout.ndim - 1):
        size = case.dout.shape[axis]
        for cut, words in ((slice(0, size - 1), "last"), (slice(1, size), "first")):
            some = grid[(slice(None),) * axis + (cut,)].sum(tuple(range(case.dout.ndim - 1)))
            if size > 1 and case.is_like(some):
                return f"the {words} of the {size} output positions along axis {axis} does not count: a loop too short?"
    return None


def _statistics(case):
    """What is left over is constant in each channel, or proportional to x there: batch norm's other two terms."""
    if case.x.ndim < 2:
        return None
    C = case.x.shape[-1]
    over, x = (case.given - case.right).reshape(-1, C), case.x.reshape(-1, C)
    if len(x) < 4:
        return None
    centred = x - x.mean(0)
    constant = over.mean(0)
    slope = (over * centred).sum(0) / np.maximum((centred * centred).sum(0), 1e-300)
    size = np.abs(over).max()
    if np.abs(over - constant).max() < CLOSE * size:
        return "in each channel it is off by a constant: the term through the mean is missing"
    if np.abs(over - slope * centred).max() < CLOSE * size:
        return "in each channel it is off by a multiple of x - mean: the term through the variance is missing"
    if np.abs(over - constant - slope * centred).max() < CLOSE * size:
        return "in each channel it is off by a + b (x - mean): the terms through mean and variance are missing"
    return None


def _place(case):
    """All wrong numbers lie in a few slices of one axis."""
    wrong = np.abs(case.given - case.right) > CLOSE * np.abs(case.right).max()
    wrong = wrong if wrong.any() else case.wrong
    for axis in range(wrong.ndim):
        lines = np.moveaxis(wrong, axis, 0).reshape(wrong.shape[axis], -1).any(1)
        if wrong.shape[axis] > 2 and 0 < lines.sum() <= wrong.shape[axis] / 2:
            zero = ", and it is zero there" if not case.given[wrong].any() else ""
            return f"only index {np.flatnonzero(lines).tolist()} of axis {axis} is wrong{zero}: a border, a loop's end?"
    return None


RULES = (
    _zero,
    _factor,
    _upstream_itself,
    _swapped,
    _flipped,
    _channel_factor,
    _channels,
    _statistics,
    _part,
    _shifted,
    _other_kernel,
    _place,
)


def _spatial_sets(shape):
    """Axes along which a kernel may be flipped: the first two of a weight, the middle two of a plane."""
    if len(shape) != 4:
        return [(k,) for k in range(len(shape)) if shape[k] > 1]
    return [axes for axes in ((0, 1), (0,), (1,), (1, 2), (2,)) if max(shape[k] for k in axes) > 1]


def _axes(axes):
    if isinstance(axes, int):
        return "axis" if axes == 1 else f"{axes} axes"
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {' and '.join(map(str, axes))}"
