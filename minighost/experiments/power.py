"""Is a cost proportional to a power of a multiplier? The slope of a line through logarithms, family by family."""

import math
from collections.abc import Callable

from minighost.experiments.findings import Arm, Findings

__all__ = ["exponent", "fits"]

COSTS = {"macs": "multiply-adds", "inference_ms": "inference", "train_ms": "training step", "parameters": "parameters"}


def exponent(points: list[tuple[float, float]]) -> float:
    """p of the best ``cost = c * multiplier**p``, by least squares over the logarithms.

    Parameters
    ----------
    points : list of (float, float)
        Multiplier and cost, both above 0; at least two multipliers.

    Examples
    --------
    >>> exponent([(0.5, 10.0), (1.0, 40.0), (2.0, 160.0)])
    2.0
    """
    x, y = ([math.log(point[k]) for point in points] for k in (0, 1))
    mean = sum(x) / len(x)
    slope = sum((a - mean) * b for a, b in zip(x, y, strict=True)) / sum((a - mean) ** 2 for a in x)
    return round(slope, 12)


def fits(findings: Findings, letter: str, multiplier: Callable[[Arm], float]) -> list[str]:
    """A sentence for each family of arms: to which power of its multiplier each cost rises.

    Parameters
    ----------
    findings : Findings
    letter : str
        The multiplier's name.
    multiplier : callable
        Its value for an arm.
    """
    lines, families = [], findings.experiment.families or {}
    for family in dict.fromkeys(families.values()):
        arms = [arm for arm in findings.arms.values() if families.get(arm.name) == family]
        found = []
        for cost, words in COSTS.items():
            points = [(multiplier(arm), value) for arm in arms if (value := getattr(arm, cost)) is not None]
            if len({at for at, _ in points}) > 1 and len({value for _, value in points}) > 1:
                found.append(f"{words} as {letter}^{exponent(points):.2f}")
        if found:
            lines.append(f"{family}: claimed to rise as {letter}^2; here {', '.join(found)}")
    return lines
