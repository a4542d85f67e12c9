"""Find the weights with which a transposed convolution enlarges an image bilinearly.

Segmentation networks enlarge their coarse maps with a transposed convolution whose weights start as bilinear resizing
(Long et al. 2015, "Fully convolutional networks", section 3.3), and may then be learnt. What are those weights?

Along one axis, with a factor f: each pixel of x is 1 wide and has its number in its centre; the f output pixels that
share its place are 1/f wide. An output pixel between two centres is a mean of both numbers, and each weighs the more
the nearer it is: 1 - distance. So a pixel of x reaches all output pixels whose centres are less than 1 away:

    even f: 2f of them, at distances 1/(2f), 3/(2f), ... on either side     odd f: 2f - 1 of them, at 0, 1/f, 2/f, ...

                 f = 2:  1/4 3/4 3/4 1/4                                    f = 3:  1/3 2/3 1 2/3 1/3

In both cases there are K = 2f - f%2 taps, symmetric about the middle of the numbers 0 to K - 1. In the plane the weight
is the product of both axes' weights, and each channel goes to itself alone: a depthwise kernel of (K, K, 1, C).

At the border a transposed convolution sees nothing beyond x, that is zeros, and the image darkens towards its edge.
Bilinear resizing goes on with the edge's numbers there. So repeat the outermost pixels of x once on each side (np.pad
has a mode for it), and cut off what they make: f rows and f columns on each side.

Given: ops.conv_transpose2d_forward_reference(x, w, None, stride, padding, groups=C) -> out, cache. It is what you wrote
in exercise 20, with padding and groups: the stride is f, and f // 2 as padding puts each tap on its place.

Example with f = 2 and a row 0 4: edged 0 0 4 4, and cut to the middle four, 0 1 3 4. Not padded: 0 1 3 3.
"""

import numpy as np

from minighost import ops

# Yours --------------------------------------------------------------------------------------------------------


def bilinear_taps(factor):
    """The weights along one axis, (K,) with K = 2*factor - factor % 2; factor is a whole number, at least 1."""
    K = 2 * factor - factor % 2
    return 1 - np.abs(np.arange(K) - (K - 1) / 2) / factor


def bilinear_kernel(factor, channels):
    """The weights in the plane, of `channels` channels that go to themselves: (K, K, 1, channels)."""
    taps = bilinear_taps(factor)
    return np.repeat(np.outer(taps, taps)[:, :, None, None], channels, axis=3)


def enlarge(x, factor):
    """Resize x (N, H, W, C) bilinearly to (N, factor*H, factor*W, C), by one transposed convolution."""
    C, f = x.shape[3], factor
    edged = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="edge")
    out, _ = ops.conv_transpose2d_forward_reference(edged, bilinear_kernel(f, C), None, f, f // 2, groups=C)
    return out[:, f:-f, f:-f]
