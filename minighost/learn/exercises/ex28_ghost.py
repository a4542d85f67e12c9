"""Make half of the feature maps with a product and the other half with something cheap.

Many feature maps of a trained network look like cheap copies of one another. So a ghost module (Han et al. 2020,
section 3.1) computes only some maps, the intrinsic ones, by mixing all channels, and derives from each of them a ghost:
its own 3x3 filter over that one map.

    maps = x @ w                            (N, H, W, m)   a 1x1 convolution (exercise 18): w is (C, m)
    ghosts = depthwise(maps, d)             (N, H, W, m)   3x3, stride 1, padding 1 (exercise 16): d is (3, 3, m, 1)
    out = [maps, ghosts], cut to n          (N, H, W, n)   side by side along the channels, maps first

For n outputs, m = ceil(n/2) maps are enough. If n is odd, there is one ghost too many: it is computed and cut off, as
in the authors' code. A map costs C multiplications per pixel and a ghost 9, so with many channels the module costs
about half as much as the 1x1 convolution from C to n channels that it replaces.

In the network, each half is followed by a batch norm and usually a ReLU. Here they are left out: the module is linear.

Given: ops.depthwise_forward_reference(x, w, padding=1) -> out, cache. It is what you wrote in exercise 16, with the
padding of exercise 12, in plain NumPy; the cache is for its backward, not needed here.

A small example: one row of three pixels, C = m = 1, n = 2; x = [1, 2, 3], w = [[2]], and d is 0 except for its middle
row [1, 0, -1]. The map is [2, 4, 6], the ghost [0 - 4, 2 - 6, 4 - 0] = [-4, -4, 4]; out has both as its channels.
"""

import numpy as np

from minighost import ops

# Yours --------------------------------------------------------------------------------------------------------


def ghost(x, w, d, n):
    """x (N, H, W, C), w (C, m), d (3, 3, m, 1), n = 2*m or 2*m - 1 -> out (N, H, W, n)."""
    maps = x @ w
    ghosts, _ = ops.depthwise_forward_reference(maps, d, padding=1)
    return np.concatenate([maps, ghosts], axis=-1)[..., :n]
