"""Send a gradient back through a depthwise convolution.

The forward of exercise 16 has one product per tap, with no sum over channels. With dout viewed as (N, OH, OW, C, M),
each of its products x * w gives dout * w to dx and dout * x to dw:

    dx[n, i + u, j + v, c] += sum_m dout[n, i, j, c, m] * w[u, v, c, m]         for all i, j, u, v
    dw[u, v, c, m]          = sum_{n,i,j} dout[n, i, j, c, m] * x[n, i + u, j + v, c]

The rule for which sums to take: whatever the forward used several times gets the sum over its uses. A pixel is used at
every tap (hence +=) and for each of the M maps of its channel (hence sum_m). A weight is used in every image and at
every position (hence sum over n, i, j), but only in its own channel: c is summed nowhere.

The blocks are those of the forward: x[:, u : u + OH, v : v + OW] lies under tap (u, v).

Example: a row of three pixels 1 2 3 (H = 1, C = 1, M = 1), kernel [1, 10]; out = 21 32. For dout = 1 2

    dx = 1*1, 1*10 + 2*1, 2*10 = 1 12 20          dw = [1*1 + 2*2, 1*2 + 2*3] = [5, 8]
"""

import numpy as np

# Yours --------------------------------------------------------------------------------------------------------


def depthwise_backward(dout, x, w):
    """Gradients dx (N, H, W, C), dw (KH, KW, C, M) from dout (N, OH, OW, C*M), x and w."""
    (KH, KW, C, M), (N, OH, OW, _) = w.shape, dout.shape
    dy = dout.reshape(N, OH, OW, C, M)
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for u in range(KH):
        for v in range(KW):
            seen = x[:, u : u + OH, v : v + OW, :, None]  # (N, OH, OW, C, 1)
            dw[u, v] = (dy * seen).sum((0, 1, 2))
            dx[:, u : u + OH, v : v + OW] += (dy * w[u, v]).sum(4)
    return dx, dw
