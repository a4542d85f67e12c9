"""Multiply matrices tile by tile.

c = a @ b takes M*N*K multiplications, and a processor does them faster than memory delivers numbers. A row of a is
needed for every column of b; if b does not fit in the cache, it is read from memory again for each row. The way out is
to do much work with few numbers: take a block of a, BM x BK, and a block of b, BK x BN, small enough that both
stay in the cache. From BM*BK + BK*BN numbers they give BM*BN*BK multiplications. (Goto & van de Geijn 2008)

    c[i : i+BM, j : j+BN] += a[i : i+BM, k : k+BK] @ b[k : k+BK, j : j+BN]

for i in steps of BM, j in steps of BN and k in steps of BK. All of a then travels only ceil(N/BN) times, all of b
ceil(M/BM) times. A sum over k is now a sum over blocks of k, hence +=, and c must begin with zeros.

Sizes that do not divide evenly are the usual case: the last tiles are smaller. NumPy's slices stop at the edge by
themselves (a[4:8] of six rows has two), so it is enough to begin a tile at every multiple below M, N and K.

Each product of two blocks must go through the function `product`, which is passed in; the check watches what it gets.

A small example: a = [[1, 2, 3]], b = [[1], [10], [100]], tile (1, 1, 2): product([[1, 2]], [[1], [10]]) = [[21]], then
product([[3]], [[100]]) = [[300]], and c = [[321]].
"""

import numpy as np

# Yours --------------------------------------------------------------------------------------------------------


def matmul_tiles(a, b, tile, product):
    """a (M, K), b (K, N), tile (BM, BN, BK); product(a block, b block) -> their product. Returns c (M, N)."""
    (M, K), N = a.shape, b.shape[1]
    BM, BN, BK = tile
    c = np.zeros((M, N), a.dtype)
    for i in range(0, M, BM):
        for j in range(0, N, BN):
            for k in range(0, K, BK):
                c[i : i + BM, j : j + BN] += product(a[i : i + BM, k : k + BK], b[k : k + BK, j : j + BN])
    return c
