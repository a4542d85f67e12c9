"""Divide the channels into groups that do not meet.

In an ordinary convolution every output channel looks at every input channel. With G groups the input channels are cut
into G equal blocks, and so are the output channels; block g of the output looks at block g of the input, and at
nothing else. It is G small convolutions side by side. Each weight serves one group, so w has C/G channels, not C:

    x (N, H, W, C),   w (KH, KW, C/G, OC)   ->   out (N, OH, OW, OC)

and there are G times fewer weights and multiplications. (Krizhevsky et al. 2012, who had two GPUs and gave each a
group.) With G = 1 it is the ordinary convolution; with G = C = OC every channel is alone, which is exercise 16.

The blocks are contiguous: with C = 6 and G = 2, group 0 reads channels 0 1 2 and group 1 reads 3 4 5. The same holds
for the output, and the last axis of w belongs to the output: group g has w[:, :, :, g*OC/G : (g + 1)*OC/G], complete
in its other axes.

Example, 1x1 kernels on one pixel: x = 1 2 3 4, G = 2, and two output channels per group, so w[0, 0] is (2, 4):

    w[0, 0] =  1 10 | 100 1000          out = 1*1 + 2*1, 1*10 + 2*10 | 3*100 + 4*100, 3*1000 + 4*1000
               1 10 | 100 1000              = 3 30 700 7000

Given: `ops.conv2d_forward_reference(x, w)`, which returns out and a cache: the ordinary convolution of exercises 4
and 7. It can do groups by itself; here you do them.
"""

import numpy as np

from minighost import ops

# Yours --------------------------------------------------------------------------------------------------------


def grouped_forward(x, w, groups):
    """Convolve x (N, H, W, C) with w (KH, KW, C/groups, OC) group by group. Returns out (N, OH, OW, OC)."""
    ins, outs = x.shape[3] // groups, w.shape[3] // groups
    parts = []
    for g in range(groups):
        part, _ = ops.conv2d_forward_reference(
            x[..., g * ins : (g + 1) * ins],
            w[..., g * outs : (g + 1) * outs],
        )
        parts.append(part)
    return np.concatenate(parts, axis=3)
