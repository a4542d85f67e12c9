"""Go back through a ghost module, where every map is seen twice.

An intrinsic map is part of the output, and its ghost is made from it. So its gradient is a sum of two:

    out = [maps, ghosts], cut to n          dmaps = dout[..., :m], first part;  dghosts = dout[..., m:]
    ghosts = depthwise(maps, d)             backward of exercise 17: dd, and the second part of dmaps
    maps = x @ w                            backward of exercise 18, for the sum of both parts: dx, dw

If n is odd, the last ghost was computed and cut off. Nothing of it reaches the loss, so its gradient is 0: dghosts has
n - m channels and must be padded with zeros to m before the depthwise backward can take it.

Autograd libraries do the sum for you. By hand it is easily forgotten, and nothing crashes then: with
dout[..., :m] alone no ghost ever tells its map what it needs.

Given: the forward, made of ops.pointwise_forward_reference and ops.depthwise_forward_reference, and for the backward
what you wrote in exercises 17 and 18, in plain NumPy (with a cache instead of x and w):

    ops.depthwise_backward_reference(dout, depthwise_cache) -> dx, dw, db
    ops.pointwise_backward_reference(dout, pointwise_cache) -> dx, dw, db          (no bias here: db is None)

A small example, with x = [1, 2, 3], w = [[2]] and middle row [1, 0, -1] as in exercise 28: map [2, 4, 6], ghost j =
map[j-1] - map[j+1]. Let dout be [1, 0, 0] for the map and [0, 1, 0] for the ghost. The ghost sends [1, 0, -1] back to
the map, dmaps = [1, 0, 0] + [1, 0, -1] = [2, 0, -1], dx = 2*dmaps = [4, 0, -2], dw = 1*2 + 2*0 - 3*1 = -1, and the
middle row of dd is [2, 4, 6], what the taps saw at the ghost's middle pixel.
"""

import numpy as np

from minighost import ops


def ghost_forward(x, w, d, n):
    """Exercise 28: x (N, H, W, C), w (C, m), d (3, 3, m, 1) -> out (N, H, W, n), cache."""
    maps, pointwise_cache = ops.pointwise_forward_reference(x, w)
    ghosts, depthwise_cache = ops.depthwise_forward_reference(maps, d, padding=1)
    return np.concatenate([maps, ghosts], axis=-1)[..., :n], (pointwise_cache, depthwise_cache, w.shape[1])


# Yours --------------------------------------------------------------------------------------------------------


def ghost_backward(dout, cache):
    """Gradients of `ghost_forward`: dout (N, H, W, n) -> dx (N, H, W, C), dw (C, m), dd (3, 3, m, 1)."""
    pointwise_cache, depthwise_cache, m = cache
    N, H, W, n = dout.shape
    dghosts = np.zeros((N, H, W, m), dout.dtype)
    dghosts[..., : n - m] = dout[..., m:]
    dmaps, dd, _ = ops.depthwise_backward_reference(dghosts, depthwise_cache)
    dx, dw, _ = ops.pointwise_backward_reference(dout[..., :m] + dmaps, pointwise_cache)
    return dx, dw, dd
