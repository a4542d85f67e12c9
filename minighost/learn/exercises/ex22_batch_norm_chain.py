"""Go back through batch normalisation, one line at a time.

The gradient of batch norm looks frightening as one formula. It is not, if the forward is written so that every line
does one thing and has a name: then the backward is the same lines from the last to the first, and each asks only one
question: given the gradient of what this line made, what is the gradient of what it used?

The forward below is given, with its lines numbered. It keeps in the cache what you need. Write the backward: dout
comes in; go through lines 8, 7, ... 1, and call the gradient of `name` `dname`. The rules are few:

    c = a * b       da = dc * b  and  db = dc * a                               (a product: times the other factor)
    c = a + b       da = dc      and  db = dc            c = a - b: db = -dc
    c = f(a)        da = dc * f'(a)                      (1/a)' = -1/a**2,  sqrt(a)' = 1 / (2*sqrt(a)),  (a**2)' = 2*a
    c = a.sum(...)  every number of a gets dc            (NumPy spreads it: (C,) with (N, H, W, C))
    spread          a (C,) that met (N, H, W, C) was used N*H*W times: its gradient is the sum over (N, H, W)
    used twice      what two lines use gets a gradient from each, and they are added

The last two are where mistakes happen. `mean` is spread in line 2, `inv_std` in line 7, gamma and beta in line 8.
`centred` is used in lines 3 and 7. `x` is used in lines 1 and 2: a pixel moves the output directly, and it moves the
mean of its channel, and so all the other outputs too.

Example: one channel, x = 1 1 3 3, eps = 0, so that xhat = -1 -1 1 1; gamma = 1, beta = 0. For dout = 4 0 0 0:
dbeta = 4, dgamma = -4, dx = 2 -2 0 0. Note that dx sums to 0: adding a constant to a channel changes nothing.
(Ioffe & Szegedy 2015, section 3, has the same chain. Exercise 23 folds it into one formula.)
"""

import numpy as np


def batch_norm_forward(x, gamma, beta, eps):
    """Given: batch norm in training, x (N, H, W, C), gamma and beta (C,). Returns out (N, H, W, C), cache."""
    R = x.size // x.shape[3]
    mean = x.sum((0, 1, 2)) / R  # 1  (C,)
    centred = x - mean  # 2  (N, H, W, C)
    squares = centred**2  # 3  (N, H, W, C)
    var = squares.sum((0, 1, 2)) / R  # 4  (C,)
    std = np.sqrt(var + eps)  # 5  (C,)
    inv_std = 1 / std  # 6  (C,)
    xhat = centred * inv_std  # 7  (N, H, W, C)
    out = gamma * xhat + beta  # 8  (N, H, W, C)
    return out, (R, centred, std, inv_std, xhat, gamma)


# Yours --------------------------------------------------------------------------------------------------------


def batch_norm_backward(dout, cache):
    """Gradients dx (N, H, W, C), dgamma (C,), dbeta (C,) from dout (N, H, W, C)."""
    R, centred, std, inv_std, xhat, gamma = cache
    dbeta = dout.sum((0, 1, 2))  # 8
    dgamma = (dout * xhat).sum((0, 1, 2))  # 8
    dxhat = dout * gamma  # 8
    dinv_std = (dxhat * centred).sum((0, 1, 2))  # 7
    dcentred = dxhat * inv_std  # 7, the first of two
    dstd = -dinv_std / std**2  # 6
    dvar = dstd / (2 * std)  # 5
    dsquares = dvar / R  # 4
    dcentred = dcentred + dsquares * 2 * centred  # 3, the second of two
    dmean = -dcentred.sum((0, 1, 2))  # 2
    dx = dcentred + dmean / R  # 2 and 1
    return dx, dgamma, dbeta
