"""Convolve a batch of images with many kernels.

Three things turn the correlation of exercise 3 into the convolution that networks use.

Channels.  A pixel is not one number but C of them: red, green and blue at first, then whatever the layers before have
           found. A window is (KH, KW, C), and so is a kernel; the sum runs over the channels too.
Kernels.   A layer looks for OC patterns at once. Each has its own weights, and gives one channel of the output.
Batch.     N images go through together. They have nothing to do with each other.

Each of the OC sums gets its own constant added, the bias b[o]. So with x (N, H, W, C), w (KH, KW, C, OC), b (OC,)

    out[n, i, j, o] = b[o] + sum over u, v, c of  x[n, i + u, j + v, c] * w[u, v, c, o]         out (N, OH, OW, OC)

with OH = H - KH + 1 and OW = W - KW + 1: the window stays inside the image and moves by one pixel (no padding,
stride 1; both come later). Channels always come last, and the letters mean the same in all exercises.

For example, one pixel with two channels, [3, 5], meets two 1x1 kernels, [1, 10] and [100, 1000], b = [2, 7]:
out = [3*1 + 5*10 + 2, 3*100 + 5*1000 + 7] = [55, 5307].

Write it so that you are sure of it, with as many loops as you like; exercise 7 makes it fast. A short way to loop over
all places is `for n, i, j, o in np.ndindex(N, OH, OW, OC)`, and w[:, :, :, o] is the kernel of output channel o.
"""

import numpy as np

# Yours -----------------------------------------------------------------------------------------------------------


def conv_forward(x, w, b):
    """Convolution of x (N, H, W, C) with w (KH, KW, C, OC) and bias b (OC,). Returns out, of shape (N, OH, OW, OC)."""
    (N, H, W, _), (KH, KW, _, OC) = x.shape, w.shape
    OH, OW = H - KH + 1, W - KW + 1
    out = np.zeros((N, OH, OW, OC))
    for n, i, j, o in np.ndindex(N, OH, OW, OC):
        window = x[n, i : i + KH, j : j + KW]  # (KH, KW, C)
        out[n, i, j, o] = (window * w[:, :, :, o]).sum() + b[o]
    return out
