"""Scale every pixel by the nearest one of a smaller plane of gates - the last step of GhostNetV2's attention.

    out[n, i, j, c] = x[n, i, j, c] * gate[n, floor(i*GH/H), floor(j*GW/W), c]      (Tang et al. 2022, eq. 6)

where the gates' plane is GH by GW: `resize_nearest` and a product in one pass, without the enlarged plane. With a plane
of 1x1 it is `scale`. A gate was used for several pixels, so its gradient is the sum over them.
"""

from typing import Any

import numpy as np

from minighost.engine import check
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty
from minighost.ops.resize_nearest import (
    plane,
    resize_nearest_backward_reference,
    resize_nearest_forward_reference,
)
from minighost.type_aliases import Array, Cache

__all__ = ["scale_map_backward", "scale_map_backward_reference", "scale_map_forward", "scale_map_forward_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def scale_map_forward_reference(x: Array, gate: Array) -> tuple[Array, Cache]:
    """`scale_map_forward` in plain NumPy."""
    enlarged, resized = resize_nearest_forward_reference(gate, x.shape[1:3])
    return x * enlarged, (x, enlarged, resized)


def scale_map_backward_reference(dout: Array, cache: Cache) -> tuple[Array, Array]:
    """`scale_map_backward` in plain NumPy."""
    x, enlarged, resized = cache
    return dout * enlarged, resize_nearest_backward_reference(dout * x, resized)


# The same, compiled --------------------------------------------------------------------------------------------


def scale_map_forward(x: Array, gate: Array) -> tuple[Array, Cache]:
    """Multiply every pixel by the nearest gate of its channel.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    gate : ndarray, shape (N, GH, GW, C)
        GH and GW at least 1.

    Returns
    -------
    out : ndarray, shape (N, H, W, C)
    cache : tuple
        For `scale_map_backward`.
    """
    x, gate = check.array("scale_map", "x", x, 4), plane("scale_map", gate)
    check.same_dtype("scale_map", x=x, gate=gate)
    check.shape_is("scale_map", "gate", gate, (len(x), *gate.shape[1:3], x.shape[3]))
    out = empty(x.shape, x.dtype)
    if x.size:
        _scale_map(x, gate, out)
    return out, (x, gate)


def scale_map_backward(dout: Array, cache: Cache) -> tuple[Array, Array]:
    """Gradients of `scale_map_forward`: dx (N, H, W, C) and dgate (N, GH, GW, C)."""
    x, gate = cache
    dout = check.array("scale_map backward", "dout", dout, 4)
    check.shape_is("scale_map backward", "dout", dout, x.shape)
    dx, dgate = empty(x.shape, x.dtype), empty(gate.shape, x.dtype)
    if gate.size:
        sums: Any = np.zeros((gate.shape[0] * gate.shape[1], gate.shape[3]))
        _scale_map_backward(dout, x, gate, dx, dgate, sums)
    return dx, dgate


@kernel
def _scale_map(work, x, gate, out):
    (N, H, W, C), rows, columns = x.shape, gate.shape[1], gate.shape[2]
    for line in share(work, N * H):
        n, i = line // H, line % H
        h = i * rows // H
        for j in range(W):
            w = j * columns // W
            for c in range(C):
                out[n, i, j, c] = x[n, i, j, c] * gate[n, h, w, c]


@kernel
def _scale_map_backward(work, dout, x, gate, dx, dgate, sums):
    (N, H, W, C), rows, columns = x.shape, gate.shape[1], gate.shape[2]
    for line in share(work, N * rows):
        n, h = line // rows, line % rows
        for w in range(columns):
            for c in range(C):
                sums[line, c] = 0
            for i in range(-(-h * H // rows), -(-(h + 1) * H // rows)):  # floor(i*rows/H) == h
                for j in range(-(-w * W // columns), -(-(w + 1) * W // columns)):
                    for c in range(C):
                        dx[n, i, j, c] = dout[n, i, j, c] * gate[n, h, w, c]
                        sums[line, c] += dout[n, i, j, c] * x[n, i, j, c]
            for c in range(C):
                dgate[n, h, w, c] = sums[line, c]
