"""Channel numbers that fit the hardware: the rounding rule of the MobileNet and GhostNet families."""

__all__ = ["make_divisible"]


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
