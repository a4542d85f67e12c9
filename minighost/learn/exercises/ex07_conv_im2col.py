"""Convolve with one matrix product.

The loops of exercise 4 take one sum of products after another: a window, a kernel, a number. But im2col (exercise 5)
has laid every window out as a row, and the kernel of one output channel, laid out in the same order, is a column. So
all the sums of products together are one matrix product:

    rows = cols @ columns + b          (N*OH*OW, K) @ (K, OC) + (OC,) -> (N*OH*OW, OC),     K = KH*KW*C

`columns` is w, of shape (KH, KW, C, OC), with its first three axes merged into one. No number has to move for that: a
row of cols holds its window in the order (u, v, c), which is the order of the first three axes of w. Nor does any
number have to move to turn the rows, which are in the order (n, i, j), into (N, OH, OW, OC).

A matrix product is what a processor does best, so this form is much faster than loops. The cost is memory: a pixel
is copied into each window that sees it, nine times for a 3x3 kernel. (Chellapilla, Puri & Simard 2006, "High
performance convolutional neural networks for document processing".)

Example: the pixels 0 to 8 as a 3x3 image, and one 2x2 kernel [[1, 10], [100, 1000]], b = 0.

    cols   0 1 3 4      column      1       rows  4310       out   4310 5421
           1 2 4 5                 10             5421             7643 8754
           3 4 6 7                100             7643
           4 5 7 8               1000             8754

Given: `ops.im2col(x, (KH, KW))`, which you wrote in exercise 5. Windows lie inside the image, next to each other
(no padding, stride 1): OH = H - KH + 1, OW = W - KW + 1.
"""

from minighost import ops

# Yours --------------------------------------------------------------------------------------------------------


def conv_forward(x, w, b):
    """Convolution of x (N, H, W, C) with w (KH, KW, C, OC) and bias b (OC,). Returns out (N, OH, OW, OC)."""
    (N, H, W, C), (KH, KW, _, OC) = x.shape, w.shape
    cols = ops.im2col(x, (KH, KW))  # (N*OH*OW, KH*KW*C)
    columns = w.reshape(KH * KW * C, OC)
    rows = cols @ columns + b
    return rows.reshape(N, H - KH + 1, W - KW + 1, OC)
