"""Whitening of patches: a first layer that is computed from the images instead of learnt.

Neighbouring pixels say nearly the same, so a network's first steps go into learning differences. The eigenvectors of
the patches' covariance, each divided by its standard deviation, are filters whose answers are uncorrelated and of equal
size from the start (Coates & Ng 2012, "Learning feature representations with k-means", §3; as a frozen first
convolution: Page 2019, "How to train your ResNet", part 8).
"""

import numpy as np

from minighost import ops
from minighost.arguments import choice, number, whole
from minighost.engine.padding import Padding, padding_option, sides, symmetric
from minighost.nn import functional
from minighost.nn.activations import LAYERS, CReLU
from minighost.nn.module import Module
from minighost.nn.parameter import Buffer, Parameter
from minighost.ops.bias import bias_gradient
from minighost.type_aliases import Array, InputGrad

__all__ = ["PatchWhitening"]


class PatchWhitening(Module):
    """Filters that whiten square patches, each with both signs, a learnt bias, and an activation.

    Until `prepare` has seen images the filters are the first pixels themselves.

    Parameters
    ----------
    in_channels : int
        C.
    kernel_size : int
        Side of a patch.
    filters : int, optional
        How many directions are kept: those of the largest variance. All size*size*C by default.
    padding : int, (int, int), ((above, below), (left, right)) or "same"
        Zeros around the plane.
    act : str
        "crelu" gives a filter and its negative one bias together, so that always one of the two is silent. Any other
        of `ops.ACTIVATIONS` gives each its own (Jordan 2024, "94 % on CIFAR-10 in 3.29 seconds on a single GPU", §3.2).

    Attributes
    ----------
    weight : Buffer, shape (size, size, C, filters), or (size, size, C, 2*filters): the negative filters come last
        It is not learnt.
    bias : Parameter, shape (filters,) or (2*filters,)

    Raises
    ------
    ValueError
        `filters` is more than there are directions, or an option is unknown.
    """

    def __init__(
        self,
        in_channels: int = 3,
        kernel_size: int = 2,
        filters: int | None = None,
        padding: Padding = 0,
        act: str = "crelu",
    ) -> None:
        choice("PatchWhitening", "act", act, ["crelu", *LAYERS])
        size = whole("PatchWhitening", "kernel_size", kernel_size, 1)
        C = whole("PatchWhitening", "in_channels", in_channels, 1)
        kept = size * size * C if filters is None else whole("PatchWhitening", "filters", filters)
        if not 0 < kept <= size * size * C:
            raise ValueError(
                f"PatchWhitening: filters={kept} must lie between 1 and {size * size * C}, the numbers in a patch "
                f"(kernel_size*kernel_size*in_channels = {size}*{size}*{C})"
            )
        self.padding = padding_option("PatchWhitening", padding)
        first, both = np.eye(size * size * C, kept, dtype=np.float32), act != "crelu"
        self.weight = Buffer(np.hstack([first, -first] if both else [first]).reshape(size, size, C, -1))
        self.bias = Parameter(np.zeros(self.weight.shape[3], np.float32))
        self.act = LAYERS[act]() if both else CReLU()

    def prepare(self, images: Array, eps: float = 1e-2) -> None:
        """Compute the filters.

        Parameters
        ----------
        images : ndarray, shape (N, H, W, C)
            As the network will see them; a few thousand will do.
        eps : float
            Added to the variances, so that directions that hardly occur are not blown up to noise.
        """
        number("PatchWhitening.prepare", "eps", eps, least=0)
        size, _, _, OC = self.weight.shape
        patches = ops.im2col(np.ascontiguousarray(images), size).astype(np.float64)
        variances, directions = np.linalg.eigh(patches.T @ patches / len(patches))
        filters = directions[:, ::-1] / np.sqrt(variances[::-1] + eps)  # largest variance first
        if not isinstance(self.act, CReLU):
            filters = np.hstack([filters[:, : OC // 2], -filters[:, : OC // 2]])
        self.weight.data[...] = filters[:, :OC].reshape(self.weight.shape)

    def forward(self, x: Array) -> Array:
        """(N, H, W, C) -> (N, OH, OW, 2*filters)."""
        KH, KW, _, _ = self.weight.shape
        wanted = sides(self.padding, x.shape[1:3], (KH, KW))
        padding, border = symmetric(wanted), None
        if padding is None:  # kernels pad opposite sides alike
            x, border = ops.pad_forward(x, wanted)
        waits = self.training and not isinstance(self.act, CReLU)  # which would read it twice, and add up gradients
        y, cache = functional.conv2d_forward(x, self.weight._data, self.bias._data, padding=padding or 0, lazy=waits)
        self._cache = cache, border
        return self.act(y)

    def backward(self, dout: Array) -> InputGrad:
        """Gradient with respect to x, if it is wanted; adds to `bias.grad`."""
        (cache, border), dy = self._take_cache(dout), self.act.backward(dout)
        if not self.dx_wanted:  # the filters do not learn: nothing is left to do but the bias
            if not self.bias.frozen:
                self.bias.accumulate(bias_gradient(np.ascontiguousarray(dy), self.bias._data))
            return None
        dx, _, db = functional.conv2d_backward(dy, cache)
        self.bias.accumulate(db)
        return dx if border is None else ops.pad_backward(np.asarray(dx), border)

    @property
    def macs(self) -> int:  # type: ignore[override]  # a number that follows from the last forward
        """Multiply-adds per image at the last forward."""
        return 0 if self.output_shape is None else self.output_shape[0] * self.output_shape[1] * self.weight._data.size
