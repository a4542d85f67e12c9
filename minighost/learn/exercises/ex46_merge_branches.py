"""Train several branches, run one convolution: merge them.

A sum of branches is easier to train than one convolution (Ding et al. 2021, "RepVGG", section 3):

    out = bn1(conv 3x3 (x)) + bn2(conv 1x1 (x)) + bn3(x)

After training, batch norm uses its running mean and variance and is a factor and an offset per channel. Then all that
is linear in x, apart from offsets, and a sum of linear maps is one linear map: one 3x3 convolution with a bias.

Fold a batch norm into the convolution w (KH, KW, C/G, OC), without bias, before it:

    gamma * (conv(x) - mean) / sqrt(var + EPS) + beta = conv'(x) + bias
    with scale = gamma / sqrt(var + EPS):  w' = w * scale (of the output channel),  bias = beta - mean * scale

Make a 3x3 kernel of a 1x1 kernel: a 1x1 convolution multiplies the pixel itself, which is what the middle tap sees if
the padding keeps the size. So put zeros around it, equally on all sides (all sizes here are odd).

Make a convolution of nothing: bn3 has x itself as input. A 1x1 kernel that returns x has a 1 from each channel to
itself. With G groups output channel o reads only the C/G channels of its own group, and axis 2 counts within the group:
channel o is number o % (C/G) there. For C = 4, G = 2 the (2, 4) numbers are 1 0 1 0 and 0 1 0 1.

Then add up: kernels, and biases. A branch is a pair (w, norm), with norm = (gamma, beta, mean, var), each (OC,).

Example, one channel: conv 1x1 with w = 3, norm gamma = 2, beta = 1, mean = 5, var = 4 - EPS: scale = 1, w' = 3, bias =
1 - 5 = -4. With it bn(x) of gamma = 1, beta = 0, mean = 0, var = 4 - EPS: w' = 0.5. Merged into 1x1: 3.5 and -4.
"""

import numpy as np

EPS = 1e-5


# Yours --------------------------------------------------------------------------------------------------------


def fold(w, norm):
    """Convolution w (KH, KW, C/G, OC) and batch norm after it as one: weight (KH, KW, C/G, OC), bias (OC,)."""
    gamma, beta, mean, var = norm
    scale = gamma / np.sqrt(var + EPS)
    return w * scale, beta - mean * scale


def identity(channels, groups):
    """The 1x1 convolution in groups that returns its input: (1, 1, channels // groups, channels)."""
    w, o = np.zeros((1, 1, channels // groups, channels)), np.arange(channels)
    w[0, 0, o % (channels // groups), o] = 1
    return w


def merge(branches, kernel_size):
    """A list of (w, norm) as one convolution of kernel_size (KH, KW): weight (KH, KW, C/G, OC), bias (OC,)."""
    weight = np.zeros((*kernel_size, *branches[0][0].shape[2:]))
    bias = np.zeros(weight.shape[3])
    for w, norm in branches:
        w, b = fold(w, norm)
        PH, PW = (kernel_size[0] - w.shape[0]) // 2, (kernel_size[1] - w.shape[1]) // 2
        weight, bias = weight + np.pad(w, [(PH, PH), (PW, PW), (0, 0), (0, 0)]), bias + b
    return weight, bias
