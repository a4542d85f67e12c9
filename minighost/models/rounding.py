"""Channel numbers that fit the hardware: the rounding rules of the MobileNet and GhostNet families."""

from minighost.registry import Registry

__all__ = ["make_divisible", "squeeze_width"]


def make_divisible(value: float, divisor: int, minimum: int | None = None) -> int:
    """Round to the nearest multiple of `divisor`, but never down by more than a tenth.

    Parameters
    ----------
    value : float
        Channels times the width multiplier.
    divisor : int
    minimum : int, optional
        By default the divisor.

    Returns
    -------
    int

    Examples
    --------
    >>> make_divisible(72 * 0.25, 4), make_divisible(120 * 0.25, 4), make_divisible(11, 8)
    (20, 32, 16)
    """
    rounded = max(minimum or divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def squeeze_width(rule: str, channels: int) -> int:
    """Hidden width of squeeze-and-excitation, by the rule of a family.

    ============== ============================================= ==========================================
    rule           width                                         `channels`
    ============== ============================================= ==========================================
    "senet"        C/16 (Hu et al. 2018, §3.1)                   what is weighed
    "ghostnet"     a quarter, to multiples of 4                  what is weighed
    "mobilenet_v3" a quarter, to multiples of 8                  what is weighed: the expansion
    "efficientnet" a quarter, rounded down                       the block's *input*, before the expansion
    ============== ============================================= ==========================================

    Parameters
    ----------
    rule : str
    channels : int

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ValueError
        The rule is unknown.

    Examples
    --------
    >>> [squeeze_width(rule, 72) for rule in ("senet", "ghostnet", "mobilenet_v3", "efficientnet")]
    [4, 20, 24, 18]
    """
    return max(1, _SQUEEZE_WIDTHS.find(rule)(channels))


_SQUEEZE_WIDTHS = Registry(
    "squeeze_width",
    "rule",
    senet=lambda C: C // 16,
    ghostnet=lambda C: make_divisible(C / 4, 4),
    mobilenet_v3=lambda C: make_divisible(C // 4, 8),
    efficientnet=lambda C: C // 4,
)
