"""Cut windows out of an image.

A convolution looks at an image through a small window, KH pixels high and KW wide, at every place where it fits. So
there are two questions to answer first: which pixels does a window see, and how many places are there?

An image of one channel is an array of shape (H, W): row first, column second, [0, 0] at the top left. The window whose
top left corner is at row i, column j sees the rows i to i + KH - 1 and the columns j to j + KW - 1. A slice does that:
image[a:b] holds the rows from a up to, not including, b.

The lowest window that fits begins at row H - KH. Rows count from 0, so there are

    OH = H - KH + 1   rows and   OW = W - KW + 1   columns of places              (O for output)

The + 1 is the most often forgotten number in this trade: a window as large as the image fits once, not never.

    image  0  1  2  3        window(image, 1, 2, 2, 2)    6  7
           4  5  6  7                                    10 11
           8  9 10 11

    windows(image, 2, 2) has shape (2, 3, 2, 2): two rows and three columns of places, with a 2x2 window at each
"""

import numpy as np

# Yours -----------------------------------------------------------------------------------------------------------


def window(image, i, j, KH, KW):
    """The window of image (H, W) whose top left corner is at row i, column j. Returns an array (KH, KW)."""
    return image[i : i + KH, j : j + KW]


def windows(image, KH, KW):
    """All windows of image (H, W), in an array of shape (OH, OW, KH, KW): [i, j] is the window at row i, column j."""
    H, W = image.shape
    OH, OW = H - KH + 1, W - KW + 1
    found = np.zeros((OH, OW, KH, KW))
    for i in range(OH):
        for j in range(OW):
            found[i, j] = window(image, i, j, KH, KW)
    return found
