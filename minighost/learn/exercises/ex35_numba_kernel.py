"""Compile a loop.

NumPy is fast because its loops are compiled. Where no NumPy call fits, you can compile your own loop: Numba's @njit
above a function turns it into machine code when it is first called, once for each combination of argument types. What
Python does slowly, plain loops over single numbers, then runs fast. This is how minighost's kernels are made.

Write the depthwise convolution of exercise 16 for one case that ghost modules need: 3x3, stride 1, padding 1, one
kernel per channel. No array is padded; a tap that falls outside the image counts as 0 and is left out:

    out[n, i, j, c] = sum over u, v = 0, 1, 2 of x[n, i + u - 1, j + v - 1, c] * w[u, v, c]

    x (N, H, W, C),  w (3, 3, C)  ->  out (N, H, W, C)

Four things are different in compiled code.

  - No index is checked. x[n, H, ...] does not raise; it reads whatever comes next in memory. x[n, -1, ...] is the last
    row, as in Python. So test 0 <= h < H before reading.
  - Types are fixed. np.zeros(x.shape) is float64 whatever x is; np.zeros(x.shape, x.dtype) has the dtype of x.
  - Make the channel loop the innermost: channels are neighbours in memory, and the processor takes several at once.
  - A debugger cannot step in. With NUMBA_DISABLE_JIT=1 in the environment @njit does nothing, and it is plain Python.

A small example: the image 1 2 3 / 4 5 6 / 7 8 9 (C = 1) and a kernel of nine ones: each pixel becomes the sum of itself
and its neighbours, 12 21 16 / 27 45 33 / 24 39 28.
"""

import numpy as np
from numba import njit

# Yours --------------------------------------------------------------------------------------------------------


@njit
def depthwise3x3(x, w):
    """x (N, H, W, C), w (3, 3, C), float32 or float64 -> out (N, H, W, C) of the dtype of x."""
    N, H, W, C = x.shape
    out = np.zeros(x.shape, x.dtype)
    for n in range(N):
        for i in range(H):
            for j in range(W):
                for u in range(3):
                    for v in range(3):
                        h, k = i + u - 1, j + v - 1
                        if 0 <= h < H and 0 <= k < W:
                            for c in range(C):
                                out[n, i, j, c] += x[n, h, k, c] * w[u, v, c]
    return out
