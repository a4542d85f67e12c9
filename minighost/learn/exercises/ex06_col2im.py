"""Add windows back to the image.

The backward pass retraces the forward pass in reverse. im2col copies a pixel into every window that sees it. So a
change of the pixel changes all of its copies, and its gradient is the sum of the gradients of its copies:

    image[n, i + u, j + v, c]  collects  cols[(n, i, j), (u, v, c)]  for all i, j, u, v
                                                            cols (N*OH*OW, KH*KW*C),  image (N, H, W, C)

This is col2im. It is not the inverse of im2col: a pixel that four windows see comes back four times. It is the
adjoint, the transpose of the matrix that takes x to im2col(x), and you can test that without knowing any answer:

    sum of im2col(x) * y  =  sum of x * col2im(y)           for every x and every y of the right shapes

A copy becomes a sum. That is the whole idea, and you will meet it in every backward pass: what was read twice is added
to twice. The usual mistake is = instead of +=. Then each pixel keeps only the last of what it should collect.

    cols, windows of 2x2      1 2 4 5         col2im(cols, (1, 2, 3, 1), (2, 2))      1  2+20   30
    of an image of 2x3       20 30 50 60                                             4  5+50   60
"""

import numpy as np

# Yours -----------------------------------------------------------------------------------------------------------


def col2im(cols, x_shape, kernel_size):
    """Adjoint of im2col: cols (N*OH*OW, KH*KW*C), x_shape = (N, H, W, C), kernel_size = (KH, KW) -> (N, H, W, C)."""
    (N, H, W, C), (KH, KW) = x_shape, kernel_size
    OH, OW = H - KH + 1, W - KW + 1
    cols = cols.reshape(N, OH, OW, KH, KW, C)
    image = np.zeros((N, H, W, C))
    for u in range(KH):
        for v in range(KW):
            image[:, u : u + OH, v : v + OW] += cols[:, :, :, u, v]
    return image
