"""Bilinear resizing: every output pixel is a mean of four input pixels, weighted by how near their centres are.

    out[i] = (1 - t)*x[h] + t*x[h + 1]      with  h + t = max(0, (i + 1/2)*H/OH - 1/2),  x[H] = x[H - 1]

along one axis, and the same along the other. Pixels are squares of area 1 with the number at the centre, so that both
planes share their outer edges ("half-pixel centres", PyTorch's ``align_corners=False``); beyond the outermost centres
the edge goes on. Where the plane gets smaller nothing is averaged beforehand, as in PyTorch without ``antialias``.
Backward the four pixels receive their weights' shares of the gradient.

For an integer factor it is a depthwise transposed convolution (Long et al. 2015, "Fully convolutional networks for
semantic segmentation", §3.3), whose kernel `bilinear_kernel` gives - but for the border, where a transposed
convolution sees zeros and resizing sees the edge. Pad the input by its edge first, and crop, and they are equal:

    edged = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="edge")
    out, _ = conv_transpose2d_forward(edged, bilinear_kernel(f, C), None, f, f // 2, groups=C)
    out[:, f:-f, f:-f]                                        # == resize_bilinear_forward(x, (f*H, f*W))
"""

import numpy as np
import numpy.typing as npt

from minighost.arguments import whole
from minighost.engine import check
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty, zeros
from minighost.ops.resize_nearest import plane
from minighost.type_aliases import Array, Cache, IntPair

__all__ = [
    "bilinear_kernel",
    "resize_bilinear_backward",
    "resize_bilinear_backward_reference",
    "resize_bilinear_forward",
    "resize_bilinear_forward_reference",
]


# The idea ------------------------------------------------------------------------------------------------------


def resize_bilinear_forward_reference(x: Array, size: IntPair) -> tuple[Array, Cache]:
    """`resize_bilinear_forward` in plain NumPy: between rows, then between columns."""
    OH, OW = check.pair("resize_bilinear", "size", size, 1)
    rows, columns = _neighbours(x.shape[1], OH, x.dtype), _neighbours(x.shape[2], OW, x.dtype)
    return _between(_between(x, 1, *rows), 2, *columns), (x.shape, rows, columns)


def resize_bilinear_backward_reference(dout: Array, cache: Cache) -> Array:
    """`resize_bilinear_backward` in plain NumPy: the same two steps, from the last to the first."""
    (_, H, W, _), rows, columns = cache
    return _spread(_spread(dout, 2, W, *columns), 1, H, *rows)


def _between(x, axis, below, above, t):
    t = t[:, None, None] if axis == 1 else t[:, None]
    return (1 - t) * x.take(below, axis) + t * x.take(above, axis)


def _spread(dout, axis, size, below, above, t):
    """The adjoint of `_between`, which reads `size` lines along the axis."""
    t = t[:, None, None] if axis == 1 else t[:, None]
    dx = np.zeros((*dout.shape[:axis], size, *dout.shape[axis + 1 :]), dout.dtype)
    np.add.at(dx, (*[slice(None)] * axis, below), (1 - t) * dout)
    np.add.at(dx, (*[slice(None)] * axis, above), t * dout)
    return dx


def _neighbours(size, out_size, dtype):
    """For each output along an axis the two pixels it lies between, and how far it is on its way to the second."""
    place = np.maximum(0, (2 * np.arange(out_size) + 1) * size / (2 * out_size) - 0.5)
    below = np.minimum(place.astype(np.int64), size - 1)
    return below, np.minimum(below + 1, size - 1), (place - below).astype(dtype)


# The same, compiled --------------------------------------------------------------------------------------------


def resize_bilinear_forward(x: Array, size: IntPair) -> tuple[Array, Cache]:
    """Resize the plane by bilinear interpolation between pixel centres.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
        H and W at least 1.
    size : int or (int, int)
        OH, OW; larger than H, W or smaller.

    Returns
    -------
    out : ndarray, shape (N, OH, OW, C)
    cache : tuple
        For `resize_bilinear_backward`.

    Raises
    ------
    TypeError, ValueError
        If `x` is not such an array, or `size` is not at least 1.

    Examples
    --------
    >>> resize_bilinear_forward(np.array([0.0, 4.0]).reshape(1, 1, 2, 1), (1, 4))[0].ravel()
    array([0., 1., 3., 4.])
    """
    x = plane("resize_bilinear", x)
    OH, OW = check.pair("resize_bilinear", "size", size, 1)
    rows, columns = _neighbours(x.shape[1], OH, x.dtype), _neighbours(x.shape[2], OW, x.dtype)
    out = empty((len(x), OH, OW, x.shape[3]), x.dtype)
    if out.size:
        _bilinear(x, rows, columns, out)
    return out, (x.shape, rows, columns)


def resize_bilinear_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `resize_bilinear_forward`: four pixels share each output's. Returns `dx`."""
    (N, H, W, C), rows, columns = cache
    dout = check.array("resize_bilinear backward", "dout", dout, 4)
    check.shape_is("resize_bilinear backward", "dout", dout, (N, len(rows[0]), len(columns[0]), C))
    check.same_dtype("resize_bilinear backward", dout=dout, x=rows[2])
    dx = zeros((N, H, W, C), dout.dtype)
    if dx.size:
        _bilinear_backward(dout, rows, columns, dx)
    return dx


@kernel
def _bilinear(work, x, rows, columns, out):
    N, OH, OW, C = out.shape
    for line in share(work, N * OH):
        n, i = line // OH, line % OH
        top, bottom, t = rows[0][i], rows[1][i], rows[2][i]
        for j in range(OW):
            left, right, s = columns[0][j], columns[1][j], columns[2][j]
            for c in range(C):
                upper = x[n, top, left, c] + s * (x[n, top, right, c] - x[n, top, left, c])
                lower = x[n, bottom, left, c] + s * (x[n, bottom, right, c] - x[n, bottom, left, c])
                out[n, i, j, c] = upper + t * (lower - upper)  # of a constant exactly that constant


@kernel
def _bilinear_backward(work, dout, rows, columns, dx):
    N, OH, OW, C = dout.shape
    for n in share(work, N):  # outputs share pixels within an image only: one writer per image
        for i in range(OH):
            top, bottom, t = rows[0][i], rows[1][i], rows[2][i]
            for j in range(OW):
                left, right, s = columns[0][j], columns[1][j], columns[2][j]
                for c in range(C):
                    lower = t * dout[n, i, j, c]
                    upper = dout[n, i, j, c] - lower
                    dx[n, top, right, c] += s * upper
                    dx[n, top, left, c] += upper - s * upper
                    dx[n, bottom, right, c] += s * lower
                    dx[n, bottom, left, c] += lower - s * lower


# As a transposed convolution -----------------------------------------------------------------------------------


def bilinear_kernel(factor: int, channels: int = 1, dtype: npt.DTypeLike = np.float32) -> Array:
    """The kernel with which a transposed convolution of stride `factor` enlarges a plane bilinearly.

    Parameters
    ----------
    factor : int
        At least 1.
    channels : int
        Each goes to itself.
    dtype : dtype

    Returns
    -------
    ndarray, shape (2*factor - factor%2, 2*factor - factor%2, 1, channels)
        For ``groups=channels``, stride `factor` and padding ``factor // 2``. Along each axis the
        weights fall off linearly from the centre.

    Notes
    -----
    Zero padding spoils the outermost ``factor // 2`` rows and columns of the result: this file's first lines say
    how the edge mends them.

    Examples
    --------
    >>> bilinear_kernel(2)[:, 1, 0, 0] / bilinear_kernel(2)[1, 1, 0, 0] * 0.75
    array([0.25, 0.75, 0.75, 0.25], dtype=float32)
    """
    whole("bilinear_kernel", "factor", factor, 1)
    whole("bilinear_kernel", "channels", channels, 1)
    KH = 2 * factor - factor % 2
    line = 1 - np.abs(np.arange(KH) - (KH - 1) / 2) / factor
    return np.repeat(np.outer(line, line)[:, :, None, None], channels, axis=3).astype(dtype)
