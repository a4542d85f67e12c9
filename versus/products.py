"""``python -m versus.products``: the matrix product of minighost's kernels beside NumPy's, one thread each.

Both multiply matrices that lie in cache, in turns; a figure is the best of some tens of milliseconds. NumPy's BLAS is
held to one thread, as in minighost.
"""

import argparse
import time

import numpy as np
import threadpoolctl

from minighost.bench.machine import machine
from minighost.engine.gemm import gemm
from minighost.engine.launch import kernel, share
from minighost.terminal.text import table

__all__ = ["main", "rates"]

SHAPES = [  # rows, summed, columns
    *((256, 256, 256), (64, 256, 256), (128, 960, 160), (128, 160, 960), (64, 512, 512)),
    *((128, 72, 24), (128, 16, 48), (128, 20, 60), (196, 12, 36), (128, 64, 64), (1, 960, 160)),
]


@kernel
def _multiply(work, a, transpose_a, b, count, out):
    for _ in share(work, 1):
        for _ in range(count):
            gemm(a, transpose_a, b, False, out)


def rates(R, K, OC, repeats=9, work=5e8):
    """Billions of operations per second: ours and NumPy's for a @ b, ours and NumPy's for a.T @ b."""
    rng, count = np.random.default_rng(0), max(1, round(work / (2 * R * K * OC)))
    b, out = rng.random((K, OC), np.float32), np.empty((R, OC), np.float32)
    found = []
    for a, transposed in ((rng.random((R, K), np.float32), False), (rng.random((K, R), np.float32), True)):
        left = a.T if transposed else a
        best = [np.inf, np.inf]
        for _ in range(repeats + 1):  # the first compiles
            start = time.perf_counter()
            _multiply(a, transposed, b, count, out, n_threads=1)
            middle = time.perf_counter()
            for _ in range(count):
                np.matmul(left, b, out=out)
            best = [min(best[0], middle - start), min(best[1], time.perf_counter() - middle)]
        found += [count * 2 * R * K * OC / seconds / 1e9 for seconds in best]
    return found


def main(argv=None):
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m versus.products", description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9, metavar="N", help="tries, of which the best counts (9)")
    args = parser.parse_args(argv)
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        rows = [(f"{R}x{K} @ {K}x{OC}", *(f"{r:.0f}" for r in rates(R, K, OC, args.repeats))) for R, K, OC in SHAPES]
    print(f"GFLOP/s in single precision on one thread of {machine()['cpu']}, best of {args.repeats}")
    print("\n".join(table(rows, ("product", "ours", "NumPy", "a.T: ours", "NumPy"), "<>>>>")))


if __name__ == "__main__":
    main()
