"""One arm against a family of arms at equal cost, which is read off the line that joins two of them."""

import math

from minighost.experiments.experiment import COLUMNS
from minighost.experiments.findings import Findings
from minighost.experiments.reading import Difference, weighted

__all__ = ["at_equal_time"]


def at_equal_time(findings: Findings, arm: str, family: str, cost: str) -> str:
    """A sentence: how far the family is ahead of an arm at the arm's own cost, with a 95 % interval.

    Parameters
    ----------
    findings : Findings
    arm : str
    family : str
        Its arms' costs are to enclose that of `arm`; accuracy is linear in the logarithm of the cost between two.
    cost : str
        "train_ms", "inference_ms" or "macs".
    """
    words, one = f"at equal {COLUMNS[cost].rpartition(',')[0] or COLUMNS[cost]}", findings.arms.get(arm)
    families = findings.experiment.families or {}
    others = [each for each in findings.arms.values() if families.get(each.name) == family and each.n]
    if one is None or not one.n or (at := getattr(one, cost)) is None:
        return f"{words}: not known yet, for {arm} has no finished trial or was not timed"
    costs = sorted((getattr(each, cost), each) for each in others if getattr(each, cost) is not None)
    below = [pair for pair in costs if pair[0] <= at]
    above = [pair for pair in costs if pair[0] >= at]
    if not below or not above:
        span = f"{costs[0][0]:.4g} to {costs[-1][0]:.4g}" if costs else "nothing"
        return f"{words}: {arm} takes {at:.4g}, outside of what the arms of {family} span ({span}); nothing follows"
    (low, lower), (high, upper) = below[-1], above[0]
    share = 0.0 if low == high else math.log(at / low) / math.log(high / low)
    found: Difference = weighted([(1 - share, lower), (share, upper), (-1.0, one)])
    how = "ahead" if found.points > 0 else "behind"
    sure = "" if found.clear else "; open, the interval holds both signs" if found.margin is not None else "; one seed"
    return (
        f"{words} as {arm} ({at:.4g}), {family} is {abs(found.points):.2f} points {how}, between {lower.name} "
        f"({low:.4g}) and {upper.name} ({high:.4g}): {found}{sure}"
    )
