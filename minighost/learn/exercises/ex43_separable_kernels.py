"""Take a kernel apart into columns and rows, and say how well that goes.

A kernel that is a column times a row, kernel[u, v] = column[u] * row[v], need not be applied at once: a correlation
with the column, then one with the row, gives the same. That is KH + KW products per pixel instead of KH*KW. Sobel's
kernel is one: [1, 2, 1] times [-1, 0, 1]. Such a kernel has rank 1: its rows are multiples of one another. Any kernel
is a sum of at most min(KH, KW) such products, and the singular value decomposition finds them, the largest first:

    U, s, V = np.linalg.svd(kernel, full_matrices=False)            kernel = sum over k of s[k] * outer(U[:, k], V[k])

with s[0] >= s[1] >= ... >= 0. The first few terms alone are the best approximation with that number of terms
(Eckart and Young 1936), and s says what they miss, relative to the kernel and measured by the root of a sum of squares:

    error = sqrt(s[terms]^2 + s[terms + 1]^2 + ...) / sqrt(s[0]^2 + s[1]^2 + ...)

The rank is how many terms are needed. A singular value that is 0 on paper comes out as 1e-17 or so; count those above
1e-12 * s[0]. A fixed bound would not do: a kernel times 1e-20 has the same rank.

Example: [[2, 0], [0, 1]] has s = 2, 1, so its rank is 2. One term gives [[2, 0], [0, 0]]; error sqrt(1/5) = 0.447. The
first row and column of a kernel, divided by the corner, would do for rank 1 - but not here, nor if the corner is 0.

How you share s[k] between column and row is up to you; the check looks at columns @ rows.

Given: correlate of exercise 3, for the last function. Convolutions in sequence are one with the outer product, since a
correlation is linear: so sum, over the terms, of correlate(correlate(image, column), row).
"""

import numpy as np


def correlate(image, kernel):
    """Exercise 3: image (H, W), kernel (KH, KW) -> (H - KH + 1, W - KW + 1)."""
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)
    return (windows * kernel).sum((2, 3))


# Yours --------------------------------------------------------------------------------------------------------


def separate(kernel, terms):
    """Best columns (KH, terms) and rows (terms, KW) for kernel (KH, KW): kernel ~ columns @ rows."""
    U, s, V = np.linalg.svd(kernel, full_matrices=False)
    return U[:, :terms] * s[:terms], V[:terms]


def error(kernel, terms):
    """What that many terms miss of kernel (KH, KW), relative to it; a number from 0 to 1."""
    s = np.linalg.svd(kernel, compute_uv=False)
    return np.sqrt((s[terms:] ** 2).sum() / (s**2).sum())


def rank(kernel):
    """How many terms kernel (KH, KW) needs, counting singular values above 1e-12 of the largest; an int."""
    s = np.linalg.svd(kernel, compute_uv=False)
    return int((s > 1e-12 * s[0]).sum())


def correlate_separated(image, columns, rows):
    """Correlate image (H, W) with columns @ rows (KH, KW), without making that: (H - KH + 1, W - KW + 1)."""
    return sum(correlate(correlate(image, c[:, None]), r[None]) for c, r in zip(columns.T, rows, strict=True))
