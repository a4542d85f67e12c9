"""One work from start to end: who takes part, do they agree, how do they compare."""

import contextlib

import numpy as np

from versus import compare
from versus.peers import PEERS, contestant, missing
from versus.process import Worker, WorkerFailed
from versus.rounds import interleave

__all__ = ["OURS", "do", "taking_part"]

OURS = "minighost"


def taking_part(work, peers, threads):
    """Labels of all contestants of `work`, minighost first.

    Parameters
    ----------
    work : Work
    peers : sequence of str, or None
        Labels that were asked for; by default every peer. A work with its own peers keeps to them.
    threads : int
    """
    labels = work.peers or peers or tuple(PEERS)
    able = [label for label in labels if label != OURS and PEERS[contestant(label, threads).peer].can(work)]
    return [OURS, *dict.fromkeys(able)]


def do(work, labels, threads, rounds, seconds, tell=print, start=Worker):
    """Do one work.

    Parameters
    ----------
    work : Work
    labels : list of str
        From `taking_part`.
    threads, rounds : int
    seconds : float
        Length of a turn.
    tell : callable
        For progress.
    start : callable
        ``start(work, contestant)`` returns a warm `Worker`.

    Returns
    -------
    dict
        ``work`` and one entry a contestant in ``contestants``: its figures, or under ``absent`` the reason why there
        are none - a peer that is not installed, failed, or computes something else is listed, never left out.
    """
    entries = {}
    with contextlib.ExitStack() as stack:
        workers = {}
        for label in labels:
            who = contestant(label, threads)
            entries[label] = entry = {"threads": who.threads}
            if packages := missing(who.peer):
                entry["absent"] = f"not installed: {', '.join(packages)}"
                tell(f"  {label}: {entry['absent']}")
                continue
            try:
                worker = stack.enter_context(start(work, who))
                _admit(label, worker, workers.get(OURS), work, entry, tell)
            except WorkerFailed as failure:
                entry["absent"] = f"failed: {failure}"
            except compare.Disagreement as failure:
                entry["absent"] = f"computes something else: {failure}"
            else:
                workers[label] = worker
                continue
            tell(f"  {label}: {entry['absent']}")
            if label == OURS:  # nothing to compare with
                break
        times = interleave(workers, rounds, seconds, tell=tell)
    for label, series in times.items():
        entries[label].update(_figures(series, work), ratio=compare.ratio(series, times[OURS]))
        entries[label]["peak_mib"] = workers[label].peak_mib
    return {
        "work": work.name,
        "kind": work.kind,
        "shape": list(work.shape),
        "options": work.options,
        "turn_s": seconds,
        "contestants": entries,
    }


def _admit(label, worker, ours, work, entry, tell):
    """Note what the start took; refuse a contestant whose results are not minighost's."""
    entry.update(first_s=worker.first_s)
    if ours is None:
        tell(f"  {label}: warm after {worker.first_s:.1f} s")
        return
    absolute, relative = compare.difference(worker.results, ours.results, work.tolerance)
    entry["difference"] = {"absolute": absolute, "relative": relative, "tolerance": work.tolerance}
    tell(
        f"  {label}: warm after {worker.first_s:.1f} s, results at most {absolute:.2g} apart ({relative:.1g} relative)"
    )


def _figures(series, work):
    low, median, high = (float(q) for q in np.percentile(series, [25, 50, 75]))
    return {
        "median_ms": 1e3 * median,
        "low_ms": 1e3 * low,
        "high_ms": 1e3 * high,
        "min_ms": 1e3 * min(series),
        "images_per_s": work.shape[0] / median,
        "rounds_ms": [1e3 * seconds for seconds in series],
    }
