"""What exercise 36 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost.learn.compare import frozen, function, same

HINTS = (
    "Three loops with steps: range(0, M, BM) gives the first row of each tile, the last one included, however small.",
    "The block of a has rows from i and columns from k; the block of b has rows from k and columns from j. Do not cut "
    "their ends by hand: a slice stops at the edge.",
    "c = np.zeros((M, N), a.dtype), and in the innermost loop c[i : i + BM, j : j + BN] += product(a block, b block).",
)

WRONG = {
    "overwrites instead of adding": ("+= product", "= product", r"\+="),
    "last rows left out": ("range(0, M, BM)", "range(0, M - BM + 1, BM)", r"rows .*left out"),
    "last columns left out": ("range(0, N, BN)", "range(0, N - BN + 1, BN)", r"columns .*left out"),
    "last of the inner side left out": ("range(0, K, BK)", "range(0, K - BK + 1, BK)", r"K = \d+ .*left out"),
    "steps mixed up": ("range(0, N, BN)", "range(0, N, BM)", r"along N begin every 3"),
    "everything at once": (
        "+= product(a[i : i + BM, k : k + BK], b[k : k + BK, j : j + BN])",
        "= product(a, b)[i : i + BM, j : j + BN]",
        r"larger than the tile",
    ),
    "whole rows": ("a[i : i + BM, k : k + BK], b[k : k + BK,", "a[i : i + BM], b[:,", r"larger than the tile"),
    "without the function": (
        "product(a[i : i + BM, k : k + BK], b[k : k + BK, j : j + BN])",
        "a[i : i + BM, k : k + BK] @ b[k : k + BK, j : j + BN]",
        r"never called",
    ),
    "block of b transposed": ("b[k : k + BK, j : j + BN])", "b.T[k : k + BK, j : j + BN])", r"b is transposed"),
    "always float64": ("np.zeros((M, N), a.dtype)", "np.zeros((M, N))", r"float32"),
    "begins with rubbish": ("np.zeros((M, N), a.dtype)", "np.ones((M, N), a.dtype)", r"too large by 1"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    matmul_tiles = function(mine, "matmul_tiles")
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 10.0], [100.0, 1000.0]])
    _compare(matmul_tiles, a, b, (1, 1, 1), "a = [[1, 2], [3, 4]], b = [[1, 10], [100, 1000]]")
    rng = np.random.default_rng(36)
    for (M, N, K), tile in (
        ((6, 4, 8), (3, 2, 4)),
        ((7, 4, 8), (3, 2, 4)),
        ((6, 5, 8), (3, 2, 4)),
        ((6, 4, 9), (3, 2, 4)),
        ((5, 11, 7), (2, 3, 4)),
        ((3, 2, 4), (8, 8, 8)),
    ):
        a, b = rng.normal(size=(M, K)), rng.normal(size=(K, N))
        _compare(matmul_tiles, a, b, tile, f"a of {M}x{K}, b of {K}x{N}")
    c = matmul_tiles(a.astype(np.float32), b.astype(np.float32), (2, 2, 2), np.matmul)
    if c.dtype != np.float32:
        raise AssertionError(f"matmul_tiles: c is {c.dtype} for a and b of float32; make it np.zeros((M, N), a.dtype)")


def _compare(matmul_tiles, a, b, tile, said):
    what = f"matmul_tiles({said}, tile = {tile})"
    product = _Product(a, b, tile, what)
    got = matmul_tiles(*frozen(a, b), tile, product)
    (M, K), N = a.shape, b.shape[1]
    tiles = [-(-side // step) for side, step in zip((M, N, K), tile, strict=True)]
    count = (
        f"{product.calls} calls of product, must be {tiles[0]}*{tiles[1]}*{tiles[2]} = {np.prod(tiles)}: steps of BM "
        "along M, of BN along N, of BK along K"
    )
    off = 0 < product.calls != np.prod(tiles)
    same(got, a @ b, what, hints=[*_mistakes(a, b, tile), *([(got, count)] if off else [])])
    if not product.calls:
        raise AssertionError(f"{what}: c is right, but `product` was never called: pass it each pair of blocks")
    if off:
        raise AssertionError(f"{what}: {count}")


class _Product:
    """What is passed in as `product`: multiplies, counts, and refuses blocks that are not tiles."""

    def __init__(self, a, b, tile, what):
        self.tile, self.what, self.calls, self.most = tile, what, 0, a.size * b.size

    def __call__(self, a, b):
        BM, BN, BK = self.tile
        self.calls += 1
        what = f"{self.what}: call {self.calls} of product"
        if np.ndim(a) != 2 or np.ndim(b) != 2:
            raise AssertionError(f"{what} got arrays that are not matrices: slices (i : i + BM), not single indices")
        sizes = f"{'x'.join(map(str, a.shape))} and {'x'.join(map(str, b.shape))}"
        if a.shape[0] > BM or a.shape[1] > BK or b.shape[0] > BK or b.shape[1] > BN:
            raise AssertionError(f"{what} got blocks of {sizes}, larger than the tile: at most {BM}x{BK} and {BK}x{BN}")
        if a.shape[1] != b.shape[0] or not (a.size and b.size):
            raise AssertionError(f"{what} got blocks of {sizes}; columns of a and rows of b are both k : k + BK")
        if self.calls > self.most:
            raise AssertionError(f"{what}: more calls than there are multiplications; do the loops' steps fit?")
        return a @ b


def _mistakes(a, b, tile):
    """Products of which something is left out."""
    (M, K), N = a.shape, b.shape[1]
    BM, BN, BK = tile
    (m, n, k), last = (side // step * step for side, step in zip((M, N, K), tile, strict=True)), (K - 1) // BK * BK
    rows, columns = a @ b, a @ b
    rows[m:], columns[:, n:] = 0, 0
    known = [(a[:, last:] @ b[last:], "only the last block along K counts: += instead of =")]
    for axis, steps in ((0, (BN, BK)), (1, (BM, BK))):
        for step in set(steps) - {tile[axis]}:
            words = f"the tiles along {'MN'[axis]} begin every {step}, must begin every B{'MN'[axis]} = {tile[axis]}"
            known.append((a @ b * _visits((M, N), axis, step, tile[axis]), words))
    if M == N == K:
        known.append((a @ b.T, "b is transposed: its rows go with k, its columns with j"))
    if m < M:
        known.append((rows, f"of M = {M} rows the last ({M - m}) are left out: a tile begins at each multiple"))
    if n < N:
        known.append((columns, f"of N = {N} columns the last ({N - n}) are left out: a tile begins at each multiple"))
    if k < K:
        some = a[:, :k] @ b[:k]
        known.append((some, f"of K = {K} products the last ({K - k}) are left out: a block begins at each multiple"))
    return known


def _visits(shape, axis, step, size):
    """How often each place of c is visited, if tiles of this size begin at multiples of `step`."""
    visits = np.zeros(shape)
    for first in range(0, shape[axis], step):
        visits.swapaxes(0, axis)[first : first + size] += 1
    return visits
