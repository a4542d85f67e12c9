"""Weigh every channel by a gate that has seen the whole image.

A convolution sees a window. Whether a channel matters for this image at all - no stripes anywhere, so ignore the stripe
detector - is a question about the whole plane. Squeeze-and-excitation asks it (Hu et al. 2018, section 3):

    squeezed = mean of x over H and W           (N, C)       squeeze: one number per channel
    hidden = max(squeezed @ w1 + b1, 0)         (N, hidden)  excite: two small linear layers, ReLU between them ...
    z = hidden @ w2 + b2                        (N, C)
    gate = hard_sigmoid(z)                      (N, C)       ... and a number from 0 to 1 for each channel
    out[n, i, j, c] = x[n, i, j, c] * gate[n, c]             every position of a channel gets the same factor

Hu et al. use the sigmoid. GhostNet, like MobileNetV3 (Howard et al. 2019, section 5.2), uses straight lines:

    hard_sigmoid(z) = min(max(z + 3, 0), 6) / 6       that is z/6 + 1/2, cut off below 0 and above 1

A small example: one image of 1 x 2 positions and two channels, x = [[1, 10], [3, 20]]; w1 = [[1.5], [0]],
w2 = [[0.4, -0.2]], both biases 0. Then squeezed = [2, 15], hidden = [3], z = [1.2, -0.6], gate = [0.7, 0.4], and
out = [[0.7, 4], [2.1, 8]].

The gates are returned with the output, because they tell what the block thinks of an image.
"""

import numpy as np

# Yours --------------------------------------------------------------------------------------------------------


def squeeze_excite(x, w1, b1, w2, b2):
    """x (N, H, W, C), w1 (C, hidden), b1 (hidden,), w2 (hidden, C), b2 (C,) -> out (N, H, W, C), gate (N, C)."""
    squeezed = x.mean((1, 2))
    hidden = np.maximum(squeezed @ w1 + b1, 0)
    gate = np.clip((hidden @ w2 + b2 + 3) / 6, 0, 1)
    return x * gate[:, None, None, :], gate
