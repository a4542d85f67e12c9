"""Add on several threads, and get the same bits on any number of them.

Addition of floats is not associative: (1e16 + 1) + 1 is 1e16, but 1e16 + (1 + 1) is not. So the order in which a sum is
formed decides its last bits. Numba's prange divides the iterations of a loop among threads; with one total for all,

    for i in prange(len(x)): total += x[i]

each thread adds up its share, and the size of a share depends on the number of threads. So do the bits of the result,
and a training run that uses it ends with different weights on a different number of cores.

The cure: let the order depend on the size of x alone. Cut x into blocks of `block` numbers, the last one possibly
shorter. Each block has its own partial sum, formed from its first number to its last by whichever thread takes it; no
other thread writes it. When all are done, one thread adds the partial sums, from the first to the last:

    partials[t] = ((0 + x[t*block]) + x[t*block + 1]) + ...      t = 0, 1, ..., in prange
    total = ((0 + partials[0]) + partials[1]) + ...              in plain range

The check asks for exactly these bits, on one thread and on more. This is how minighost's kernels form their sums.

Two traps. In a function compiled with parallel=True Numba runs partials.sum() on several threads as well; write the
loop. And fastmath=True allows the compiler to change orders; leave it out.

A small example: x = 1 2 3 4 5, block = 2: the partial sums are 3, 7 and 5, the total is 15.
"""

import numpy as np
from numba import njit, prange

# Yours --------------------------------------------------------------------------------------------------------


@njit(parallel=True)
def block_sum(x, block):
    """Sum of x (R,) float64, by partial sums of `block` numbers each, in the order of the task."""
    blocks = (len(x) + block - 1) // block
    partials = np.zeros(blocks)
    for t in prange(blocks):
        for i in range(t * block, min(len(x), (t + 1) * block)):
            partials[t] += x[i]
    total = 0.0
    for t in range(blocks):
        total += partials[t]
    return total
