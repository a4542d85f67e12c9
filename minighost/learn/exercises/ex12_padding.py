"""Put zeros around an image, and cut them off again in the backward.

Without padding every convolution makes its image smaller, by KH - 1 rows and KW - 1 columns, and the pixels at the
edge are seen by fewer windows than those in the middle. So zeros are put around the image first: PH rows of them
above and below, PW columns left and right. With PH = (KH - 1) / 2 and PW = (KW - 1) / 2 the size stays.

    padded (N, H + 2*PH, W + 2*PW, C)     padded[:, PH : PH + H, PW : PW + W] = x,  zero elsewhere
    out = the convolution of padded with w

A convolution with padding is two steps, so its backward is two steps, in the opposite order. The convolution's own
backward gives dpadded, which has the shape of padded; then each pixel of x takes the gradient of the one place to
which it was copied. We put the zeros there and they depend on nothing: what comes back to them is dropped. In short,
the backward of padding is cropping.

Only the image gets a border: the batch and the channels do not. np.pad(x, ...) takes a pair (before, after) for each
axis. Try your crop with PH = 0 and with PW = 0 as well.

Example: one row of pixels 1 2 3 (H = 1), kernel [1, 10, 100], padding (0, 1). padded is 0 1 2 3 0, out = 210 321 32.
For dout = 1 0 2 the backward gives dpadded = 1 10 102 20 200, and dx is what lies between its ends: 10 102 20.

Given: the convolution without padding of exercises 4 to 9, as the framework has it (no b, so db is None):

    out, cache = ops.conv2d_forward_reference(x, w)
    dx, dw, db = ops.conv2d_backward_reference(dout, cache)

It could pad by itself; here you do it.
"""

import numpy as np

from minighost import ops

# Yours --------------------------------------------------------------------------------------------------------


def padded_forward(x, w, padding):
    """Convolve x (N, H, W, C), padded by (PH, PW), with w (KH, KW, C, OC). Returns out (N, OH, OW, OC), cache."""
    PH, PW = padding
    padded = np.pad(x, [(0, 0), (PH, PH), (PW, PW), (0, 0)])
    out, inner = ops.conv2d_forward_reference(padded, w)
    return out, (inner, x.shape, padding)


def padded_backward(dout, cache):
    """Gradients dx (N, H, W, C) and dw (KH, KW, C, OC) from dout (N, OH, OW, OC)."""
    inner, (_, H, W, _), (PH, PW) = cache
    dpadded, dw, _ = ops.conv2d_backward_reference(dout, inner)
    return dpadded[:, PH : PH + H, PW : PW + W], dw
