"""Compute a transposed convolution without adding to the same place twice: re-group its taps.

The transposed convolution of exercise 20 scatters: each number of y is multiplied by all taps, and what falls on the
same place is added up. Now the other way round: which products does one place of the image get? Along one axis

    image[i] = sum of y[j] * w[u] over all j, u with j*S + u = i

Write i = q*S + r, the r-th of S neighbours. Only taps with u mod S = r can meet it: u = t*S + r, and then j = q - t.

    image[q*S + r] = sum_t y[q - t] * w[t*S + r]

For each *phase* r this is a small convolution without a stride, of ceil(K/S) taps. All phases together are one
convolution of y with S times as many output channels, and depth to space (exercise 40) lays them out. In the plane:

    1  pad w (KH, KW, C, OC) with zeros, at its end, to whole multiples of (SH, SW)
    2  split its rows into (t, r) with u = t*SH + r, its columns likewise
    3  flip both t axes: a convolution of ours reads x[i + t], and here it is y[q - t]
    4  sort into taps (ceil(KH/SH), ceil(KW/SW), OC, SH*SW*C): the phases in the order that DCR wants
    5  convolve y, padded by ceil(K/S) - 1 on all sides so that every q with any product is there
    6  depth to space, then cut off: PH rows before the image, and what lies beyond its H rows; columns likewise

Steps 1 to 4 need only the weights: they are done once. Padding P means that P rows at each end are not wanted:

    H = (OH - 1)*SH + KH - 2*PH,   W = (OW - 1)*SW + KW - 2*PW

Example along one axis: w = [1, 10, 100], S = 2. Padded 1 10 100 0; t = 0: 1 10, t = 1: 100 0. Phase 0 has the taps
[1, 100], phase 1 [10, 0]; flipped [100, 1] and [0, 10]. For y = 1 2 (padded 0 1 2 0): phase 0 gives 1 102 200, phase 1
gives 10 20 0; interleaved 1 10 102 20 200 0, of which the first (2 - 1)*2 + 3 = 5 are the image of exercise 20.

Given: ops.conv2d_forward_reference(y, taps, padding=(rows, columns)) -> out, cache (taps as a weight, exercise 12), and
ops.depth_to_space_forward_reference(x, block) -> out, cache: what you wrote in exercise 40.
"""

import numpy as np

from minighost import ops

# Yours --------------------------------------------------------------------------------------------------------


def regroup(w, stride):
    """w (KH, KW, C, OC) of exercise 20, stride (SH, SW) -> taps (ceil(KH/SH), ceil(KW/SW), OC, SH*SW*C)."""
    (KH, KW, C, OC), (SH, SW) = w.shape, stride
    rows, columns = -(-KH // SH), -(-KW // SW)
    padded = np.zeros((rows * SH, columns * SW, C, OC), w.dtype)
    padded[:KH, :KW] = w
    split = padded.reshape(rows, SH, columns, SW, C, OC)[::-1, :, ::-1]
    return split.transpose(0, 2, 5, 1, 3, 4).reshape(rows, columns, OC, SH * SW * C)


def transposed(y, taps, kernel_size, stride, padding):
    """y (N, OH, OW, OC), taps of `regroup`, (KH, KW), (SH, SW), (PH, PW) -> image (N, H, W, C)."""
    (_, OH, OW, _), (rows, columns), (KH, KW) = y.shape, taps.shape[:2], kernel_size
    (SH, SW), (PH, PW) = stride, padding
    H, W = (OH - 1) * SH + KH - 2 * PH, (OW - 1) * SW + KW - 2 * PW
    phases, _ = ops.conv2d_forward_reference(y, taps, padding=(rows - 1, columns - 1))
    blocks, _ = ops.depth_to_space_forward_reference(phases, stride)
    return blocks[:, PH : PH + H, PW : PW + W]
