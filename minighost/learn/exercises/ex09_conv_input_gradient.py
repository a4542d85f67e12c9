"""Send the gradient of a convolution back to its image.

The layer before this one needs dx, the gradient with respect to the image. Go back through exercise 7 one step at a
time. The product rows = cols @ columns gives each entry of cols a gradient,

    dcols[r, q] = sum_o drows[r, o] * columns[q, o]          (N*OH*OW, OC), (K, OC) -> (N*OH*OW, K),     K = KH*KW*C

again a matrix product (what must be transposed, so that the sum runs over o?). And im2col copied each pixel into all
the windows that see it; whatever was copied gets the sum of the gradients of its copies. That is col2im, exercise 6:
it adds the rows back to the pixels that they came from. It adds; it does not take a mean.

There is a second way to see it. Pixel (h, k) lies under tap (u, v) of the window at (h - u, k - v), so

    dx[n, h, k, c] = sum_{u,v,o} dout[n, h - u, k - v, o] * w[u, v, c, o]          (dout is 0 outside of itself)

which is a convolution of dout, with a border of KH - 1 and KW - 1 zeros around it, and the kernel flipped in both
directions. Either way is right here; the first is shorter.

Example: a 3x3 image, the 2x2 kernel [[1, 10], [100, 1000]], dout = [[1, 0], [0, 2]]. Each output sends the kernel
back, times its own gradient, to where its window lay; in the middle the two windows overlap:

    1   10    0
  100 1002   20           1002 = 1 * 1000 + 2 * 1
    0  200 2000

Given: `ops.col2im(cols, x_shape, (KH, KW))` from exercise 6.
"""

from minighost import ops

# Yours --------------------------------------------------------------------------------------------------------


def conv_input_gradient(dout, w, x_shape):
    """Gradient dx, of shape x_shape = (N, H, W, C), from dout (N, OH, OW, OC) and w (KH, KW, C, OC)."""
    KH, KW, C, OC = w.shape
    columns = w.reshape(KH * KW * C, OC)
    dcols = dout.reshape(-1, OC) @ columns.T  # (N*OH*OW, KH*KW*C)
    return ops.col2im(dcols, x_shape, (KH, KW))
