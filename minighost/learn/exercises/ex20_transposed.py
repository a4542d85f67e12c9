"""Run a convolution backwards: the transposed convolution.

A convolution with stride 2 makes an image smaller. Networks that draw - decoders, segmentation - need the opposite.
The *transposed* convolution takes what the strided one returns, and returns what that one takes: from
(N, OH, OW, OC) to (N, H, W, C). Each number of y is multiplied by the kernel, and the result is added to the image
where that number's window lies.

    image[n, i*SH + u, j*SW + v, c] += sum_o y[n, i, j, o] * w[u, v, c, o]           for all i, j, u, v
    H = (OH - 1)*SH + KH,  W = (OW - 1)*SW + KW

w (KH, KW, C, OC) is the weight of the *strided convolution* A whose transpose this is. You know the formula: it is dx
of exercise 11. A convolution is linear in its image, that is, a large matrix times the image; its backward multiplies
by the transposed matrix, and here that is the forward. It is not the inverse: it has the shapes of one, not the
values. What makes it the transpose (or adjoint) is this law, for all images x and all y:

    sum(A(x) * y) = sum(x * A'(y))

So the backward needs no new idea. The transpose of the transpose is the strided convolution itself,

    dy[n, i, j, o]  = sum_{u,v,c} dimage[n, i*SH + u, j*SW + v, c] * w[u, v, c, o]
    dw[u, v, c, o]  = sum_{n,i,j} dimage[n, i*SH + u, j*SW + v, c] * y[n, i, j, o]

With loops over the taps, as in exercise 13, the pixels under tap (u, v) at all places are a slice with a step,
image[:, u : u + OH*SH : SH, v : v + OW*SW : SW], of shape (N, OH, OW, C). It may be read, and added to.

Example: a row y = 1 2 (OH = 1), kernel [1, 10, 100], stride (1, 2). The 1 puts 1 10 100 into the image, the 2 puts
2 20 200 two places on; together 1 10 102 20 200. For dimage = 1 2 3 4 5: dy = 1 + 20 + 300, 3 + 40 + 500 = 321 543,
and dw = 1*[1, 2, 3] + 2*[3, 4, 5] = [7, 10, 13].
(Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning", section 4.)
"""

import numpy as np

# Yours --------------------------------------------------------------------------------------------------------


def transposed_forward(y, w, stride):
    """Spread y (N, OH, OW, OC) by w (KH, KW, C, OC) with stride (SH, SW). Returns image (N, H, W, C), cache."""
    (N, OH, OW, _), (KH, KW, C, _), (SH, SW) = y.shape, w.shape, stride
    image = np.zeros((N, (OH - 1) * SH + KH, (OW - 1) * SW + KW, C), y.dtype)
    for u in range(KH):
        for v in range(KW):
            image[:, u : u + OH * SH : SH, v : v + OW * SW : SW] += y @ w[u, v].T  # (N, OH, OW, OC) @ (OC, C)
    return image, (y, w, stride)


def transposed_backward(dimage, cache):
    """Gradients dy (N, OH, OW, OC), dw (KH, KW, C, OC) from dimage (N, H, W, C)."""
    y, w, (SH, SW) = cache
    (_, OH, OW, _), (KH, KW, _, _) = y.shape, w.shape
    dy, dw = np.zeros_like(y), np.zeros_like(w)
    for u in range(KH):
        for v in range(KW):
            seen = dimage[:, u : u + OH * SH : SH, v : v + OW * SW : SW]  # (N, OH, OW, C)
            dy += seen @ w[u, v]
            dw[u, v] = np.tensordot(seen, y, ((0, 1, 2), (0, 1, 2)))
    return dy, dw
