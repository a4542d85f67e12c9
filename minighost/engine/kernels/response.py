"""Local response normalisation of one pixel, for `ops.local_response_norm` and for inference.

`numbers` holds alpha, k and beta, in the dtype of the activations.
"""

import numpy as np

from minighost.engine.launch import tile

__all__ = ["bracket", "damp"]


@tile
def bracket(x, before, after, numbers, s):
    """``k + alpha * (sum of squares)``, over `before` channels, the channel itself and `after` more."""
    C, alpha, k, zero = len(x), numbers[0], numbers[1], x.dtype.type(0)
    for c in range(C):
        s[c] = zero
    for d in range(-before, after + 1):
        for c in range(max(0, -d), min(C, C - d)):
            s[c] += x[c + d] * x[c + d]
    for c in range(C):
        s[c] = k + alpha * s[c]


@tile
def damp(x, s, numbers, out):
    """``x * s**-beta``; the exponent that everybody uses is two roots, which vectorise."""
    beta = numbers[2]
    if beta == 0.75:
        for c in range(len(x)):
            out[c] = x[c] * (np.sqrt(np.sqrt(s[c])) / s[c])
    else:
        for c in range(len(x)):
            out[c] = x[c] * s[c] ** -beta
