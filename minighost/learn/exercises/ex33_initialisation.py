"""Draw weights so that the numbers neither die out nor explode.

Before training a network is random, and how random decides whether it can train. Take one output of a convolution: the
sum of fan_in products of an input and a weight. If the weights are independent with mean 0 and variance v,

    variance of an output = fan_in * v * (mean square of the inputs)        fan_in = KH * KW * C/G

C/G, because with G groups an output sees only C/G channels; a depthwise convolution has fan_in = KH*KW. Then comes
ReLU. An output is as often negative as positive, and ReLU sets the negative half to 0: the mean square halves:

    mean square after the ReLU = fan_in * v / 2 * (mean square before the convolution)

So with v = 2 / fan_in the spread stays, through ten layers as through one. With another v it is multiplied by
fan_in*v/2 at each layer: v = 1/fan_in leaves 1/2**10 of it after ten layers; v = 1 and fan_in = 512 make it 256**10
times as large.

    weights ~ normal, mean 0, standard deviation sqrt(2 / fan_in)           (He et al. 2015, section 2.2, equation 10)

The argument works for the backward as well, with fan_out = KH*KW*OC/G instead of fan_in (equation 14); minighost's own
Conv2d uses that. Here it is fan_in.

All randomness comes from the generator that is passed in: same seed, same weights. rng.normal(mean, deviation, shape)
draws and advances rng, so that the next layer gets other weights.
"""

import numpy as np

# Yours --------------------------------------------------------------------------------------------------------


def he_normal(KH, KW, C, OC, G, rng):
    """Weights (KH, KW, C/G, OC) of a convolution from C to OC channels in G groups, drawn with the Generator rng."""
    fan_in = KH * KW * C // G
    return rng.normal(0, np.sqrt(2 / fan_in), (KH, KW, C // G, OC))
