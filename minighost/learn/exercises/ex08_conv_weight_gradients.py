"""Send the gradient of a convolution back to its weights.

Given dout, the gradient of the loss with respect to every output, how does the loss change with a weight? In exercise 7
the convolution became rows = cols @ columns + b, written out:

    rows[r, o] = b[o] + sum_q cols[r, q] * columns[q, o]          r: one of N*OH*OW windows,  q: one of KH*KW*C weights

The weight columns[q, o] is used once in every window r, where it is multiplied by cols[r, q]. So it affects the loss
once per window, and its gradient is the sum of what comes back from all of them (the price of sharing a weight):

    dcolumns[q, o] = sum_r cols[r, q] * drows[r, o]
    db[o]          = sum_r drows[r, o]

The first line is again a matrix product: which of its two factors must be transposed, so that the sum runs over r?
dw is dcolumns with the shape of w. Both are sums, not means: if the loss is a mean over the images, its 1/N is
already in dout.

Example: the pixels 0 to 8 as a 3x3 image, a 2x2 kernel, dout = [[1, 0], [0, 10]]. The first window, 0 1 3 4, counts
once, the last, 4 5 7 8, ten times, and the two between them not at all:

    dw = 1 * [[0, 1], [3, 4]] + 10 * [[4, 5], [7, 8]] = [[40, 51], [73, 84]]          db = 1 + 10 = 11

Given: `ops.im2col(x, (KH, KW))` from exercise 5.
"""

from minighost import ops

# Yours --------------------------------------------------------------------------------------------------------


def conv_weight_gradients(dout, x, kernel_size):
    """Gradients dw (KH, KW, C, OC), db (OC,) from dout (N, OH, OW, OC), x (N, H, W, C) and kernel_size (KH, KW)."""
    (KH, KW), C, OC = kernel_size, x.shape[3], dout.shape[3]
    cols = ops.im2col(x, (KH, KW))  # (N*OH*OW, KH*KW*C)
    drows = dout.reshape(-1, OC)  # (N*OH*OW, OC)
    dcolumns = cols.T @ drows
    return dcolumns.reshape(KH, KW, C, OC), drows.sum(0)
