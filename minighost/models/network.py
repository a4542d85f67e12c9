"""What all networks here are: a chain of layers from images to logits."""

from typing import Any

import numpy as np

from minighost.errors import PlaneTooSmall
from minighost.nn import Chain, Flatten, Module
from minighost.nn.folding import evaluating
from minighost.type_aliases import Array

__all__ = ["Network"]

LARGEST = 1024  # pixels of the side up to which a size that would do is looked for


class Network(Chain):
    """Images (N, H, W, 3) -> logits (N, num_classes), through the attributes in the order in which they were set.

    A network's constructor sets ``self.stem``, ``self.stages``, ..., ``self.classifier`` in the order of its paper's
    table. Forward and backward are the chain's: first to last, and last to first.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Array:
        """Run the layers; where images are too small, or not of the one size that fits, the error says which do."""
        try:
            return super().__call__(*args, **kwargs)
        except ValueError as error:
            x = args[0] if args else None
            if isinstance(x, np.ndarray) and x.ndim == 4:
                self._add_size(error, x)
            raise

    def _add_size(self, error: Any, x: Array) -> None:
        one_size = any(isinstance(module, Flatten) for module in self.modules())
        if not (isinstance(error, PlaneTooSmall) or one_size):
            return
        side = _smallest(evaluating(self, hollow=True), x.shape[3], x.dtype)
        if side is not None and x.shape[1:3] != (side, side):
            (H, W), which = x.shape[1:3], "of" if one_size else "of at least"
            words = f"; {type(self).__name__} needs images {which} {side}x{side} pixels, got {H}x{W}"
            error.rule, error.args = error.rule + words, (error.args[0] + words,)


def _smallest(network: Module, channels: int, dtype: Any) -> int | None:
    """The side of the smallest square plane that passes all layers; tried with no images, so nothing is computed."""

    def fault(side: int) -> Any:
        try:
            Chain.__call__(network, np.empty((0, side, side, channels), dtype))
        except ValueError as error:
            return error
        return None

    small, large = 0, 1  # the last that is too small, and the first that is not
    while isinstance(fault(large), PlaneTooSmall) and large < LARGEST:
        small, large = large, 2 * large
    while large - small > 1:
        middle = (small + large) // 2
        small, large = (middle, large) if isinstance(fault(middle), PlaneTooSmall) else (small, middle)
    return next((side for side in range(large, LARGEST) if fault(side) is None), None)
