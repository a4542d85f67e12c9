"""Take longer steps: convolution with a stride, forward and backward.

With stride (SH, SW) the window moves SH pixels down or SW to the right at each step, instead of one. A stride of 2
makes the output half as high and half as wide, which is how many networks shrink their images. Output (i, j) looks at
the window whose first pixel is (i*SH, j*SW):

    out[n, i, j, o] = sum_{u,v,c} x[n, i*SH + u, j*SW + v, c] * w[u, v, c, o]       OH = (H - KH) // SH + 1, OW likewise

The backward goes over the same windows. Each product of the forward has two factors, and each factor's gradient is dout
times the other factor:

    dx[n, i*SH + u, j*SW + v, c] += dout[n, i, j, o] * w[u, v, c, o]         for all n, i, j, o, u, v, c
    dw[u, v, c, o]               += dout[n, i, j, o] * x[n, i*SH + u, j*SW + v, c]

Both are `+=`: windows overlap where the stride is smaller than the kernel, and all windows share one w. Where the
stride is larger than the kernel, or does not divide H - KH, some pixels are in no window: their gradient is 0.

Two loops, over i and j, are enough: for one window, np.tensordot takes the sum over several axes at once.
np.tensordot(a, b, 3) sums over the last 3 axes of a and the first 3 of b; np.tensordot(a, b, (p, q)) over axis p of a
and axis q of b. The other axes of a come first in the result, then those of b.

Example: a row of 5 pixels 1 2 3 4 5 (H = 1), a kernel [1, 10], stride (1, 2). Windows 1 2 and 3 4, out = 21 43; pixel
5 is in none. For dout = 1 2 the backward gives dx = 1 10 2 20 0 and dw = 1*[1, 2] + 2*[3, 4] = [7, 10].

There is no bias from here on: it would be added as before, and db would be the sum of dout as before.
"""

import numpy as np

# Yours --------------------------------------------------------------------------------------------------------


def strided_forward(x, w, stride):
    """Convolve x (N, H, W, C) with w (KH, KW, C, OC), stride (SH, SW). Returns out (N, OH, OW, OC), cache."""
    (N, H, W, _), (KH, KW, _, OC), (SH, SW) = x.shape, w.shape, stride
    OH, OW = (H - KH) // SH + 1, (W - KW) // SW + 1
    out = np.zeros((N, OH, OW, OC), x.dtype)
    for i in range(OH):
        for j in range(OW):
            window = x[:, i * SH : i * SH + KH, j * SW : j * SW + KW]  # (N, KH, KW, C)
            out[:, i, j] = np.tensordot(window, w, 3)
    return out, (x, w, stride)


def strided_backward(dout, cache):
    """Gradients dx (N, H, W, C) and dw (KH, KW, C, OC) from dout (N, OH, OW, OC)."""
    x, w, (SH, SW) = cache
    KH, KW = w.shape[:2]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(dout.shape[1]):
        for j in range(dout.shape[2]):
            rows, columns = slice(i * SH, i * SH + KH), slice(j * SW, j * SW + KW)
            dx[:, rows, columns] += np.tensordot(dout[:, i, j], w, (1, 3))  # (N, OC), (KH, KW, C, OC) -> (N, KH, KW, C)
            dw += np.tensordot(x[:, rows, columns], dout[:, i, j], (0, 0))  # (N, KH, KW, C), (N, OC) -> (KH, KW, C, OC)
    return dx, dw
