"""Interleave the channels of G groups, so that the next grouped convolution sees some of each.

    out[n, h, w, c*G + g] = x[n, h, w, g*(C/G) + c]        (Zhang et al. 2018, "ShuffleNet", §3.1)

Groups of a grouped convolution never see one another; after a shuffle every group has C/G^2 channels of each group
before it. The inverse, `channel_unshuffle`, is a shuffle with C/G groups, and is also the backward: a permutation moves
each gradient back to where its number came from. Letters: N batch, H W height and width, C channels in, G groups.
"""

from minighost.arguments import whole
from minighost.engine import check
from minighost.engine.launch import kernel, spans
from minighost.engine.memory import empty
from minighost.type_aliases import Array

__all__ = [
    "channel_shuffle_backward",
    "channel_shuffle_backward_reference",
    "channel_shuffle_forward",
    "channel_shuffle_forward_reference",
    "channel_unshuffle_backward",
    "channel_unshuffle_backward_reference",
    "channel_unshuffle_forward",
    "channel_unshuffle_forward_reference",
]


# The idea ------------------------------------------------------------------------------------------------------


def channel_shuffle_forward_reference(x: Array, groups: int) -> tuple[Array, int]:
    """`channel_shuffle_forward` in plain NumPy."""
    C, G = x.shape[-1], groups
    table = x.reshape(*x.shape[:-1], G, C // G)  # a row per group
    return table.swapaxes(-1, -2).reshape(x.shape), G


def channel_shuffle_backward_reference(dout: Array, cache: int) -> Array:
    """`channel_shuffle_backward` in plain NumPy: the same table, read the other way."""
    C, G = dout.shape[-1], cache
    table = dout.reshape(*dout.shape[:-1], C // G, G)  # a column per group
    return table.swapaxes(-1, -2).reshape(dout.shape)


def channel_unshuffle_forward_reference(x: Array, groups: int) -> tuple[Array, int]:
    """`channel_unshuffle_forward` in plain NumPy."""
    return channel_shuffle_backward_reference(x, groups), groups


def channel_unshuffle_backward_reference(dout: Array, cache: int) -> Array:
    """`channel_unshuffle_backward` in plain NumPy."""
    return channel_shuffle_forward_reference(dout, cache)[0]


# The same, compiled --------------------------------------------------------------------------------------------


def channel_shuffle_forward(x: Array, groups: int) -> tuple[Array, int]:
    """Shuffle the channels of `groups` groups: one of each group in turn.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    groups : int
        G; must divide C.

    Returns
    -------
    out : ndarray, shape (N, H, W, C)
        A copy: with channels last no view has this order.
    cache : int
        `groups`, for `channel_shuffle_backward`.

    Raises
    ------
    ValueError
        If `groups` does not divide C.

    Examples
    --------
    >>> channel_shuffle_forward(np.arange(6.0).reshape(1, 1, 1, 6), groups=2)[0].ravel()
    array([0., 3., 1., 4., 2., 5.])
    """
    x = check.array("channel_shuffle", "x", x, 4)
    return _transposed(x, _rows_of("channel_shuffle", x, groups)), groups


def channel_shuffle_backward(dout: Array, cache: int) -> Array:
    """Gradient of `channel_shuffle_forward`, shape (N, H, W, C): the inverse permutation."""
    dout = check.array("channel_shuffle backward", "dout", dout, 4)
    return _transposed(dout, dout.shape[3] // cache)


def channel_unshuffle_forward(x: Array, groups: int) -> tuple[Array, int]:
    """The inverse of `channel_shuffle_forward`: bring together what `groups` groups were dealt; arguments as there."""
    x = check.array("channel_unshuffle", "x", x, 4)
    _rows_of("channel_unshuffle", x, groups)
    return channel_shuffle_backward(x, groups), groups


def channel_unshuffle_backward(dout: Array, cache: int) -> Array:
    """Gradient of `channel_unshuffle_forward`: a shuffle."""
    return channel_shuffle_forward(dout, cache)[0]


def _rows_of(name, x, groups):
    C, G = x.shape[3], whole(name, "groups", groups, 1)
    if C % G:
        raise ValueError(f"{name}: groups={G} must divide the channels of x, {C} ({C} % {G} = {C % G})")
    return G


def _transposed(x, rows):
    """Take the channels as a table of so many rows, and list it column by column."""
    out = empty(x.shape, x.dtype)
    if x.size:
        _list_columns(x.reshape(-1, x.shape[3]), rows, out.reshape(-1, x.shape[3]))
    return out


@kernel
def _list_columns(work, x, G, out):
    R, C = x.shape
    columns = C // G
    for first, last in spans(work, R, C):
        for r in range(first, last):
            if G == 2:  # with a stride that the compiler knows, these two loops vectorise
                for c in range(columns):
                    out[r, 2 * c] = x[r, c]
                    out[r, 2 * c + 1] = x[r, columns + c]
            elif columns == 2:
                for g in range(G):
                    out[r, g] = x[r, 2 * g]
                    out[r, G + g] = x[r, 2 * g + 1]
            else:
                for g in range(G):
                    for c in range(columns):
                        out[r, c * G + g] = x[r, g * columns + c]
