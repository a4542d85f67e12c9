"""Keep both phases of a response.

The first filters of trained networks tend to come in pairs of opposite sign: one responds to an edge from dark to
bright, the other to an edge from bright to dark. ReLU throws one phase of a response away, so a network that needs
both has to learn the filter twice. CReLU keeps both phases, side by side,

    out = [max(x, 0), max(-x, 0)]            (Shang et al. 2016, section 2.2)

along the channel axis, which is the last: (N, H, W, C) becomes (N, H, W, 2C). The first C channels are the positive
phase of all channels, the last C the negative one; both are >= 0. NaN stays NaN in both, as in exercise 24.

    x = [-2, 3]    gives   out = [0, 3, 2, 0]

Backward. A number x has two outputs, so two gradients come back, and they add up. Where x > 0 the first output is x
and the second is 0 and stays 0; where x < 0 the second output is -x, whose slope is -1:

    dout = [10, 20, 30, 40] for the x above    gives   dx = [-30, 20]

The cache. Both phases together lose nothing: x = out[..., :C] - out[..., C:]. So x need not be kept if out is; but out
is twice as large, and x exists already. Either is right here. At x = 0 there is no slope, and the check does not look.
"""

import numpy as np

# Yours --------------------------------------------------------------------------------------------------------


def crelu_forward(x):
    """x (N, H, W, C) -> out (N, H, W, 2C), cache. Positive phase first."""
    return np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], axis=-1), x


def crelu_backward(dout, cache):
    """Gradient of `crelu_forward`: dout (N, H, W, 2C) -> dx (N, H, W, C)."""
    x = cache
    C = x.shape[-1]
    return dout[..., :C] * (x > 0) - dout[..., C:] * (x < 0)
