"""Give every channel its own filter.

A depthwise convolution is the grouped one with as many groups as channels: each output looks at a single input
channel, so nothing is summed over channels. A layer that needed C*OC kernels now needs one per channel, or M per
channel, where M is the multiplier (usually 1). Ghost modules make their cheap maps with it. (Howard et al. 2017,
"MobileNets", eq. 3)

    out[n, i, j, c*M + m] = sum_{u,v} x[n, i + u, j + v, c] * w[u, v, c, m]

    x (N, H, W, C),   w (KH, KW, C, M)   ->   out (N, OH, OW, C*M),      OH = H - KH + 1,  OW = W - KW + 1

The M maps of one channel are adjacent: with M = 2 the output channels are (0, 0) (0, 1) (1, 0) (1, 1) ...,
written (c, m). An array (N, OH, OW, C, M) has its numbers in this order, so one reshape at the end is enough.

It contains no matrix product, only a multiplication of every pixel by its own channel's weight. Loop over the taps
as in exercise 13: the block that lies under tap (u, v) is x[:, u : u + OH, v : v + OW], of shape (N, OH, OW, C). Give
it a last axis of length 1 (index with None), and NumPy multiplies it by w[u, v], of shape (C, M), for all m at once:

    (N, OH, OW, C, 1) * (C, M) -> (N, OH, OW, C, M)

Example: a row of two pixels (H = 1) with two channels, (1, 2) and (3, 4), a 1x2 kernel with M = 1: w = [1, 10] in
channel 0 and [100, 1000] in channel 1. One place: out = 1*1 + 3*10, 2*100 + 4*1000 = 31 4200.
"""

import numpy as np

# Yours --------------------------------------------------------------------------------------------------------


def depthwise_forward(x, w):
    """Convolve each channel of x (N, H, W, C) with its own M kernels of w (KH, KW, C, M): out (N, OH, OW, C*M)."""
    (N, H, W, C), (KH, KW, _, M) = x.shape, w.shape
    OH, OW = H - KH + 1, W - KW + 1
    out = np.zeros((N, OH, OW, C, M), x.dtype)
    for u in range(KH):
        for v in range(KW):
            out += x[:, u : u + OH, v : v + OW, :, None] * w[u, v]  # (N, OH, OW, C, 1) * (C, M)
    return out.reshape(N, OH, OW, C * M)
