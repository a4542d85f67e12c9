"""Stochastic depth as a layer, at the end of a branch that a shortcut goes around."""

import numpy as np

from minighost import ops
from minighost.arguments import number
from minighost.nn.module import Module
from minighost.type_aliases import Array, InputGrad, Seed

__all__ = ["StochasticDepth"]


class StochasticDepth(Module):
    """Drop whole images of a branch with probability `p` while training; see `ops.stochastic_depth_forward`.

    Parameters
    ----------
    p : float
        0 <= p < 1.
    rng : int or numpy.random.Generator, optional
        Draws which; a resumed run goes on where it was.
    """

    def __init__(self, p: float, rng: Seed = None) -> None:
        number("StochasticDepth", "p", p, least=0, below=1)
        self.p, self.rng = p, np.random.default_rng(rng)

    def forward(self, x: Array) -> Array:
        """Same shape; unchanged in evaluation, and where p is 0."""
        if not (self.training and self.p):
            self._cache = (None,)
            return x
        out, factors = ops.stochastic_depth_forward(x, self.p, self.rng)
        self._cache = (factors,)
        return out

    def backward(self, dout: Array) -> InputGrad:
        """The same images."""
        (factors,) = self._take_cache(dout)
        return dout if factors is None else ops.stochastic_depth_backward(dout, factors)
