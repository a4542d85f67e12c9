"""Let distant pixels decide: GhostNetV2's DFC attention.

Squeeze-and-excitation (exercise 26) has one gate per channel and image. DFC attention (Tang et al. 2022, "GhostNetV2",
section 3.2) has one per pixel, made from its surroundings. Full attention would compare every pixel with every other;
here a pixel sees a row of its neighbours, then a column of those, by two depthwise convolutions, and on a plane of half
the size, since attention may be coarse. From x come the gates; they scale y, which another branch made of x too:

    small (N, GH, GW, C)   mean of each 2x2 block of x; GH = H // 2, GW = W // 2, an odd last row or column is left out
    seen (N, GH, GW, OC)   small @ w
    rows                   depthwise(seen, across), across of (1, K, OC, 1), padding (0, K // 2)
    z                      depthwise(rows, down), down of (K, 1, OC, 1), padding (K // 2, 0); no activation between
    gate                   sigmoid(z) = 1 / (1 + exp(-z))
    out[n, i, j, c]        y[n, i, j, c] * gate[n, i*GH // H, j*GW // W, c]          the nearest gate

(Batch norms, which follow all three convolutions, are left out here.) With H even, each gate is used for a block of 2x2
pixels; with H = 5 and GH = 2 the rows 0 1 2 use gate row 0, and 3 4 use gate row 1: i*GH // H, not i // 2.

Backward of the gates. What was used several times gets the sum over its uses, so dgate is the sum of dout * y over all
pixels that used this gate. Then the sigmoid, whose slope is gate * (1 - gate). NumPy trap: a[index] += b adds only once
where an index occurs twice; a loop, or np.add.at(a, index, b), adds every time.

    dy = dout * (its gate)          dz = (sum of dout * y) * gate * (1 - gate)

From dz on it would go back through what you know from exercises 17 and 18.

A small example: gate 0.5 for a plane of 1 x 2 pixels y = [3, 5] (GH = GW = 1, z = 0). out = [1.5, 2.5]. For dout = [1,
10]: dy = [0.5, 5], dgate = 1*3 + 10*5 = 53, dz = 53 * 0.5 * 0.5 = 13.25.

Given: ops.depthwise_forward_reference(x, w, padding=(rows, columns)) -> out, cache, exercise 16 with padding.
"""

import numpy as np

from minighost import ops

# Yours --------------------------------------------------------------------------------------------------------


def dfc_forward(x, w, across, down):
    """x (N, H, W, C), w (C, OC), across (1, K, OC, 1), down (K, 1, OC, 1), K odd -> z (N, H // 2, W // 2, OC)."""
    (N, H, W, C), K = x.shape, len(down)
    GH, GW = H // 2, W // 2
    small = x[:, : 2 * GH, : 2 * GW].reshape(N, GH, 2, GW, 2, C).mean((2, 4))
    rows, _ = ops.depthwise_forward_reference(small @ w, across, padding=(0, K // 2))
    return ops.depthwise_forward_reference(rows, down, padding=(K // 2, 0))[0]


def gate_forward(y, z):
    """Scale y (N, H, W, OC) by the nearest of the gates sigmoid(z), z (N, GH, GW, OC): out (N, H, W, OC), cache."""
    (_, H, W, _), (_, rows, columns, _) = y.shape, z.shape
    gate, h, w = 1 / (1 + np.exp(-z)), np.arange(H)[:, None] * rows // H, np.arange(W) * columns // W
    return y * gate[:, h, w], (y, gate, h, w)


def gate_backward(dout, cache):
    """Gradients of `gate_forward`: dout (N, H, W, OC) -> dy (N, H, W, OC), dz (N, GH, GW, OC)."""
    y, gate, h, w = cache
    dgate = np.zeros_like(gate)
    for i, j in np.ndindex(y.shape[1:3]):
        dgate[:, h[i, 0], w[j]] += dout[:, i, j] * y[:, i, j]
    return dout * gate[:, h, w], dgate * gate * (1 - gate)
