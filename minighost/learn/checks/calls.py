"""Around the call of a learner's function: several values taken apart, and a word beside an error about shapes."""

import contextlib
import re

__all__ = ["on_shapes", "several"]


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


@contextlib.contextmanager
def on_shapes(words):
    """Add a note to NumPy's complaints about shapes, which name the numbers but not the reason.

    Parameters
    ----------
    words : str
        Their usual cause in this exercise.
    """
    try:
        yield
    except ValueError as error:
        if re.search(r"shape|broadcast|mismatch", str(error)):
            error.add_note(words)
        raise
