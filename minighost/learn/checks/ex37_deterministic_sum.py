"""What exercise 37 must do, three hints, and wrong answers that it must refuse."""

import ast
import inspect

import numba
import numpy as np

from minighost.learn.compare import function, same

HINTS = (
    "How many blocks are there, if the last may be shorter? Make an array with one number for each, and loop over them "
    "with prange.",
    "Block t goes from t * block to min(len(x), (t + 1) * block). The loop inside is a plain range, and it touches "
    "partials[t] only.",
    "After the prange loop: total = 0.0, then a plain loop over the blocks, total += partials[t], then return total.",
)

TWO_LOOPS = """\
    for t in prange(blocks):
        for i in range(t * block, min(len(x), (t + 1) * block)):
            partials[t] += x[i]
    total = 0.0
    for t in range(blocks):
        total += partials[t]
"""
ONE_LOOP = """\
    total = 0.0
    for t in prange(blocks):
        for i in range(t * block, min(len(x), (t + 1) * block)):
            partials[t] += x[i]
        total += partials[t]
"""
WRONG = {
    "one total for all": (
        "    blocks = (len(x) + block - 1) // block\n",
        "    block = 1\n    blocks = len(x)\n",
        r"one after the other, without blocks",
    ),
    "the rest forgotten": ("(len(x) + block - 1) // block", "len(x) // block", r"last block"),
    "as many blocks as threads": (
        "    blocks = (len(x) + block - 1) // block\n",
        "    blocks = 4\n    block = (len(x) + 3) // 4\n",
        r"another order",
    ),
    "partial sums backwards": ("for t in range(blocks)", "for t in range(blocks - 1, -1, -1)", r"last to the first"),
    "numbers backwards": (
        "partials[t] += x[i]",
        "partials[t] += x[t * block + min(block * (t + 1), len(x)) - 1 - i]",
        r"added in another order",
    ),
    "NumPy's sum": ("    return total", "    return x.sum()", r"in pairs"),
    "NumPy's sum of the partial sums": (
        "total = 0.0\n    for t in range(blocks):\n        total += partials[t]",
        "total = partials.sum()",
        r"write the loop",
    ),
    "rounded partial sums": ("np.zeros(blocks)", "np.zeros(blocks, np.float32)", r"float64"),
    "blocks overlap": ("(t + 1) * block)", "(t + 1) * block + 1)", r"overlap"),
    "a total for each thread": (TWO_LOOPS, ONE_LOOP, r"adds up total in the iterations of the prange loop"),
    "not parallel": ("@njit(parallel=True)", "@njit", r"parallel=True"),
    "no prange": ("prange(blocks)", "range(blocks)", r"prange"),
    "not compiled": ("@njit(parallel=True)\n", "", r"@njit\(parallel=True\)"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    block_sum = function(mine, "block_sum")
    python = getattr(block_sum, "py_func", block_sum)  # first as Python, where a wild index raises
    _small(python)
    _bits(python, 2000, 96, "as plain Python")
    _compiled(block_sum)
    most = 1 if numba.config.DISABLE_JIT else min(4, numba.config.NUMBA_NUM_THREADS)
    before = numba.get_num_threads()
    try:
        for threads in range(1, most + 1):
            numba.set_num_threads(threads)
            _bits(block_sum, 50_000, 512, f"on {threads} thread{'s' * (threads > 1)}")
    finally:
        numba.set_num_threads(before)


def _small(python):
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    short, overlap = "the last block, which is shorter, is left out", "blocks overlap: the end of a range is not in it"
    for block, known in ((2, [(10, short), (23, overlap)]), (5, []), (8, [(0, short)]), (1, [(29, overlap)])):
        same(python(x.copy(), block), 15.0, f"block_sum(x = [1, 2, 3, 4, 5], block = {block})", hints=known)
    same(python(np.zeros(0), 2), 0.0, "block_sum(x of no numbers, block = 2)")


def _bits(block_sum, R, block, where):
    """Equal bits, for numbers of very different sizes that nearly cancel: there other orders have other bits.

    Two orders may have the same bits by chance, so there are three arrays, and a cause must fit all.
    """
    what, found = f"block_sum(x of {R:,} numbers, block = {block}), {where}", []
    for seed in range(3):
        rng = np.random.default_rng([37, seed])
        half = rng.normal(size=R // 2 - 5) * 10.0 ** rng.integers(-4, 5, R // 2 - 5)
        x = rng.permutation(np.concatenate([half, -half, np.ones(10)]))
        found.append((block_sum(x.copy(), block), _orders(x, block)))
        same(found[-1][0], found[-1][1][""], what, tolerance=1e-2)
    if all(got == orders[""] for got, orders in found):
        return
    got, want = next((float(got), orders[""]) for got, orders in found if got != orders[""])
    fitting = [words for words in found[0][1] if all(got == orders[words] for got, orders in found)]
    if fitting:
        reason = fitting[0]
    elif abs(got - want) > 1e-5:
        reason = "something is rounded to float32: np.zeros(blocks) is float64"
    else:
        reason = "right but for its last bits, so it was added in another order (or with fastmath)"
    raise AssertionError(f"{what}: gives {got!r}, must be {want!r}, bit for bit\n  likely: {reason}")


def _orders(x, block):
    """The sum of x in the order of the task, under "", and in others, under what is said of them."""
    blocks = [x[k : k + block] for k in range(0, len(x), block)]
    parts = [_in_order(some) for some in blocks]
    return {
        "": _in_order(parts),
        "x is added one after the other, without blocks: one total for all": _in_order(x),
        "the partial sums are added from the last to the first": _in_order(parts[::-1]),
        "this is x.sum(), which adds in pairs": float(x.sum()),
        "this is partials.sum(), which adds in pairs: write the loop": float(np.sum(parts)),
        "the sums of blocks by .sum(), which adds in pairs: write the loop": _in_order([some.sum() for some in blocks]),
    }


def _in_order(numbers):
    total = 0.0
    for number in np.asarray(numbers).tolist():
        total += number
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
    for name in _shared(block_sum.py_func):
        raise AssertionError(
            f"block_sum adds up {name} in the iterations of the prange loop: then each thread has its own {name}, and "
            "how these are combined depends on the number of threads. Keep partials[t] there, and add them after it"
        )


def _shared(python):
    """Names that the rounds of a prange loop add to. On one thread their bits are right; so this reads the source."""
    try:
        tree = ast.parse(inspect.getsource(python))
    except (OSError, SyntaxError):
        return
    for loop in ast.walk(tree):
        if not (isinstance(loop, ast.For) and isinstance(loop.iter, ast.Call)):
            continue
        if ast.unparse(loop.iter.func).rpartition(".")[2] != "prange":
            continue
        own, added = {node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)}, []
        for node in ast.walk(loop):
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                added.append(node.target.id)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name, used = node.targets[0].id, [n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)]
                added.append(name) if name in used else own.add(name)
        yield from (name for name in added if name not in own)
