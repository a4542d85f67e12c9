"""How many threads a process should use when nobody says: never more than it may have.

Numba starts a thread for every core it sees. That is too many in a container with a quota of processor time, in each
process of a pool, and where the user has told OpenMP a number; threads that spin for cores they cannot have make every
step several times slower.
"""

import multiprocessing
import os
from pathlib import Path

__all__ = ["check_environment", "suitable"]

_MOST = 1024  # threads that somebody may want on a machine with fewer cores
_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # Linux, control groups version 2: microseconds in every so many, or "max"


def check_environment():
    """Refuse a ``NUMBA_NUM_THREADS`` that Numba would pass over, or that would end the process without a word.

    Raises
    ------
    ValueError
        If it is set, and not to a whole number of threads that a machine may have.
    """
    told, most = os.environ.get("NUMBA_NUM_THREADS"), max(_MOST, os.cpu_count() or 1)
    if told is not None and not (told.strip().isdecimal() and 1 <= int(told.strip()[:9]) <= most):
        raise ValueError(
            f"NUMBA_NUM_THREADS={told!r} in the environment must be a whole number from 1 to {most}; without it there "
            "is a thread for every core"
        )


def suitable(ceiling):
    """The number of threads to start with, and why it is less than `ceiling`.

    Parameters
    ----------
    ceiling : int
        Cores that Numba found, or ``NUMBA_NUM_THREADS``; where that is set, it counts.

    Returns
    -------
    n : int
    reason : str
        Empty if n is the ceiling.
    """
    if "NUMBA_NUM_THREADS" in os.environ:
        return ceiling, ""
    limits = [(ceiling, "")]
    told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if told.isdecimal() and int(told) > 0:
        limits.append((int(told), f"OMP_NUM_THREADS={told}"))
    elif multiprocessing.parent_process() is not None:
        limits.append((1, "a process of a pool"))
    quota = _quota()
    if quota:
        limits.append((max(1, round(quota)), f"a quota of {quota:g} cores"))
    return min(limits, key=lambda limit: limit[0])


def _quota():
    try:
        share, period = _QUOTA.read_text().split()
        return int(share) / int(period)
    except (OSError, ValueError):  # no such file, or "max"
        return None
