"""Let through what is positive, forward and backward.

A network of linear layers alone is one linear layer. Something must bend between them, and the simplest bend is

    out = max(x, 0)            element by element            (ReLU; Nair & Hinton 2010)

Its derivative is 1 where x > 0 and 0 where x < 0, so the backward is a gate that the forward has set:

    dx = dout where x > 0, else 0

The gate looks at x, not at dout: a negative dout passes a positive x unchanged. At x = 0 there is no derivative; any
number from 0 to 1 would do, and the check never looks there.

    x = [-2, 3, -1, 5],  dout = [10, -20, 30, 40]    gives   out = [0, 3, 0, 5],  dx = [0, -20, 0, 40]

One case matters more than it seems. NaN ("not a number", what 0/0 gives) is neither larger than 0 nor smaller: every
comparison with it is False. A ReLU that writes 0 wherever `x > 0` is False turns NaN into 0, and the first sign of a
training run that has gone wrong disappears. Here NaN must come out as NaN.

You choose the cache: whatever your backward needs to know.
"""

import numpy as np

# Yours --------------------------------------------------------------------------------------------------------


def relu_forward(x):
    """x, an array of any shape -> out of the same shape, cache. NaN stays NaN."""
    return np.maximum(x, 0), x


def relu_backward(dout, cache):
    """Gradient of `relu_forward`: dx, of the shape of x."""
    x = cache
    return dout * (x > 0)
