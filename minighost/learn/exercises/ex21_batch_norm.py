"""Give every channel mean 0 and variance 1.

Deep networks train badly when the numbers grow or shrink from layer to layer. Batch normalisation takes each channel,
over all images and all pixels of the batch (R = N*H*W numbers), subtracts its mean and divides by its standard
deviation; then a learnt scale gamma and shift beta, one of each per channel, let the network choose another deviation
and mean. (Ioffe & Szegedy 2015, algorithm 1)

    mean = sum(x) / R          var = sum((x - mean)**2) / R                              per channel, (C,)
    xhat = (x - mean) / sqrt(var + eps)        out = gamma * xhat + beta                 (N, H, W, C)

eps is under the root, so that a channel of equal numbers does not divide by 0.

A single image, later, has no batch, and its result must not depend on the images beside it. So a running mean and
variance are kept during training, and in evaluation (training=False) they replace mean and var and do not change. Each
training step moves them by a fraction, `momentum`, towards the batch's:

    running = running + momentum * (batch - running)      which is      (1 - momentum) * running + momentum * batch

One trap. The variance above divides by R. It is *biased*: on average only (R-1)/R of the true one, because the mean
was fitted to the same numbers. It is what normalises the batch. The running variance is to estimate the variance of
all images, so it moves towards the *unbiased* one, var * R/(R-1) (the paper's algorithm 2).

The running arrays belong to the caller: return new ones, and write to no argument.

Example: one channel with the numbers 1 and 3, eps = 0: mean 2, var 1, xhat -1 1; gamma 10, beta 5: out = -5 15. With
momentum 0.5, running_mean 0 becomes 1; the unbiased variance is 2, and running_var 1 becomes 1.5.
"""

import numpy as np

# Yours --------------------------------------------------------------------------------------------------------


def batch_norm_forward(x, gamma, beta, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    """Normalise x (N, H, W, C); the four vectors are (C,). Returns out (N, H, W, C), running_mean, running_var."""
    if training:
        R = x.size // x.shape[3]
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        running_mean = running_mean + momentum * (mean - running_mean)
        running_var = running_var + momentum * (var * R / (R - 1) - running_var)
    else:
        mean, var = running_mean, running_var
    xhat = (x - mean) / np.sqrt(var + eps)
    return gamma * xhat + beta, running_mean, running_var
