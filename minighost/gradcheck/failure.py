"""The error of a failed check: the report in words, the arrays for a closer look."""

__all__ = ["GradientError"]


class GradientError(AssertionError):
    """A backward is not the derivative of its forward.

    Attributes
    ----------
    finding : Finding or None
        The first wrong gradient, with both arrays. None where the failure is of another kind: a backward that changes
        its inputs, or that differs from call to call.
    """

    def __init__(self, message, finding=None):
        super().__init__(message)
        self.finding = finding

    def draw(self, path):
        """Draw backward, finite differences and their difference as a picture; returns its path."""
        from minighost.plots.gradient import save  # matplotlib takes a second to import

        if self.finding is None or self.finding.measured is None:
            raise ValueError("gradcheck: nothing to draw: this failure is not about single numbers")
        return save(self.finding, path)
