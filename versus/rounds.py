"""The turns: A B C, A B C, ..., so that all see the same good and bad minutes of the machine."""

import time

__all__ = ["interleave", "steps_for"]

PAUSE = 0.05  # seconds between turns: waiting threads of the last contestant stop spinning


def steps_for(step_s, seconds):
    """How many steps of `step_s` fill a turn of about `seconds`; at least one."""
    return max(1, round(seconds / step_s))


def interleave(workers, rounds, seconds, sleep=time.sleep, tell=lambda text: None):
    """Let everybody take a turn, `rounds` times.

    Parameters
    ----------
    workers : dict of str to Worker
    rounds : int
    seconds : float
        Length of a turn.
    sleep, tell : callable
        For the pause, and for progress.

    Returns
    -------
    dict of str to list of float
        Seconds per step, one number per round.
    """
    steps = {name: steps_for(worker.step_s, seconds) for name, worker in workers.items()}
    times = {name: [] for name in workers}
    for k in range(rounds):
        for name, worker in workers.items():
            sleep(PAUSE)
            times[name].append(worker.run(steps[name]))
        tell(f"  round {k + 1}/{rounds}: " + ", ".join(f"{name} {1e3 * t[-1]:.2f} ms" for name, t in times.items()))
    return times
