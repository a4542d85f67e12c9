"""Gradient checks: is a hand-written backward the derivative of its forward?

    mg.gradcheck.check((forward, backward), [x, w, b])     # any pair of functions, yours too
    mg.gradcheck.check(nn.GhostModule(4, 6, 3), x)         # a layer: its input and each of its parameters

A check that fails raises `GradientError`, which says where the two first differ, by how much and why that may be, and
can draw the error.
"""

from minighost.gradcheck.checker import Finding, Report, check
from minighost.gradcheck.failure import GradientError

__all__ = ["Finding", "GradientError", "Report", "check"]
