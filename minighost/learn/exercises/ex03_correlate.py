"""Slide a window over an image.

Put exercises 1 and 2 together. At every place (i, j) where a window of KH x KW fits into the image, take the sum of the
products of the window's pixels with the weights w, and write it to out[i, j]:

    out[i, j] = sum over u, v of  image[i + u, j + v] * w[u, v]        image (H, W), w (KH, KW), out (OH, OW)

with OH = H - KH + 1, OW = W - KW + 1, u = 0 .. KH-1 and v = 0 .. KW-1. The result is again an image. It is bright
where the image looks like w: with w = [[-1, 1]] wherever brightness rises from left to right, at vertical edges. The
same few weights are used at every place, so a pattern is found wherever it is.

    image  1 2 3       w  1 10          out   1*1 + 2*10 + 4*100 + 5*1000 = 5421    6532
           4 5 6          100 1000                                          8754    9865
           7 8 9

Mathematicians call this sum a cross-correlation. Their convolution has a minus, image[i - u, j - v], which rotates w
by 180 degrees. That matters if w is given: it makes convolution commute. Here w is learnt, and would simply be learnt
rotated; so networks omit the minus and keep the name. These exercises do not rotate anything either.
"""

import numpy as np

# Yours -----------------------------------------------------------------------------------------------------------


def correlate(image, w):
    """Correlation of image (H, W) with w (KH, KW). Returns out, of shape (OH, OW)."""
    (H, W), (KH, KW) = image.shape, w.shape
    OH, OW = H - KH + 1, W - KW + 1
    out = np.zeros((OH, OW))
    for i in range(OH):
        for j in range(OW):
            for u in range(KH):
                for v in range(KW):
                    out[i, j] += image[i + u, j + v] * w[u, v]
    return out
