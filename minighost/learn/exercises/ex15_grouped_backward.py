"""Send a gradient back through the groups.

A grouped convolution (exercise 14) is G convolutions that share nothing: no input channel, no weight, no output
channel. So its backward is G backwards that share nothing. Group g takes its own block of dout, and from it come the
gradients of the block of x that it read and of the weights that it used:

    dout[..., g*OC/G : (g + 1)*OC/G]   ->   dx[..., g*C/G : (g + 1)*C/G]   and   dw[..., g*OC/G : (g + 1)*OC/G]

Each of these blocks is written once, by one group. Mind the two widths: x and dx are cut into blocks of C/G channels,
and dout, w and dw into blocks of OC/G. If C and OC are equal, a mistake there does not show; so the check has them
differ.

Example, 1x1 kernels on one pixel, G = 2: x = 1 2 3 4, w[0, 0] = [[1, 10], [100, 1000]] (row: channel within its group;
column: output, of which each group has one). Then out = 1*1 + 2*100, 3*10 + 4*1000 = 201 4030. For dout = 1 2

    dx = 1*1 1*100 2*10 2*1000 = 1 100 20 2000          dw[0, 0] = [[1*1, 2*3], [1*2, 2*4]] = [[1, 6], [2, 8]]

Given: the ordinary convolution and its backward, from exercises 4 to 9 (without bias; db is None):

    out, cache = ops.conv2d_forward_reference(x, w)
    dx, dw, db = ops.conv2d_backward_reference(dout, cache)

They can do groups by themselves; here you do them. This function gets x and w instead of a cache: run the forward of a
group again to get the cache that its backward needs, or use your own lines from exercises 8 and 9.
"""

import numpy as np

from minighost import ops

# Yours --------------------------------------------------------------------------------------------------------


def grouped_backward(dout, x, w, groups):
    """Gradients dx (N, H, W, C), dw (KH, KW, C/groups, OC) from dout (N, OH, OW, OC), x and w."""
    ins, outs = x.shape[3] // groups, w.shape[3] // groups
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for g in range(groups):
        reads, writes = slice(g * ins, (g + 1) * ins), slice(g * outs, (g + 1) * outs)
        _, cache = ops.conv2d_forward_reference(x[..., reads], w[..., writes])
        dx[..., reads], dw[..., writes], _ = ops.conv2d_backward_reference(dout[..., writes], cache)
    return dx, dw
