"""Whitening of patches: a first layer that is computed from the images instead of learnt.

Neighbouring pixels say nearly the same, so a network's first steps go into learning differences. The eigenvectors of
the patches' covariance, each divided by its standard deviation, are filters whose answers are uncorrelated and of equal
size from the start (Coates & Ng 2012, "Learning feature representations with k-means", §3; as a frozen first
convolution: Page 2019, "How to train your ResNet", part 8).
"""

import numpy as np

from minighost import ops
from minighost.arguments import number, whole
from minighost.engine.check import pair
from minighost.nn.activations import CReLU
from minighost.nn.module import Module
from minighost.nn.parameter import Buffer, Parameter
from minighost.ops.bias import bias_gradient
from minighost.type_aliases import Array, InputGrad, IntPair

__all__ = ["PatchWhitening"]


class PatchWhitening(Module):
    """Filters that whiten square patches, a learnt bias, and CReLU, so that each filter answers with both signs.

    Until `prepare` has seen images the filters are the first pixels themselves.

    Parameters
    ----------
    in_channels : int
        C.
    kernel_size : int
        Side of a patch.
    filters : int, optional
        OC, how many directions are kept: those of the largest variance. All size*size*C by default.
    padding : int
        Zeros around the plane.

    Attributes
    ----------
    weight : Buffer, shape (size, size, C, OC)
        It is not learnt.
    bias : Parameter, shape (OC,)

    Raises
    ------
    ValueError
        There are not so many directions.
    """

    def __init__(
        self, in_channels: int = 3, kernel_size: int = 2, filters: int | None = None, padding: IntPair = 0
    ) -> None:
        size = whole("PatchWhitening", "kernel_size", kernel_size, 1)
        C = whole("PatchWhitening", "in_channels", in_channels, 1)
        OC = size * size * C if filters is None else whole("PatchWhitening", "filters", filters)
        if not 0 < OC <= size * size * C:
            raise ValueError(
                f"PatchWhitening: filters={OC} must lie between 1 and {size * size * C}, the numbers in a patch "
                f"(kernel_size*kernel_size*in_channels = {size}*{size}*{C})"
            )
        self.padding = pair("PatchWhitening", "padding", padding, 0)
        self.weight = Buffer(np.eye(size * size * C, OC, dtype=np.float32).reshape(size, size, C, OC))
        self.bias = Parameter(np.zeros(OC, np.float32))
        self.act = CReLU()

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
        size, _, _, OC = self.weight.data.shape
        patches = ops.im2col(np.ascontiguousarray(images), size).astype(np.float64)
        variances, directions = np.linalg.eigh(patches.T @ patches / len(patches))
        filters = directions[:, ::-1] / np.sqrt(variances[::-1] + eps)  # largest variance first
        self.weight.data[...] = filters[:, :OC].reshape(self.weight.data.shape)

    def forward(self, x: Array) -> Array:
        """(N, H, W, C) -> (N, OH, OW, 2*OC)."""
        y, self._cache = ops.conv2d_forward(x, self.weight._data, self.bias._data, padding=self.padding)
        return self.act(y)

    def backward(self, dout: Array) -> InputGrad:
        """Gradient with respect to x, if it is wanted; adds to `bias.grad`."""
        cache, dy = self._take_cache(dout), self.act.backward(dout)
        if not self.dx_wanted:  # the filters do not learn: nothing is left to do but the bias
            self.bias.accumulate(bias_gradient(dy, self.bias._data))
            return None
        dx, _, db = ops.conv2d_backward(dy, cache)
        self.bias.accumulate(db)
        return dx

    @property
    def macs(self) -> int:  # type: ignore[override]  # a number that follows from the last forward
        """Multiply-adds per image at the last forward."""
        return 0 if self.output_shape is None else self.output_shape[0] * self.output_shape[1] * self.weight._data.size
