"""The shortcut without parameters: every second pixel, between channels of zeros.

    out[n, i, j, first + c] = x[n, i*SH, j*SW, c],  all else 0,  with first = (OC - C) // 2

(He et al. 2016, "Deep residual learning for image recognition", §3.3, option A; that the zeros stand on both sides is
the habit of the implementations.) Each number goes to one place, so its gradient comes from there.
"""

import numpy as np

from minighost.engine import check
from minighost.engine.memory import zeros
from minighost.type_aliases import Array, Cache, IntPair

__all__ = ["subsample_backward", "subsample_backward_reference", "subsample_forward", "subsample_forward_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def subsample_forward_reference(x: Array, out_channels: int, stride: IntPair = 1) -> tuple[Array, Cache]:
    """`subsample_forward` by NumPy's padding."""
    SH, SW = check.pair("subsample", "stride", stride, 1)
    missing = out_channels - x.shape[3]
    out = np.pad(x[:, ::SH, ::SW], [(0, 0), (0, 0), (0, 0), (missing // 2, missing - missing // 2)])
    return out, (x.shape, out.shape, (SH, SW))


def subsample_backward_reference(dout: Array, cache: Cache) -> Array:
    """`subsample_backward`, pixel by pixel."""
    x_shape, out_shape, (SH, SW) = cache
    dx, first = np.zeros(x_shape, dout.dtype), (out_shape[3] - x_shape[3]) // 2
    for i, j in np.ndindex(dout.shape[1:3]):
        dx[:, i * SH, j * SW] = dout[:, i, j, first : first + x_shape[3]]
    return dx


# The same, without a copy in between ---------------------------------------------------------------------------


def subsample_forward(x: Array, out_channels: int, stride: IntPair = 1) -> tuple[Array, Cache]:
    """Every `stride`-th pixel, with channels of zeros on both sides.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    out_channels : int
        OC, at least C. Where an odd number is missing, one more is at the end.
    stride : int or (int, int)

    Returns
    -------
    out : ndarray, shape (N, OH, OW, OC)
        OH is H / SH, rounded up.
    cache : tuple
        For `subsample_backward`.

    Raises
    ------
    ValueError
        If there are fewer output channels than input channels.

    Examples
    --------
    >>> subsample_forward(np.arange(4.0).reshape(1, 1, 4, 1), 3, stride=(1, 2))[0].tolist()
    [[[[0.0, 0.0, 0.0], [0.0, 2.0, 0.0]]]]
    """
    x = check.array("subsample", "x", x, 4)
    SH, SW = check.pair("subsample", "stride", stride, 1)
    C, kept = x.shape[3], x[:, ::SH, ::SW]
    if out_channels < C:
        raise ValueError(
            f"subsample: out_channels={out_channels} must be at least the {C} channels of x, for it only adds zeros"
        )
    first = (out_channels - C) // 2
    out = zeros((*kept.shape[:3], out_channels), x.dtype)
    out[..., first : first + C] = kept
    return out, (x.shape, out.shape, (SH, SW))


def subsample_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `subsample_forward`: what a pixel's copy receives; 0 between. Returns `dx`."""
    x_shape, out_shape, (SH, SW) = cache
    dout = check.array("subsample backward", "dout", dout, 4)
    check.shape_is("subsample backward", "dout", dout, out_shape)
    C, dx = x_shape[3], zeros(x_shape, dout.dtype)
    first = (out_shape[3] - C) // 2
    dx[:, ::SH, ::SW] = dout[..., first : first + C]
    return dx
