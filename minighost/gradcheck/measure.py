"""Measuring the slopes of one array, or of all together, in the sharpest way that the forward allows."""

import numpy as np

from minighost.gradcheck.failure import GradientError
from minighost.gradcheck.numeric import ROUND, Slope, complex_step, slope

__all__ = ["Probe", "method", "typical_size", "unit"]

LINEAR = 1e-11  # relative error of an exactly linear function, after a few thousand additions


def typical_size(x):
    """Median of the sizes of the numbers that are not 0; 1 if there are none."""
    sizes = np.abs(x[x != 0])
    return float(np.median(sizes)) if sizes.size else 1.0


class Probe:
    """The numbers that ``(forward * dout).sum()`` adds up, with arrays moved.

    Parameters
    ----------
    subject : Subject
    names : list of str
        Of the arrays that move.
    dout : ndarray
    """

    def __init__(self, subject, names, dout):
        self.subject, self.dout = subject, dout
        self.at_rest = {name: subject.arrays[name].copy() for name in names}
        self.typical = typical_size(np.concatenate([x.ravel() for x in self.at_rest.values()]))
        out = subject.forward()
        self.rounding = 8 * float(np.finfo(out.dtype).eps)
        self.centre = np.ravel(out * dout)

    def __call__(self, directions, t):
        """The numbers with each array moved by t times its direction; None where the forward has none.

        Directions are ndarrays by the arrays' names.
        """
        if t == 0:
            return self.centre
        arrays = self.subject.arrays
        try:
            with np.errstate(all="ignore"):
                for name, direction in directions.items():
                    arrays[name][...] = self.at_rest[name] + t * direction
                out = self.subject.forward()
                if out.dtype.kind == "f" and out.shape == self.dout.shape:
                    terms = np.ravel(out * self.dout)
                    return terms if np.isfinite(terms).all() else None
        except GradientError:
            raise
        except (ArithmeticError, ValueError, AssertionError):  # how plain Python says "outside my domain"
            return None
        finally:
            for name in directions:
                arrays[name][...] = self.at_rest[name]
        if out.dtype.kind == "c":  # the root of a negative number, to some libraries
            return None
        raise GradientError(
            f"gradcheck {self.subject.name}: forward returned {self.dout.shape}, and {out.shape} of {out.dtype} when "
            "an input moved; shape and dtype must not depend on the numbers"
        )

    def slope(self, directions, usual):
        """The slope along directions, by differences."""
        size = self.typical / max(np.abs(d).max() for d in directions.values())
        if len(directions) == 1:
            [(name, d)] = directions.items()
            if np.count_nonzero(d) == 1:
                size = float(np.abs(self.at_rest[name][d != 0][0])) or self.typical
        return slope(lambda t: self(directions, t), _power(size), self.typical, usual, self.rounding)


def method(probe, name, directions):
    """The sharpest way to measure the slopes of one array, as a function of a direction, and its name."""
    found = [probe.slope({name: d}, 1.0) for d in directions]
    usual = np.array([f.value for f in found])
    known = np.array([_is_known(f) for f in found], bool)
    scale = float(np.abs(usual[known]).mean()) if known.any() else 0.0

    def differences(d):
        return probe.slope({name: d}, scale)

    if _is_linear(probe, name, directions):
        return lambda d: _exact(probe, name, d) or differences(d), "linear: exact differences"
    if probe.subject.complex_forward is None or not known.any():
        return differences, "central differences"

    def imaginary(d):
        return complex_step(lambda t: (probe.subject.complex_forward(name, t * d) * probe.dout).sum())

    exact = [imaginary(d) for d in directions]
    if None in exact or not np.allclose(np.array(exact)[known], usual[known], rtol=1e-6, atol=1e-6 * scale):
        return differences, "central differences"

    def measure(d):
        found, beside = imaginary(d), differences(d)  # analytic here? a kink elsewhere shows in the differences
        near = found is not None and abs(found - beside.value) <= 1e-6 * scale + 10 * beside.error
        if not (near and _is_known(beside, scale)):
            return beside
        error = ROUND * max(abs(found), beside.mass)
        return Slope(found, found, found, error, error, beside.mass)

    return measure, "complex step"


def _is_known(found, scale=0.0):
    return bool(found.error <= 1e-3 * max(scale, found.mass))


def _is_linear(probe, name, directions):
    """Whether the forward is linear in this array, up to a constant: f(a + b) - f(a) = f(b) - f(0)."""
    moves = np.array((-3.0, -1.0, 0.0, 2.0))
    for d in directions[:2]:
        d = d / np.abs(d).max() * probe.typical
        terms = [probe({name: d}, t) for t in moves]
        if any(term is None for term in terms):
            return False
        points = np.array([term.sum() for term in terms])
        slopes = np.diff(points) / np.diff(moves)
        steepest = np.abs(slopes).max()
        if not np.ptp(slopes) <= min(LINEAR * max(np.abs(points).max(), steepest), 1e-6 * steepest):
            return False
    return bool(directions)


def _exact(probe, name, d):
    """The slope of a linear function; None where a long step shows that it is not linear here."""
    h = probe.typical
    below, centre, above = (probe({name: d}, t) for t in (-h, 0, h))
    if below is None or above is None:
        return None
    changed = (above != centre) | (below != centre)
    below, centre, above = below[changed], centre[changed], above[changed]
    error = LINEAR * float(np.maximum(np.abs(above), np.abs(below)).sum()) / (10 * h)
    value, bend = float((above - below).sum()) / (2 * h), float((above + below - 2 * centre).sum()) / h
    if not abs(bend) <= 10 * error:
        return None
    return Slope(value, value, value, error, error, float(np.abs(above - below).sum()) / (2 * h))


def unit(shape, index):
    """1 at the index, 0 elsewhere."""
    found = np.zeros(shape)
    found[index] = 1
    return found


def _power(size):
    """The nearest power of two: moved by it, most numbers are not rounded."""
    return float(2.0 ** np.clip(np.round(np.log2(size)), -1000, 1000))
