"""Count the places where a kernel fits.

Three numbers determine where a kernel may stand on a row of pixels:

    padding    the number of zeros put at each end of the row,
    stride     the number of pixels from one place to the next,
    dilation   the number of pixels from one tap of the kernel to the next (1: they touch).

A dilated kernel reaches further than it has taps: of 3 taps with dilation 2, `x . x . x`, the reach is 5. The kernel
starts at the first pixel, padding included, and moves by the stride as long as all of it is on the row. What is left
over at the end and is too short for another step is never looked at: hence a division that rounds down.

Example: 8 pixels and no padding, a kernel of 3 and stride 2 stands at 0, 2 and 4; at 6 it would hang over the end. So
there are 3 places, and the last pixel is not seen.

    0 1 2 3 4 5 6 7
    x x x
        x x x
            x x x

If the reach is larger than the padded row, there is no place at all. That is a mistake in the network, and a size of
0 or less would only cause trouble later and elsewhere: raise ValueError, with the numbers in its message. Beware: the
formula does not notice by itself, as -1 // 2 is -1 in Python.

The second function asks the reverse question: which padding keeps the size, at stride 1? Each end must make up for
half of what the reach takes. For an even reach there is no such number, and the function must say so (ValueError).
(Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning", sections 2 and 5.)
"""

# Yours --------------------------------------------------------------------------------------------------------


def output_size(size, kernel, stride=1, padding=0, dilation=1):
    """Number of places (an int) of a kernel of `kernel` taps on a row of `size` pixels; ValueError if none fits."""
    reach = dilation * (kernel - 1) + 1
    spare = size + 2 * padding - reach
    if spare < 0:
        raise ValueError(f"the kernel reaches over {reach} pixels, the padded input has {size + 2 * padding}")
    return spare // stride + 1


def same_padding(kernel, dilation=1):
    """The padding (an int) with which a kernel keeps the size at stride 1; ValueError if its reach is even."""
    reach = dilation * (kernel - 1) + 1
    if reach % 2 == 0:
        raise ValueError(f"the kernel reaches over {reach} pixels; only an odd reach can keep the size")
    return reach // 2
