"""What a function that returns several values gives back, taken apart in words."""

__all__ = ["several"]


def several(got, names, what):
    """The values of a function that must return as many as there are names.

    Parameters
    ----------
    got : object
        What the learner's function returned.
    names : str
        Of the values, as "out, cache".
    what : str
        The call in words.

    Returns
    -------
    tuple

    Raises
    ------
    AssertionError
        It is one value, or another number of them.
    """
    count = len(names.split(","))
    if got is None:
        raise AssertionError(f"{what}: returned None: is there a return?")
    if not isinstance(got, (tuple, list)) or len(got) != count:
        found = f"{len(got)} values" if isinstance(got, (tuple, list)) else f"one value ({type(got).__name__})"
        raise AssertionError(f"{what}: returned {found}, must return {count}: {names}")
    return tuple(got)
