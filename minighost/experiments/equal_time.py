"""One arm against a family of arms at equal cost, which is read off the line that joins two of them."""

import math

from minighost.experiments.findings import Findings, short
from minighost.experiments.reading import Difference, weighted

__all__ = ["at_equal_time"]

NAMES = {"train_ms": "training step", "inference_ms": "inference", "macs": "multiply-adds"}


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
    one, families = findings.arms.get(arm), findings.experiment.families or {}
    words = f"at the {NAMES[cost]} of {arm}"
    others = [each for each in findings.arms.values() if families.get(each.name) == family and each.n]
    if one is None or not one.n or (at := getattr(one, cost)) is None:
        return f"{words}: not known yet, for {arm} has no finished trial or was not timed"
    costs = sorted(((value, each) for each in others if (value := getattr(each, cost)) is not None), key=lambda p: p[0])
    below = [pair for pair in costs if pair[0] <= at]
    above = [pair for pair in costs if pair[0] >= at]
    if not below or not above:
        span = f"{_told(cost, costs[0][0])} to {_told(cost, costs[-1][0])}" if costs else "nothing"
        return f"{words} ({_told(cost, at)}): outside of what the arms of {family} span, {span}; nothing follows"
    (low, lower), (high, upper) = below[-1], above[0]
    share = 0.0 if low == high else math.log(at / low) / math.log(high / low)
    found: Difference = weighted([(1 - share, lower), (share, upper), (-1.0, one)])
    how = "ahead" if found.points > 0 else "behind"
    sure = "" if found.clear else "; open, the interval holds both signs" if found.margin is not None else "; one seed"
    return (
        f"{words} ({_told(cost, at)}), {family} is {abs(found.points):.2f} points {how}, between {lower.name} "
        f"({_told(cost, low)}) and {upper.name} ({_told(cost, high)}): {found}{sure}"
    )


def _told(cost, value):
    return f"{value:.1f} ms" if cost.endswith("_ms") else short(value)
