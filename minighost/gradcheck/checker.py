"""The check: every way in which a backward can be found wrong, the cheap ones first.

1.  The forward gives the same bits twice, and finite ones.
2.  The backward gives the same bits twice, and changes neither the inputs nor the upstream gradient.
3.  Each gradient has the shape of its array.
4.  The backward is linear in the upstream gradient, as every backward is.
5.  Each gradient is the slope of ``(forward * dout).sum()``, `dout` random: at every index of a small array, along
    random directions and at random indices of a large one; a network's many arrays are moved together, and one by one
    only if that fails. Where the forward is linear in an array, differences are exact, and this is the adjoint law
    <A x, y> = <x, A' y>; where it is analytic, the complex step is. A slope that cannot be measured is a failure.
"""

from dataclasses import dataclass, field

import numpy as np

from minighost.gradcheck.diagnosis import causes
from minighost.gradcheck.failure import GradientError
from minighost.gradcheck.measure import Probe, method, unit
from minighost.gradcheck.subject import subject_of

__all__ = ["Finding", "Report", "check"]

SMALL = 400  # an array of at most this many numbers is checked at every index
MANY, LARGE = 10, 5000  # arrays and numbers; more of both, a network's, are moved together first
DIRECTIONS, SAMPLES = 8, 32
MEASURED = 1e-3  # a slope is known if its error is at most this share of it, or of the array's largest


@dataclass
class Finding:
    """One gradient beside its numerical gradient.

    Attributes
    ----------
    name : str
        The array's.
    shape : tuple of int
    how : str
        How it was measured: "linear: exact differences", "complex step", "central differences".
    where : str
        "every index", or directions and indices.
    error : float
        Largest deviation as a share of the array's largest gradient.
    kinks : int
        Places that lie on a kink, where any value between the slopes on either side is right.
    given, measured : ndarray or None
        Gradient and numerical gradient, if every index was measured.
    wrong : ndarray of bool, or None
        Where they differ.
    """

    name: str
    shape: tuple
    how: str
    where: str
    error: float = 0.0
    kinks: int = 0
    given: np.ndarray | None = field(default=None, repr=False)
    measured: np.ndarray | None = field(default=None, repr=False)
    wrong: np.ndarray | None = field(default=None, repr=False)

    def __str__(self):
        shape = "x".join(map(str, self.shape)) or "a number"
        kinks = f", {self.kinks} on a kink" if self.kinks else ""
        return f"{shape:>12}  error {self.error:.0e}  {self.how}, {self.where}{kinks}"


@dataclass
class Report:
    """What a check that passed has looked at; printing it shows one line per array."""

    name: str
    findings: list

    def __str__(self):
        width = max(len(f.name) for f in self.findings)
        lines = [f"  {f.name:{width}}  {f}" for f in self.findings]
        return "\n".join([f"{self.name}: the backward is the derivative of the forward", *lines])


def check(what, inputs, *, backward=None, seed=0, tolerance=1e-6, name=None):
    """Check a backward against its forward.

    Parameters
    ----------
    what : Module, or pair of callables, or callable
        A layer, ``(forward, backward)``, or a forward with `backward` given. ``forward(*inputs)`` returns
        ``(out, cache)``, and ``backward(dout, cache)`` the gradients of the inputs in their order; a forward that
        returns ``out`` alone goes with ``backward(dout, *inputs)``.
    inputs : ndarray or list
        Arrays of floats are converted to float64 and checked; everything else is passed on unchanged.
    backward : callable, optional
    seed : int
        Of the upstream gradient, the directions and the sampled indices.
    tolerance : float
        Allowed deviation of each slope as a share of it (of the sizes that it is a sum of), beyond the error of the
        differences.
    name : str, optional
        For the messages; by default the function's or the layer's.

    Returns
    -------
    Report

    Raises
    ------
    GradientError
        The backward is wrong: the message says where, by how much, and the likely cause. Or the gradient cannot be
        measured at these inputs: they lie on a jump, an infinite slope, too many kinks, or the forward rounds too much.
    TypeError
        There is nothing to check: no array of floats, or no backward.

    Examples
    --------
    >>> x = np.array([-1.5, 0.5, 2.0])
    >>> print(check((np.square, lambda dout, x: 2 * x * dout), x, name="square"))
    square: the backward is the derivative of the forward
      x             3  error 0e+00  complex step, every index
    """
    subject = subject_of(what, inputs, backward, name)
    rng = np.random.default_rng([seed, 8101])  # not `seed` alone: inputs drawn with it would equal dout
    dout = _upstream(subject, rng)
    gradients = _steady_gradients(subject, dout)
    _refuse_shapes(subject, gradients, dout)
    _refuse_nonlinear(subject, gradients, dout, rng)
    together = len(subject.arrays) > MANY and sum(x.size for x in subject.arrays.values()) > LARGE
    found = _compare_together(subject, gradients, dout, rng, tolerance) if together else None
    if found is not None and found.wrong is None:
        return Report(subject.name, [found])
    together_wrong = found is not None
    findings = []
    for array in subject.from_the_output():
        found = _compare(subject, array, gradients[array], dout, rng, tolerance)
        if found.wrong is not None:
            raise _error(subject, found, dout)
        findings.append(found)
    if together_wrong:
        raise _failure(subject, "the gradients of all arrays together are wrong, but none of them is far off alone")
    order = list(subject.arrays)
    return Report(subject.name, sorted(findings, key=lambda found: order.index(found.name)))


# What needs no slopes ------------------------------------------------------------------------------------------


def _upstream(subject, rng):
    """A random upstream gradient, after a look at the forward."""
    first, second = (np.array(subject.forward()) for _ in range(2))
    if first.dtype.kind != "f":
        raise _failure(subject, f"forward returned {first.dtype}, not floats")
    if not np.array_equal(first, second, equal_nan=True):
        raise _failure(
            subject,
            "forward gave two different results for the same inputs; fix its random seed, and let it not depend on "
            "earlier calls",
        )
    if not np.isfinite(first).all():
        count = np.count_nonzero(~np.isfinite(first))
        raise _failure(subject, f"forward returned {count} NaNs or infinities; give inputs where it is finite")
    return rng.normal(size=first.shape)


def _steady_gradients(subject, dout):
    before = {name: x.copy() for name, x in subject.arrays.items()}
    subject.forward()
    _refuse_changes(subject, before, "forward")
    given = dout.copy()
    first = _copied(subject.backward(given))
    if not np.array_equal(given, dout):
        raise _failure(subject, "backward changed dout, which belongs to the caller; work on a copy")
    _refuse_changes(subject, before, "backward")
    second = subject.backward(given)
    for name, x in first.items():
        if x is None or second[name] is None:
            raise _failure(subject, f"backward gave no gradient for {name} (None)")
        if not np.array_equal(x, second[name], equal_nan=True):
            raise _failure(
                subject,
                f"backward gave two different gradients of {name} for the same cache; it changes the cache, or adds to "
                "an array that it does not clear",
            )
        if not np.isfinite(x).all():
            raise _failure(subject, f"the gradient of {name} has NaNs or infinities")
    return first


def _copied(gradients):
    return {name: None if x is None else np.array(x) for name, x in gradients.items()}


def _refuse_changes(subject, before, who):
    for name, x in subject.arrays.items():
        if not np.array_equal(x, before[name], equal_nan=True):
            count = np.count_nonzero(x != before[name])
            raise _failure(subject, f"{who} changed its input {name} at {count} places; work on a copy")


def _refuse_shapes(subject, gradients, dout):
    for name, x in subject.arrays.items():
        given = gradients[name]
        if given.shape != x.shape:
            found = Finding(name, x.shape, "", "", given=given)
            text = f"the gradient of {name} has shape {given.shape}, but {name} has {x.shape}"
            raise _failure(subject, text + _because(causes(subject, found, dout)), found)


def _refuse_nonlinear(subject, gradients, dout, rng):
    """``backward(a + b) = backward(a) + backward(b)``, which fails where dout is not used, or used twice."""
    other = rng.normal(size=dout.shape)
    subject.forward()
    one, both = _copied(subject.backward(other)), _copied(subject.backward(dout + other))
    # Nothing but rounding is left where the right gradient is 0, as before a batch norm; it is that of large numbers.
    rounding = 1e-12 * max(np.abs(dout).sum(), *(np.abs(x).max(initial=0) for x in both.values()))
    for name, x in gradients.items():
        expected = x + one[name]
        if not np.abs(both[name] - expected).max(initial=0) <= 1e-8 * np.abs(expected).max(initial=0) + rounding:
            raise _failure(
                subject,
                f"the gradient of {name} is not proportional to dout, as every gradient is: the one for a + b is not "
                "the sum of those for a and for b; is dout left out somewhere, or used twice?",
            )


def _failure(subject, text, found=None):
    return GradientError(f"gradcheck {subject.name}: {text}", found)


# Slopes --------------------------------------------------------------------------------------------------------


def _compare(subject, name, given, dout, rng, tolerance):
    """Measure the slopes along single indices or directions and set the gradient beside them."""
    x, probe = subject.arrays[name], Probe(subject, [name], dout)
    every, samples = x.size <= SMALL, min(SAMPLES, x.size)
    directions = [d / np.linalg.norm(d) for d in rng.normal(size=(DIRECTIONS, *x.shape))] if x.size else []
    measure, how = method(probe, name, directions)
    if every:
        slopes = [measure(unit(x.shape, index)) for index in np.ndindex(x.shape)]
        answers, where = given.ravel(), "every index"
    else:
        chosen = [np.unravel_index(k, x.shape) for k in rng.choice(x.size, samples, replace=False)]
        slopes = [measure(d) for d in [*directions, *(unit(x.shape, index) for index in chosen)]]
        answers = np.array([*((given * d).sum() for d in directions), *(given[index] for index in chosen)])
        where = f"{DIRECTIONS} directions and {samples} indices"
    value, low, high, error, noise, mass = np.array(slopes).reshape(-1, 6).T
    found = Finding(name, x.shape, how, where, kinks=int((high > low).sum()))
    if found.kinks > max(2, 0.2 * len(value)):
        raise _failure(
            subject,
            f"{found.kinks} of {len(value)} places of {name} lie on a kink, where a gradient cannot be checked; give "
            "inputs that avoid it (a ReLU's 0, equal values under a maximum)",
        )
    room = MEASURED**2 * np.abs(dout).sum()
    peak = np.abs(value[np.isfinite(value)]).max(initial=0)
    # nothing but rounding on both sides, as the gradient of a bias before batch norm
    zero = (np.maximum(np.abs(answers), np.abs(value)) <= error) & (error <= np.minimum(4 * noise, room))
    unknown = ~(zero | (10 * error <= MEASURED * np.maximum(mass, peak)))
    if unknown.any():
        raise _failure(subject, _unmeasured(found, unknown, slopes))
    off = np.maximum(np.maximum(low - answers, answers - high), 0)
    wrong = ~(off <= tolerance * np.maximum(mass, 1e-9 * peak) + 10 * error)
    found.error = float((off / peak).max(initial=0)) if peak else 0.0
    if wrong.any():
        found.given, found.measured = (given, value.reshape(x.shape)) if every else (answers, value)
        found.wrong = wrong.reshape(x.shape) if every else wrong
    return found


def _compare_together(subject, gradients, dout, rng, tolerance):
    """Slopes along directions in which all arrays move, each so far that none drowns the others.

    None if one of them cannot be measured.
    """
    norms = {name: float(np.linalg.norm(g)) for name, g in gradients.items()}
    usual = float(np.median(list(norms.values()))) or 1.0  # gradients of zeros must not hold their arrays still
    probe, count = Probe(subject, list(gradients), dout), sum(x.size for x in gradients.values())
    where = f"{DIRECTIONS} directions of them together"
    found = Finding(f"{len(gradients)} arrays", (count,), "differences", where)
    for _ in range(DIRECTIONS):
        direction = {}
        for name, x in subject.arrays.items():
            d = rng.normal(size=x.shape)
            direction[name] = d / np.linalg.norm(d) * min(1.0, usual / max(norms[name], 1e-300))
        answer = sum(float((gradients[name] * d).sum()) for name, d in direction.items())
        measured = probe.slope(direction, usual)
        size = max(abs(measured.value), usual)
        if not 10 * measured.error <= MEASURED * size:
            return None
        off = max(measured.low - answer, answer - measured.high, 0.0)
        found.error = max(found.error, off / size)
        if not off <= tolerance * size + 10 * measured.error:
            found.wrong = np.array([True])
    return found


# What is said --------------------------------------------------------------------------------------------------


def _error(subject, found, dout):
    count, total = np.count_nonzero(found.wrong), found.wrong.size
    index = tuple(int(k) for k in np.argwhere(found.wrong)[0])
    place = _place(found, index)
    text = (
        f"the gradient of {found.name} is wrong at {count} of {total} places ({found.how})\n"
        f"first wrong: {place}: your gradient {found.given[index]:.10g}, "
        f"numerical gradient {found.measured[index]:.10g}"
    )
    return _failure(subject, text + _because(causes(subject, found, dout)), found)


def _unmeasured(found, unknown, slopes):
    first = int(np.flatnonzero(unknown)[0])
    index = np.unravel_index(first, found.shape) if found.where == "every index" else (first,)
    if np.isfinite(slopes[first].error):
        why = (
            f"the best of all steps gives {slopes[first].value:.3g} +- {slopes[first].error:.1g}: a jump, an infinite "
            "slope, or rounding that outweighs the slope; give inputs away from it"
        )
    else:
        why = (
            "however short the step, forward has no finite numbers to the left and to the right; give inputs well "
            "inside its domain"
        )
    count, name = np.count_nonzero(unknown), found.name
    return (
        f"{count} of {unknown.size} numerical gradients of {name} cannot be measured, the first at "
        f"{_place(found, index)}: {why}"
    )


def _place(found, index):
    if found.where != "every index":
        return f"{found.name}, at random, {found.where}: number {index[0] + 1}"
    return f"{found.name}[{', '.join(str(int(k)) for k in index)}]" if index else found.name


def _because(reasons):
    return "".join(f"\nlikely: {reason}" for reason in reasons)
