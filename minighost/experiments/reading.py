"""What follows from the numbers: for each claim the difference that was measured, its interval, and a verdict.

The interval is Welch's, 95 %, from the spread over the seeds of both arms. Nothing is concluded from one seed, nor from
a difference that the interval does not separate from zero.
"""

import math
from typing import NamedTuple

from minighost.experiments.experiment import Claim
from minighost.experiments.findings import Arm, Findings

__all__ = ["Difference", "difference", "read", "verdict", "weighted"]

LEVEL = 0.95


class Difference(NamedTuple):
    """Percentage points by which one arm is ahead of another.

    Attributes
    ----------
    points : float
        Difference of the means.
    margin : float or None
        Half the width of the interval; None if an arm has one seed.
    """

    points: float
    margin: float | None

    @property
    def clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.margin is not None and abs(self.points) > self.margin

    def __str__(self) -> str:
        if self.margin is None:
            return f"{self.points:+.2f} points"
        return f"{self.points:+.2f} points ({self.points - self.margin:+.2f} to {self.points + self.margin:+.2f})"


def difference(arm: Arm, other: Arm) -> Difference | None:
    """How far `arm` is ahead of `other`; None if one of them has no finished trial."""
    if arm.mean is None or other.mean is None:
        return None
    return weighted([(1.0, arm), (-1.0, other)])


def weighted(terms: list[tuple[float, Arm]]) -> Difference:
    """A weighted sum of arms' means with its interval.

    Parameters
    ----------
    terms : list of (float, Arm)
        Each arm with at least one finished trial.

    Notes
    -----
    Welch 1947, "The generalization of 'Student's' problem": each arm has a variance of its own.
    """
    points, variances = 0.0, []
    for weight, arm in terms:
        points += weight * (arm.mean or 0.0)
        if weight and arm.spread is None:
            return Difference(sum(weight * (arm.mean or 0.0) for weight, arm in terms), None)
        if weight and arm.spread is not None:
            variances.append((weight**2 * arm.spread**2 / arm.n, arm.n - 1))
    total = sum(variance for variance, _ in variances)
    if not total:
        return Difference(points, 0.0)
    freedom = total**2 / sum(variance**2 / degrees for variance, degrees in variances)
    from scipy.special import stdtrit

    return Difference(points, float(stdtrit(freedom, (1 + LEVEL) / 2)) * math.sqrt(total))


def verdict(claim: Claim, found: Difference) -> str:
    """In a few words, whether what was found agrees with what was claimed."""
    if found.margin is None:
        return "one seed: nothing follows"
    within = claim.points is None or abs(found.points - claim.points) <= found.margin
    if not found.clear:
        if claim.direction == "equal":
            return "no difference is seen, as claimed; the interval says how large one may be"
        return "open: the seeds spread too much to tell" + (
            "" if within else ", but a difference as claimed is excluded"
        )
    got = "higher" if found.points > 0 else "lower"
    if claim.direction == "equal":
        return "more than claimed" if got == "higher" else "CONTRADICTS the claim"
    if got != claim.direction:
        return "CONTRADICTS the claim"
    size = "larger" if claim.points is not None and abs(found.points) > abs(claim.points) else "smaller"
    return "agrees with the claim" if within else f"agrees in direction; the difference is {size}"


def read(findings: Findings) -> list[str]:
    """A sentence for each claim, then what the experiment itself makes of the numbers."""
    lines = [_sentence(claim, findings.arms) for claim in findings.experiment.claims]
    if findings.experiment.reading is not None:
        lines += findings.experiment.reading(findings)
    return lines


def _sentence(claim, arms):
    claimed = claim.direction if claim.points is None else f"{claim.points:+.1f} points"
    words = f"{claim.arm} against {claim.against}: claimed {claimed}"
    missing = [name for name in claim[:2] if name not in arms or arms[name].mean is None]
    found = None if missing else difference(arms[claim.arm], arms[claim.against])
    if found is None:
        return f"{words}; not known yet, for {' and '.join(missing)} has no finished trial"
    return f"{words}, here {found}: {verdict(claim, found)}"
