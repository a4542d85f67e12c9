"""im2col: lay every window of an image out as a row, so that convolution becomes one matrix product.

Row ``(n, i, j)`` holds the pixels under the kernel at output position (i, j), in the order (u, v, c) of the kernel's
own axes; outside the image they are zero. `col2im` is its adjoint, not its inverse: pixels that several windows
share receive the *sum* of what the windows hold. Letters: K = KH*KW*C, R = N*OH*OW.
"""

import numpy as np

from minighost.engine import check
from minighost.engine.geometry import geometry
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty, zeros
from minighost.type_aliases import Array, IntPair

__all__ = ["col2im", "col2im_reference", "im2col", "im2col_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def im2col_reference(
    x: Array, kernel_size: IntPair, stride: IntPair = 1, padding: IntPair = 0, dilation: IntPair = 1
) -> Array:
    """`im2col` in plain NumPy: one assignment per tap of the kernel."""
    N, H, W, C = x.shape
    KH, KW, SH, SW, PH, PW, DH, DW, OH, OW = geometry("im2col", (H, W), kernel_size, stride, padding, dilation)
    padded = np.pad(x, [(0, 0), (PH, PH), (PW, PW), (0, 0)])
    cols = np.empty((N, OH, OW, KH, KW, C), x.dtype)
    for u in range(KH):
        for v in range(KW):
            cols[:, :, :, u, v] = padded[:, u * DH :, v * DW :][:, : OH * SH : SH, : OW * SW : SW]
    return cols.reshape(N * OH * OW, KH * KW * C)


def col2im_reference(
    cols: Array,
    x_shape: tuple[int, int, int, int],
    kernel_size: IntPair,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
) -> Array:
    """`col2im` in plain NumPy: the same slices, added to instead of read from."""
    N, H, W, C = x_shape
    KH, KW, SH, SW, PH, PW, DH, DW, OH, OW = geometry("col2im", (H, W), kernel_size, stride, padding, dilation)
    padded = np.zeros((N, H + 2 * PH, W + 2 * PW, C), cols.dtype)
    cols = cols.reshape(N, OH, OW, KH, KW, C)
    for u in range(KH):
        for v in range(KW):
            padded[:, u * DH :, v * DW :][:, : OH * SH : SH, : OW * SW : SW] += cols[:, :, :, u, v]
    return padded[:, PH : PH + H, PW : PW + W]  # what fell on the padding is dropped


# The same, compiled --------------------------------------------------------------------------------------------


def im2col(x: Array, kernel_size: IntPair, stride: IntPair = 1, padding: IntPair = 0, dilation: IntPair = 1) -> Array:
    """Lay the windows of `x` out as rows.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    kernel_size, stride, padding, dilation : int or (int, int)

    Returns
    -------
    ndarray, shape (N*OH*OW, KH*KW*C), dtype of `x`

    Raises
    ------
    TypeError, ValueError
        If `x` is not such an array, a number is out of range, or the kernel is larger than the padded input.

    Examples
    --------
    >>> im2col(np.arange(4.0).reshape(1, 2, 2, 1), 2)
    array([[0., 1., 2., 3.]])
    """
    x = check.array("im2col", "x", x, 4)
    N, H, W, C = x.shape
    g = geometry("im2col", (H, W), kernel_size, stride, padding, dilation)
    cols = empty((N, g.OH, g.OW, g.KH, g.KW, C), x.dtype)
    if cols.size:
        _im2col(x, g, cols)
    return cols.reshape(N * g.OH * g.OW, g.KH * g.KW * C)


def col2im(
    cols: Array,
    x_shape: tuple[int, int, int, int],
    kernel_size: IntPair,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
) -> Array:
    """Add the rows of `cols` back to the pixels they came from: the adjoint of `im2col`.

    Parameters
    ----------
    cols : ndarray, shape (N*OH*OW, KH*KW*C)
    x_shape : (N, H, W, C)
    kernel_size, stride, padding, dilation : int or (int, int)

    Returns
    -------
    ndarray, shape `x_shape`, dtype of `cols`

    Notes
    -----
    ``(im2col(x) * cols).sum() == (x * col2im(cols)).sum()`` for all x and cols.
    """
    cols = check.array("col2im", "cols", cols, 2)
    N, H, W, C = x_shape
    g = geometry("col2im", (H, W), kernel_size, stride, padding, dilation)
    check.shape_is("col2im", "cols", cols, (N * g.OH * g.OW, g.KH * g.KW * C))
    x = zeros(x_shape, cols.dtype)
    if cols.size:
        _col2im(cols.reshape(N, g.OH, g.OW, g.KH, g.KW, C), g, x)
    return x


@kernel
def _im2col(work, x, g, cols):
    N, OH, OW, KH, KW, C = cols.shape
    H, W = x.shape[1:3]
    for line in share(work, N * OH):
        n, i = line // OH, line % OH
        for j in range(OW):
            for u in range(KH):
                for v in range(KW):
                    h, w = i * g.SH + u * g.DH - g.PH, j * g.SW + v * g.DW - g.PW
                    if 0 <= h < H and 0 <= w < W:
                        for c in range(C):
                            cols[n, i, j, u, v, c] = x[n, h, w, c]
                    else:
                        for c in range(C):
                            cols[n, i, j, u, v, c] = 0


@kernel
def _col2im(work, cols, g, x):
    N, OH, OW, KH, KW, C = cols.shape
    H, W = x.shape[1:3]
    for n in share(work, N):  # windows overlap within an image, never across images: one writer per image
        for i in range(OH):
            for j in range(OW):
                for u in range(KH):
                    for v in range(KW):
                        h, w = i * g.SH + u * g.DH - g.PH, j * g.SW + v * g.DW - g.PW
                        if 0 <= h < H and 0 <= w < W:
                            for c in range(C):
                                x[n, h, w, c] += cols[n, i, j, u, v, c]
