"""Mix the channels of each pixel: the 1x1 convolution.

A kernel of one tap looks at a single pixel, and so only at its channels. It makes OC new channels out of C old ones, at
every pixel in the same way; it is the other half of what a convolution does, the half that depthwise leaves out. (Lin
et al. 2014, "Network in network", section 3)

    out[n, h, k, o] = b[o] + sum_c x[n, h, k, c] * w[c, o]          x (N, H, W, C),  w (C, OC),  b (OC,)

With channels last no im2col is needed: the image, read as R = N*H*W rows of C numbers, already is the matrix cols,

    rows = x.reshape(R, C)          out = rows @ w + b              (R, C) @ (C, OC) -> (R, OC)

and the backward is that of any matrix product (exercises 8 and 9, with nothing to unfold):

    drows = dout.reshape(R, OC)     dx = drows @ w.T    dw = rows.T @ drows    db = the sum of drows over its rows

each reshaped to what it belongs to. The shapes alone are a check: dw must be (C, OC), and there is only one order in
which (R, C) and (R, OC) multiply to that. It does not help if C = OC; then ask which axis is summed.

Example: one pixel, x = 1 2, w = [[1, 10], [100, 1000]], b = 5 7: out = 1*1 + 2*100 + 5, 1*10 + 2*1000 + 7 = 206 2017.
For dout = 1 2: dx = 1*1 + 2*10, 1*100 + 2*1000 = 21 2100; dw = [[1*1, 1*2], [2*1, 2*2]] = [[1, 2], [2, 4]]; db = 1 2.
"""

# Yours --------------------------------------------------------------------------------------------------------


def pointwise_forward(x, w, b):
    """Mix the channels of x (N, H, W, C) by w (C, OC), add b (OC,). Returns out (N, H, W, OC), cache."""
    N, H, W, C = x.shape
    rows = x.reshape(N * H * W, C)
    out = rows @ w + b
    return out.reshape(N, H, W, -1), (x, w)


def pointwise_backward(dout, cache):
    """Gradients dx (N, H, W, C), dw (C, OC), db (OC,) from dout (N, H, W, OC)."""
    x, w = cache
    C, OC = w.shape
    rows, drows = x.reshape(-1, C), dout.reshape(-1, OC)
    dx = drows @ w.T
    return dx.reshape(x.shape), rows.T @ drows, drows.sum(0)
