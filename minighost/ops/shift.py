"""Shift every channel by a fixed offset of its own.

Wu et al. 2018, "Shift: A zero FLOP, zero parameter alternative to spatial convolutions", eq. 3:

    out[n, i, j, c] = x[n, i + offsets[c, 0], j + offsets[c, 1], c]

It is a depthwise convolution whose kernels are 1 at one tap and 0 elsewhere: nothing is multiplied, and a 1x1
convolution after it sees neighbours. Beyond the border there are zeros, or with ``border="edge"`` the nearest pixel.
Letters: N batch, H W height and width, C channels in.
"""

from typing import Any

import numpy as np

from minighost.engine import check
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty
from minighost.type_aliases import Array, ArrayLike, Cache

__all__ = ["shift_backward", "shift_backward_reference", "shift_forward", "shift_forward_reference"]

BORDERS = ("zero", "edge")


# The idea ------------------------------------------------------------------------------------------------------


def shift_forward_reference(x: Array, offsets: ArrayLike, border: str = "zero") -> tuple[Array, Cache]:
    """`shift_forward` by a loop over the channels."""
    N, H, W, C = x.shape
    out = np.zeros_like(x)
    for c, (down, right) in enumerate(_checked(offsets, C, border)):
        rows, columns = np.arange(H) + down, np.arange(W) + right
        if border == "edge":
            rows, columns = np.clip(rows, 0, H - 1), np.clip(columns, 0, W - 1)
        i, j = np.flatnonzero((0 <= rows) & (rows < H)), np.flatnonzero((0 <= columns) & (columns < W))
        out[:, i[:, None], j, c] = x[:, rows[i][:, None], columns[j], c]
    return out, (_checked(offsets, C, border), border)


def shift_backward_reference(dout: Array, cache: Cache) -> Array:
    """`shift_backward` by a loop: a pixel that was read several times, at an edge, takes the sum."""
    offsets, border = cache
    N, H, W, C = dout.shape
    dx = np.zeros_like(dout)
    for i, j, c in np.ndindex(H, W, C):
        h, w = i + offsets[c, 0], j + offsets[c, 1]
        if border == "edge":
            h, w = np.clip(h, 0, H - 1), np.clip(w, 0, W - 1)
        if 0 <= h < H and 0 <= w < W:
            dx[:, h, w, c] += dout[:, i, j, c]
    return dx


# The same, compiled --------------------------------------------------------------------------------------------


def shift_forward(x: Array, offsets: ArrayLike, border: str = "zero") -> tuple[Array, Cache]:
    """Shift every channel by its own offset.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    offsets : array_like of int, shape (C, 2)
        How many rows below and columns to the right of its place a pixel is read; negative for above and left.
    border : str
        "zero" or "edge".

    Returns
    -------
    out : ndarray, shape (N, H, W, C)
    cache : tuple
        For `shift_backward`.

    Raises
    ------
    ValueError
        If there is not one pair of whole numbers per channel, or the border is unknown.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
    >>> shift_forward(x, [(0, 1)])[0].ravel(), shift_forward(x, [(0, 1)], "edge")[0].ravel()
    (array([2., 3., 0.]), array([2., 3., 3.]))
    """
    x = check.array("shift", "x", x, 4)
    offsets = _checked(offsets, x.shape[3], border)
    out = empty(x.shape, x.dtype)
    if x.size:
        _shift(x, offsets, border == "edge", out)
    return out, (offsets, border)


def shift_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `shift_forward`, shape (N, H, W, C): the opposite shift; an edge's copies are summed."""
    offsets, border = cache
    dout = check.array("shift backward", "dout", dout, 4)
    dx = empty(dout.shape, dout.dtype)
    if dx.size:
        _shift_backward(dout, offsets, border == "edge", dx)
    return dx


def _checked(offsets: Any, C: int, border: str) -> Any:
    found = np.asarray(offsets)
    if found.shape != (C, 2) or found.dtype.kind not in "iu":
        raise ValueError(
            f"shift: offsets must be a pair of whole numbers for each of the {C} channels, got shape {found.shape} of "
            f"{found.dtype}"
        )
    if border not in BORDERS:
        raise ValueError(f"shift: border={border!r} is unknown; choose from 'zero', 'edge'")
    return np.ascontiguousarray(found, np.int64)


@kernel
def _shift(work, x, offsets, edge, out):
    (N, H, W, C), zero = x.shape, x.dtype.type(0)
    for line in share(work, N * H):
        n, i = line // H, line % H
        for j in range(W):
            for c in range(C):
                h, w = i + offsets[c, 0], j + offsets[c, 1]
                if edge:
                    h, w = min(max(h, 0), H - 1), min(max(w, 0), W - 1)
                inside = 0 <= h and h < H and 0 <= w and w < W
                out[n, i, j, c] = x[n, h, w, c] if inside else zero


@kernel
def _shift_backward(work, dout, offsets, edge, dx):
    (N, H, W, C), zero = dx.shape, dx.dtype.type(0)
    for line in share(work, N * H):
        n, h = line // H, line % H
        for w in range(W):
            for c in range(C):
                i, j = h - offsets[c, 0], w - offsets[c, 1]
                first, last, left, right = i, i, j, j  # who read this pixel
                if edge:
                    first, last = 0 if h == 0 else i, H - 1 if h == H - 1 else i
                    left, right = 0 if w == 0 else j, W - 1 if w == W - 1 else j
                total = zero
                for row in range(max(first, 0), min(last, H - 1) + 1):
                    for column in range(max(left, 0), min(right, W - 1) + 1):
                        total += dout[n, row, column, c]
                dx[n, h, w, c] = total
