"""How messages count: "1 epoch", "5 epochs", "1,000 images"."""

__all__ = ["counted"]


def counted(number: int, *words: str) -> str:
    """A number before what it counts; the last of `words` takes the plural.

    Examples
    --------
    >>> counted(1, "class"), counted(0, "class"), counted(2000, "test", "image")
    ('1 class', '0 classes', '2,000 test images')
    """
    *before, noun = words
    ending = "" if number == 1 else "es" if noun.endswith(("s", "x", "tch", "sh")) else "s"
    return " ".join([f"{number:,}", *before, noun + ending])
