"""Build the block of MobileNetV2, and go back through it.

The bottleneck of a ResNet is wide at its ends. The inverted residual (Sandler et al. 2018, "MobileNetV2", section 3.3)
is narrow there: what is handed from block to block, and added by shortcuts, has few channels. Within, it is wide, as
GhostNet's block of exercise 30 is:

    a = x @ w1                   expand: pointwise, C -> mid channels (often 6*C)
    b = depthwise(relu6(a), d)   3x3 with padding 1, stride 1 or 2, each channel alone
    z = relu6(b) @ w2            project: pointwise, mid -> OC
    out = z + x                  if the stride is 1 and OC = C; else out = z

ReLU6 is min(max(x, 0), 6); its slope is 1 between 0 and 6, else 0. None follows the projection: in few channels a ReLU
destroys what it cuts off, while in many there is likely another that kept it. The bottleneck is linear. Nor does
anything follow the sum. (Batch norms, which follow all three convolutions in the network, are left out here.)

Whether x is added is decided by stride and channels, when the block is built. Do not ask whether z happens to have the
shape of x: with stride 2 a plane of 1x1 stays 1x1, and then the block would change its meaning with the image's size.

Backward: the lines from the last to the first. Through the shortcut dout reaches x unchanged (exercise 30), and the
projection gets the same dout. Each ReLU6 passes a gradient on where its own input was between 0 and 6.

Given, as in exercise 19 (without biases, so the third gradient is None):

    out, cache = ops.pointwise_forward_reference(x, w)      dx, dw, _ = ops.pointwise_backward_reference(dout, cache)
    out, cache = ops.depthwise_forward_reference(x, d, stride=stride, padding=1)
    dx, dd, _ = ops.depthwise_backward_reference(dout, cache)

A small example: one pixel, x = [2], w1 = [[1, 4]], d with the middle taps [2, 0.5] and else 0, w2 = [[1], [10]],
stride 1. a = 2 8, relu6 2 6, b = 4 3, z = 34, out = 36. For dout = 1: dw2 = 4 3, db = 1 10, the middle of dd = 2 60,
da = 2 0 (8 was cut off), dw1 = 4 0, and dx = 2 + 1 = 3.
"""

import numpy as np

from minighost import ops

# Yours --------------------------------------------------------------------------------------------------------


def inverted_residual_forward(x, w1, d, w2, stride):
    """x (N, H, W, C), w1 (C, mid), d (3, 3, mid, 1), w2 (mid, OC) -> out (N, OH, OW, OC), cache."""
    a, expand = ops.pointwise_forward_reference(x, w1)
    b, depthwise = ops.depthwise_forward_reference(np.clip(a, 0, 6), d, stride=stride, padding=1)
    z, project = ops.pointwise_forward_reference(np.clip(b, 0, 6), w2)
    added = stride == 1 and x.shape[3] == w2.shape[1]
    return (z + x if added else z), (a, b, expand, depthwise, project, added)


def inverted_residual_backward(dout, cache):
    """Gradients dx (N, H, W, C), dw1 (C, mid), dd (3, 3, mid, 1), dw2 (mid, OC) from dout (N, OH, OW, OC)."""
    a, b, expand, depthwise, project, added = cache
    dwide, dw2, _ = ops.pointwise_backward_reference(dout, project)
    dwide, dd, _ = ops.depthwise_backward_reference(dwide * ((b > 0) & (b < 6)), depthwise)
    dx, dw1, _ = ops.pointwise_backward_reference(dwide * ((a > 0) & (a < 6)), expand)
    return (dx + dout if added else dx), dw1, dd, dw2
