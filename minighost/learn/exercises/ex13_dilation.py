"""Spread a kernel out: convolution with holes, one tap at a time.

With dilation (DH, DW) the taps of a kernel do not touch: between one and the next lie DH - 1 rows or DW - 1 columns
that it skips. A 3x3 kernel with dilation 2 sees as far as a 5x5 one, and still has 9 weights. (Yu & Koltun 2016, eq. 2)

    out[n, i, j, o] = sum_{u,v,c} x[n, i + u*DH, j + v*DW, c] * w[u, v, c, o]
    OH = H - DH*(KH - 1),  OW = W - DW*(KW - 1)                                     (stride 1, no padding)

Exercise 11 went from window to window. Here it is better to turn the loops inside out: take one tap (u, v) and look at
all the pixels that lie under it, over all output positions. They are a block of the image, of the size of the output,

    seen = x[:, u*DH : u*DH + OH, v*DW : v*DW + OW]                                     (N, OH, OW, C)

and what this tap adds to the output is seen @ w[u, v], for all positions at once. So there are KH*KW steps instead of
OH*OW, and each is one large product. The next exercises, and the fast kernels, are built this way.

The backward uses the same block: out += seen @ w[u, v] is a matrix product, so

    dseen   = dout @ w[u, v].T                            to be added to dx where the block lies
    dw[u, v] = sum over n, i, j of seen[n, i, j, c] * dout[n, i, j, o]                  (C, OC)

np.tensordot(seen, dout, ((0, 1, 2), (0, 1, 2))) takes such a sum, over axes 0, 1, 2 of both.

Example: a row of pixels 1 2 3 4 5 (H = 1), kernel [1, 10], dilation (1, 2): out = 31 42 53. For dout = 1 0 2 the
backward gives dx = 1 0 2+10 0 20 = 1 0 12 0 20 and dw = [1*1 + 2*3, 1*3 + 2*5] = [7, 13].
"""

import numpy as np

# Yours --------------------------------------------------------------------------------------------------------


def dilated_forward(x, w, dilation):
    """Convolve x (N, H, W, C) with w (KH, KW, C, OC), dilation (DH, DW). Returns out (N, OH, OW, OC), cache."""
    (N, H, W, _), (KH, KW, _, OC), (DH, DW) = x.shape, w.shape, dilation
    OH, OW = H - DH * (KH - 1), W - DW * (KW - 1)
    out = np.zeros((N, OH, OW, OC), x.dtype)
    for u in range(KH):
        for v in range(KW):
            out += x[:, u * DH : u * DH + OH, v * DW : v * DW + OW] @ w[u, v]  # (N, OH, OW, C) @ (C, OC)
    return out, (x, w, dilation)


def dilated_backward(dout, cache):
    """Gradients dx (N, H, W, C) and dw (KH, KW, C, OC) from dout (N, OH, OW, OC)."""
    x, w, (DH, DW) = cache
    OH, OW = dout.shape[1:3]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for u in range(w.shape[0]):
        for v in range(w.shape[1]):
            block = (slice(None), slice(u * DH, u * DH + OH), slice(v * DW, v * DW + OW))
            dx[block] += dout @ w[u, v].T
            dw[u, v] = np.tensordot(x[block], dout, ((0, 1, 2), (0, 1, 2)))
    return dx, dw
