"""Lazy gradients: what layers hand back to one another.

A convolution returns an `InputGradient`: the ReLU before it has already cut the numbers, and the two sums that the
batch norm before it needs come with them. Batch norm turns it into a `RawGradient`, three numbers per channel with
which the convolution before it finishes the gradient on the way into its tile.
"""

import numpy as np

from minighost import ops
from minighost.nn.functional.values import Lazy, together

__all__ = ["GatedGradient", "InParts", "InputGradient", "RawGradient", "RectifiedGradient"]


class InParts(Lazy):
    """A gradient in parts whose channels stand side by side."""

    def __init__(self, arrays):
        self.shape, self.dtype = together(arrays)
        self._value = None

    def _arrays(self):
        raise NotImplementedError

    def is_read(self):
        """Whether it has become an array, which somebody may have changed."""
        return self._value is not None

    def materialize(self):
        """The array, which is computed once."""
        if self._value is None:
            arrays = self._arrays()
            self._value = arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=3)
        return self._value


class InputGradient(InParts):
    """The gradient with respect to an `Activation`; zero where the activation was cut.

    Attributes
    ----------
    parts : list of kernels.Deferred
        The activation's own.
    dys : list of ndarray
        With respect to each part; where a part has a gate, with respect to the gate's result.
    sums : list of ndarray, shape (chunks, 2, C), or None
        Of dy and ``dy * (raw - mean)``; None if a part's activation has a slope that dy has still to be multiplied by.
    dgates : list of ndarray, shape (N, C), or None
    owned : bool
        Whether nobody else has these arrays, so that another gradient may be added to them in place.
    """

    def __init__(self, parts, dys, sums, dgates=None, owned=True, used=None):
        super().__init__(dys)
        self.parts, self.dys, self.sums, self.dgates, self.owned = parts, dys, sums, dgates, owned
        self._used = [] if used is None else used  # one list for all values with the same arrays

    def belongs_to(self, parts):
        """Whether it is the gradient with respect to these very parts, and nobody has touched it."""
        same = len(parts) == len(self.parts) and all(a is b for a, b in zip(parts, self.parts, strict=True))
        return same and not self.is_read()

    def of(self, parts):
        """The same numbers as the gradient with respect to what the parts were made of."""
        return InputGradient(parts, self.dys, self.sums, self.dgates, self.owned, self._used)

    def some(self, mine):
        """The gradient with respect to some of the parts."""
        dgates = None if self.dgates is None else self.dgates[mine]
        sums = None if self.sums is None else self.sums[mine]
        return InputGradient(self.parts[mine], self.dys[mine], sums, dgates, self.owned, self._used)

    def use_up(self):
        """Give the arrays away, to be written to."""
        self._used.append(True)

    def _arrays(self):
        if self._used:
            raise RuntimeError(
                "a gradient that one layer handed to another is read, but has already been added to another; read it "
                "before the next backward, or use `with nn.fusing(False):`"
            )
        return self.dys


class RawGradient(InParts):
    """The gradient with respect to a convolution's raw result: ``scale*dy + slope*raw + constant``.

    Attributes
    ----------
    parts : list of kernels.DeferredGradient
    """

    def __init__(self, parts):
        super().__init__([p.dy for p in parts])
        self.parts = parts

    def _arrays(self):
        return [p.dy * c[0] + p.raw * c[1] + c[2] for p in self.parts for c in [p.coefficients]]


class RectifiedGradient(InParts):
    """The gradient with respect to a `Sum`, not yet cut by the ReLU after the sum.

    Attributes
    ----------
    dout : ndarray
        With respect to the ReLU's result.
    out : ndarray
        The ReLU's result.
    """

    def __init__(self, dout, out):
        super().__init__([dout])
        self.dout, self.out = dout, out

    def _arrays(self):
        return [ops.relu_backward(self.dout, self.out)]  # the result is 0 just where the ReLU cut


class GatedGradient(InParts):
    """``gate * dy``, the gradient with respect to what was gated, still without the way through the gate itself.

    Attributes
    ----------
    before, after : list of kernels.Deferred
        What was gated, without and with its gate.
    dys : list of ndarray
        With respect to the gate's result.
    """

    def __init__(self, before, after, dys):
        super().__init__(dys)
        self.before, self.after, self.dys = before, after, dys

    def _arrays(self):
        return [dy * p.gate[:, None, None] for dy, p in zip(self.dys, self.after, strict=True)]
