"""What exercise 37 must do, three hints, and wrong answers that it must refuse."""

import numba
import numpy as np

from minighost.learn.compare import function, same

HINTS = (
    "How many blocks are there, if the last may be shorter? Make an array with one number for each, and loop over them "
    "with prange.",
    "Block t goes from t * block to min(len(x), (t + 1) * block). The loop inside is a plain range, and it touches "
    "partials[t] only.",
    "Behind the prange loop: total = 0.0, then a plain loop over the blocks, total += partials[t], then return total.",
)

WRONG = {
    "one total for all": ("    blocks = (len(x) + block - 1) // block\n", "    block = 1\n    blocks = len(x)\n",
                          r"one after the other, without blocks"),
    "the rest forgotten": ("(len(x) + block - 1) // block", "len(x) // block", r"last block"),
    "as many blocks as threads": ("    blocks = (len(x) + block - 1) // block\n",
                                  "    blocks = 4\n    block = (len(x) + 3) // 4\n", r"another order"),
    "partial sums backwards": ("for t in range(blocks)", "for t in range(blocks - 1, -1, -1)", r"last to the first"),
    "numbers backwards": ("partials[t] += x[i]", "partials[t] += x[t * block + min(block * (t + 1), len(x)) - 1 - i]",
                          r"added in another order"),
    "NumPy's sum": ("    return total", "    return x.sum()", r"in pairs"),
    "rounded partial sums": ("np.zeros(blocks)", "np.zeros(blocks, np.float32)", r"float64"),
    "blocks overlap": ("(t + 1) * block)", "(t + 1) * block + 1)", r"overlap"),
    "not parallel": ("@njit(parallel=True)", "@njit", r"parallel=True"),
    "no prange": ("prange(blocks)", "range(blocks)", r"prange"),
    "not compiled": ("@njit(parallel=True)\n", "", r"@njit\(parallel=True\)"),
}  # fmt: skip


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    block_sum = function(mine, "block_sum")
    python = getattr(block_sum, "py_func", block_sum)  # first as Python, where a wild index raises
    _small(python)
    x = _spread(1999)
    _bits(python(x.copy(), 96), x, 96, "as plain Python")
    _compiled(block_sum)
    x = _spread(100_001)
    most = 1 if numba.config.DISABLE_JIT else min(4, numba.config.NUMBA_NUM_THREADS)
    before = numba.get_num_threads()
    try:
        for threads in range(1, most + 1):
            numba.set_num_threads(threads)
            _bits(block_sum(x.copy(), 512), x, 512, f"on {threads} thread{'s' * (threads > 1)}")
    finally:
        numba.set_num_threads(before)


def _small(python):
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    short, overlap = "the last block, which is shorter, is left out", "blocks overlap: the end of a range is not in it"
    for block, known in ((2, [(10, short), (23, overlap)]), (5, []), (8, [(0, short)]), (1, [(29, overlap)])):
        same(python(x.copy(), block), 15.0, f"block_sum(x = [1, 2, 3, 4, 5], block = {block})", hints=known)
    same(python(np.zeros(0), 2), 0.0, "block_sum(x of no numbers, block = 2)")


def _spread(R):
    """Numbers of very different sizes that nearly cancel, so that every other order of addition has other bits."""
    rng = np.random.default_rng(37)
    half = rng.normal(size=R // 2) * 10.0 ** rng.integers(-4, 5, R // 2)
    return rng.permutation(np.concatenate([half, -half, np.ones(R - 2 * len(half) + 1)]))


def _bits(got, x, block, where):
    parts = [_in_order(x[k : k + block]) for k in range(0, len(x), block)]
    what, want = f"block_sum(x of {len(x):,} numbers, block = {block}), {where}", _in_order(parts)
    same(got, want, what, tolerance=1e-2)
    if float(got) == want:
        return
    known = (
        (_in_order(x), "x is added one after the other, without blocks: one total for all"),
        (_in_order(parts[::-1]), "the partial sums are added from the last to the first"),
        (float(x.sum()), "this is x.sum(), which adds in pairs"),
    )
    reason = next((words for other, words in known if other == float(got)), None)
    if reason is None and abs(float(got) - want) > 1e-5:
        reason = "something is rounded to float32: np.zeros(blocks) is float64"
    reason = reason or "right but for its last bits, so it was added in another order (or with fastmath)"
    raise AssertionError(f"{what}: gives {float(got)!r}, must be {want!r}, bit for bit\n  likely: {reason}")


def _in_order(numbers):
    total = 0.0
    for number in numbers:
        total += float(number)
    return total


def _compiled(block_sum):
    if numba.config.DISABLE_JIT:
        return
    right = "write @njit(parallel=True) above its def"
    if not hasattr(block_sum, "py_func"):
        raise AssertionError(f"block_sum gives the right bits, but as a Python function: {right}")
    if not block_sum.targetoptions.get("parallel"):
        raise AssertionError(f"block_sum is compiled for one thread; without parallel=True prange is range: {right}")
    if "prange" not in block_sum.py_func.__code__.co_names:
        raise AssertionError("block_sum has no prange in it: a plain range runs on one thread, parallel=True or not")
