"""Take a convolution apart into two cheap ones, and count what that saves.

A dense convolution does two things at once: it looks around (over KH*KW taps) and it mixes channels (C into OC). A
depthwise separable one does them one after the other: a depthwise convolution looks around in each channel alone, then
a pointwise one mixes the channels of each pixel. (Howard et al. 2017, "MobileNets", section 3.1)

    x (N, H, W, C)  - depthwise (KH, KW, C, 1) ->  seen (N, OH, OW, C)  - pointwise (C, OC) ->  out (N, OH, OW, OC)

The backward goes the same way in the opposite direction: dout through the pointwise one gives dseen and dpoint,
dseen through the depthwise one gives dx and ddepth.

Then the costs, for one image and without biases. Count *parameters*, the numbers to be learnt, and *multiply-adds*
(MACs), the products to be summed. A convolution uses each of its weights once at every output position, so the MACs
are OH*OW times the parameters, for the dense one and for both halves of the separable one:

    dense       every output channel has a kernel of KH*KW taps over all C channels
    separable   every channel has a kernel of KH*KW taps; then C*OC weights mix

What remains is a fraction 1/OC + 1/(KH*KW) of the dense cost: for 3x3 kernels and many channels, little more than 1/9.
Does it follow from your two formulas? Work it out on paper: divide one by the other.

Example: 3x3, 16 channels into 32, 10x10 outputs. Dense: 4608 parameters, 460800 MACs; separable: 144 + 512 = 656 and
65600, and 656/4608 = 1/32 + 1/9.

Given, from exercises 16 to 18 (without biases, so the third gradient is None):

    out, cache = ops.depthwise_forward_reference(x, w)      dx, dw, _ = ops.depthwise_backward_reference(dout, cache)
    out, cache = ops.pointwise_forward_reference(x, w)      dx, dw, _ = ops.pointwise_backward_reference(dout, cache)
"""

from minighost import ops

# Yours --------------------------------------------------------------------------------------------------------


def separable_forward(x, depth, point):
    """Convolve x (N, H, W, C) with depth (KH, KW, C, 1), then mix by point (C, OC): out (N, OH, OW, OC), cache."""
    seen, depth_cache = ops.depthwise_forward_reference(x, depth)
    out, point_cache = ops.pointwise_forward_reference(seen, point)
    return out, (depth_cache, point_cache)


def separable_backward(dout, cache):
    """Gradients dx (N, H, W, C), ddepth (KH, KW, C, 1), dpoint (C, OC) from dout (N, OH, OW, OC)."""
    depth_cache, point_cache = cache
    dseen, dpoint, _ = ops.pointwise_backward_reference(dout, point_cache)
    dx, ddepth, _ = ops.depthwise_backward_reference(dseen, depth_cache)
    return dx, ddepth, dpoint


def dense_cost(KH, KW, C, OC, OH, OW):
    """Parameters and multiply-adds (two ints) of a dense convolution of one image."""
    parameters = KH * KW * C * OC
    return parameters, parameters * OH * OW


def separable_cost(KH, KW, C, OC, OH, OW):
    """Parameters and multiply-adds (two ints) of a depthwise separable convolution of one image."""
    parameters = KH * KW * C + C * OC
    return parameters, parameters * OH * OW
