"""A contestant's process, from within: build, check, warm up; then do as many steps as each line on stdin says.

    python -m versus.worker WORK LABEL THREADS RESULTS.npz

Answers on stdout are one JSON object per line: first ``{"first_s": ..., "step_s": ...}``, then ``{"seconds": ...}`` for
each turn, with the most memory held in it, ``"peak_mib"``. The end of stdin ends the process.
"""

import gc
import json
import os
import sys
import time

import numpy as np

from minighost.bench.memory import forget_peak, peak_memory
from versus.peers import contestant
from versus.works import WORKS

__all__ = ["main", "serve"]

WARMUP = 3


def main(work, label, threads, results):
    """Build the contestant, write what it computes to `results`, and serve."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not be mistaken for an answer
    start = time.perf_counter()
    runner = contestant(label, int(threads)).build(WORKS[work])
    np.savez(results, **runner.check())
    serve(runner.step, sys.stdin, answers, start)


def serve(step, orders, answers, start, clock=time.perf_counter):
    """Warm up, then take turns.

    Parameters
    ----------
    step : callable
    orders : iterable of str
        One line per turn: the number of steps.
    answers : text file
    start : float
        When building began.
    clock : callable
    """

    def answer(**values):
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    step()
    first = clock() - start
    before = clock()
    for _ in range(WARMUP):
        step()
    answer(first_s=first, step_s=(clock() - before) / WARMUP)
    for order in orders:
        gc.collect()  # between turns: a tape leaves cycles behind
        forget_peak()  # of the checks before the first turn
        gc.disable()
        step()  # while the others ran, they took the caches
        before = clock()
        for _ in range(int(order)):
            step()
        seconds = clock() - before
        gc.enable()
        peak = peak_memory()
        answer(seconds=seconds, peak_mib=None if peak is None else round(peak / 2**20))


if __name__ == "__main__":
    main(*sys.argv[1:])
