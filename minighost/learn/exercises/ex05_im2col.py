"""Lay every window out as a row.

The loops of exercise 4 take the same windows again for each output channel, and take them apart number by number. It
pays to lay the windows out once. im2col ("image to columns") makes a matrix of the images: one row per window, which
holds the window's numbers one after another. With that, a convolution is a matrix product (exercise 7).

    cols[(n, i, j), (u, v, c)] = x[n, i + u, j + v, c]          x (N, H, W, C),  cols (N*OH*OW, KH*KW*C)

(n, i, j) is the index of a row: the windows of the first image come first, in each image those of the first row, and j
runs fastest, as when you read a page. (u, v, c) is the index of a column; c runs fastest, as in the kernel w. That is
the order in which NumPy stores an array (N, OH, OW, KH, KW, C), so reshape turns it into the matrix without copying.

    x, one image of 2x3 pixels with one channel:      1 2 3
                                                      4 5 6

    im2col(x, (2, 2))     1 2 4 5        the window at (0, 0)
                          2 3 5 6        the window at (0, 1)

There are two ways to do it. Go from window to window and copy each; or fix (u, v) and copy, for all windows at once,
the pixels at position (u, v) of their window: these are the image without its top u rows and its bottom KH - 1 - u
rows, and likewise for the columns. The second way needs KH*KW slices instead of N*OH*OW.
"""

import numpy as np

# Yours -----------------------------------------------------------------------------------------------------------


def im2col(x, kernel_size):
    """Windows of x (N, H, W, C), kernel_size = (KH, KW). Returns cols, of shape (N*OH*OW, KH*KW*C)."""
    (N, H, W, C), (KH, KW) = x.shape, kernel_size
    OH, OW = H - KH + 1, W - KW + 1
    cols = np.zeros((N, OH, OW, KH, KW, C))
    for u in range(KH):
        for v in range(KW):
            cols[:, :, :, u, v] = x[:, u : u + OH, v : v + OW]
    return cols.reshape(N * OH * OW, KH * KW * C)
