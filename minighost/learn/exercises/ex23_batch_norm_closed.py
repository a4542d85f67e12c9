"""Write the backward of batch norm in closed form.

The chain of exercise 22 has a line for each line of the forward. Most of it cancels, and three terms are left. Take
one channel with its R = N*H*W numbers x_r. Everything follows from three of the forward's quantities,

    xhat_r = (x_r - mean) * inv_std,   out_r = gamma * xhat_r + beta,   inv_std = 1 / sqrt(var + eps)

dbeta and dgamma are as in exercise 22: the sums of dout_r and of dout_r * xhat_r over the R positions. A number x_s
reaches the loss in three ways, and dx_s is the sum of what comes back through them:

    its own xhat_s       d xhat_s / d x_s = inv_std              gives  gamma*inv_std * dout_s
    the mean             d mean / d x_s = 1/R,                   gives -gamma*inv_std * dbeta / R
                         and it moves every xhat_r by -inv_std
    the variance         d var / d x_s = 2*(x_s - mean)/R,       gives -gamma*inv_std * xhat_s * dgamma / R
                         and it moves every xhat_r by -xhat_r * inv_std**2 / 2

Why dbeta and dgamma: the second way adds up dout_r over all r, the third dout_r * xhat_r, and we already have these
sums. The mean inside the variance adds nothing, because the x_r - mean of a channel sum to 0. Together

    dx = gamma*inv_std * (dout - dbeta/R - xhat*dgamma/R)        (after Ioffe & Szegedy 2015, section 3)

So dx is dout without its mean and without its component along xhat: normalising has removed both from x, and no loss
after it can ask for them back. A small example: xhat = [-1, -1, 1, 1], gamma = inv_std = 1, dout = [1, 2, 3, 6]. Then
dbeta = 12, dgamma = 6, and dx = dout - 3 - 1.5*xhat = [-0.5, 0.5, -1.5, 1.5].

Given is the forward in training; its cache holds just what the backward needs.
"""

import numpy as np


def batch_norm_forward(x, gamma, beta, eps=1e-5):
    """Exercise 21 in training: x (N, H, W, C), gamma and beta (C,) -> out (N, H, W, C), (xhat, gamma, inv_std)."""
    inv_std = 1 / np.sqrt(x.var((0, 1, 2)) + eps)  # (C,)
    xhat = (x - x.mean((0, 1, 2))) * inv_std
    return gamma * xhat + beta, (xhat, gamma, inv_std)


# Yours --------------------------------------------------------------------------------------------------------


def batch_norm_backward(dout, cache):
    """Gradients of `batch_norm_forward`, without the chain: dx (N, H, W, C), dgamma (C,), dbeta (C,)."""
    xhat, gamma, inv_std = cache
    R = dout.size // dout.shape[-1]
    dbeta = dout.sum((0, 1, 2))
    dgamma = (dout * xhat).sum((0, 1, 2))
    dx = gamma * inv_std * (dout - dbeta / R - xhat * dgamma / R)
    return dx, dgamma, dbeta
