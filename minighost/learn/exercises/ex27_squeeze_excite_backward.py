"""Go back through squeeze-and-excitation, where x is used twice.

The block of exercise 26 multiplies x by a gate, and the gate is made of x. So there are two ways from x to the loss,
and dx is the sum of what comes back through both. The rest is the forward's lines, the last one first.

    out[n, i, j, c] = x[n, i, j, c] * gate[n, c]    dx = dout * gate, first part
                                                    dgate[n, c] = sum over i, j of dout * x, as it was used everywhere
    gate = hard_sigmoid(z)                          dz = dgate / 6 where 0 < gate < 1, else 0
    z = hidden @ w2 + b2                            dhidden = dz @ w2.T,  dw2 = hidden.T @ dz,  db2 = dz summed over N
    hidden = max(a, 0)                              da = dhidden where hidden > 0, else 0
    a = squeezed @ w1 + b1                          dsqueezed = da @ w1.T,  dw1 = squeezed.T @ da,  db1 likewise
    squeezed = mean of x over H and W               dx += dsqueezed / (H*W), at every position: second part

A mean of H*W numbers moves by 1/(H*W) when one of them moves by 1; that is the last line. If you forget it, nothing
crashes; the gradient just ignores that a change of x also opens and closes gates.

A small example: one image of 1 x 2 positions, one channel, one hidden number; x = [1, 3], w1 = 1, w2 = 0.75, no
biases, so squeezed = 2, hidden = 2, z = 1.5, gate = 0.75. For dout = [3, 5]: dgate = 3*1 + 5*3 = 18, dz = 3, db2 = 3,
dw2 = 6, dhidden = da = 2.25, db1 = 2.25, dw1 = 4.5, dsqueezed = 2.25, dx = [2.25, 3.75] + 2.25/2 = [3.375, 4.875].

The forward is given, with the cache that it returns.
"""

import numpy as np


def squeeze_excite_forward(x, w1, b1, w2, b2):
    """Exercise 26 -> out, cache."""
    squeezed = x.mean((1, 2))  # (N, C)
    hidden = np.maximum(squeezed @ w1 + b1, 0)  # (N, hidden)
    gate = np.clip((hidden @ w2 + b2) / 6 + 0.5, 0, 1)  # (N, C)
    return x * gate[:, None, None, :], (x, squeezed, hidden, gate, w1, w2)


# Yours --------------------------------------------------------------------------------------------------------


def squeeze_excite_backward(dout, cache):
    """Gradients of `squeeze_excite_forward`: dx, dw1, db1, dw2, db2, each of the shape of its array."""
    x, squeezed, hidden, gate, w1, w2 = cache
    N, H, W, C = x.shape
    dgate = (dout * x).sum((1, 2))
    dz = dgate * ((gate > 0) & (gate < 1)) / 6
    da = (dz @ w2.T) * (hidden > 0)
    dsqueezed = da @ w1.T
    dx = dout * gate[:, None, None, :] + dsqueezed[:, None, None, :] / (H * W)
    return dx, squeezed.T @ da, da.sum(0), hidden.T @ dz, dz.sum(0)
