"""Spatially separable kernels: a column times a row.

    kernel[u, v] = column[u] * row[v]

Then a convolution with the kernel is one with the column and then one with the row, 2k weights for k*k, because
convolution is associative (so nothing may stand between the two, not even a bias). Exactly the kernels of rank 1 allow
it; the singular value decomposition says how near another one comes to that, and gives the nearest (Eckart and
Young 1936). Sobel's kernel is [1, 2, 1] times [-1, 0, 1].
"""

from typing import NamedTuple, Self

import numpy as np

from minighost.arguments import whole
from minighost.engine.check import pair
from minighost.nn.containers import Chain
from minighost.nn.layers import Conv2d
from minighost.type_aliases import Array, IntPair, Seed

__all__ = ["Separated", "SpatiallySeparableConv2d", "separate"]


class Separated(NamedTuple):
    """A kernel as a column times a row, as nearly as that is possible.

    Attributes
    ----------
    column : ndarray, shape (KH,)
    row : ndarray, shape (KW,)
        Of the same length as the column, in Euclid's norm; the largest number of the column is positive.
    rank : int
        Of the kernel: how many such products it takes to write it as a sum. Up to 1 the factors are exact.
    error : float
        What is missing, relative to the kernel, in Frobenius' norm.
    """

    column: Array
    row: Array
    rank: int
    error: float


def separate(kernel: Array) -> Separated:
    """The column and the row whose product is nearest to a kernel.

    Parameters
    ----------
    kernel : ndarray, shape (KH, KW), float32 or float64

    Raises
    ------
    ValueError
        If it is not a finite kernel with two axes.

    Examples
    --------
    >>> column, row, rank, error = separate(np.array([[1.0, 2.0], [3.0, 6.0]]))
    >>> rank, np.outer(column, row).round(6).tolist()
    (1, [[1.0, 2.0], [3.0, 6.0]])
    """
    kernel = np.asarray(kernel)
    if kernel.ndim != 2 or not kernel.size or not np.isfinite(kernel).all():
        raise ValueError(
            f"separate: kernel must be finite, of shape (KH, KW), got shape {kernel.shape}; take one channel"
        )
    columns, scales, rows = np.linalg.svd(kernel, full_matrices=False)
    rank = int(np.linalg.matrix_rank(kernel))
    first = columns[:, 0]
    factor = np.copysign(np.sqrt(scales[0]), first[np.argmax(abs(first))])
    missing = np.sqrt((scales[1:] ** 2).sum() / (scales**2).sum()) if rank > 1 else 0.0
    return Separated(first * factor, rows[0] * factor, rank, float(missing))


class SpatiallySeparableConv2d(Chain):
    """A k x 1 and then a 1 x k convolution of each channel by itself: (N, H, W, C) -> (N, OH, OW, C).

    Parameters
    ----------
    channels : int
    kernel_size, stride : int or (int, int)
        Height of the column, width of the row.
    padding : int or (int, int), optional
        By default the one that keeps the size at stride 1, ``(kernel_size - 1) / 2``.
    bias : bool
        After the row.
    rng : int or numpy.random.Generator, optional

    Raises
    ------
    ValueError
        As in `Conv2d`.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: IntPair,
        stride: IntPair = 1,
        padding: IntPair | None = None,
        bias: bool = False,
        rng: Seed = None,
    ) -> None:
        C, rng = whole("SpatiallySeparableConv2d", "channels", channels, 1), np.random.default_rng(rng)
        KH, KW = pair("SpatiallySeparableConv2d", "kernel_size", kernel_size, 1)
        SH, SW = pair("SpatiallySeparableConv2d", "stride", stride, 1)
        PH, PW = ((KH - 1) // 2, (KW - 1) // 2) if padding is None else pair("Conv2d", "padding", padding, 0)
        self.column = Conv2d(C, C, (KH, 1), (SH, 1), (PH, 0), groups=C, bias=False, rng=rng)
        self.row = Conv2d(C, C, (1, KW), (1, SW), (0, PW), groups=C, bias=bias, rng=rng)

    def set_kernels(self, kernels: Array) -> Self:
        """Take the factors of the products that are nearest to kernels (KH, KW, C), such as a trained layer's."""
        want = (self.column.kernel_size[0], self.row.kernel_size[1], self.column.groups)
        if np.shape(kernels) != want:
            raise ValueError(f"SpatiallySeparableConv2d: kernels must have shape {want}, got {np.shape(kernels)}")
        for c in range(want[2]):
            nearest = separate(kernels[:, :, c])
            self.column.weight.data[:, 0, 0, c], self.row.weight.data[0, :, 0, c] = nearest.column, nearest.row
        return self
