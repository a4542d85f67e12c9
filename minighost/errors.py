"""The errors a user may meet besides Python's own ValueError, TypeError and OSError.

The command line prints each as one line and ends with status 2; inside Python they are ordinary exceptions.
"""

import os

__all__ = ["FormatError", "NonFiniteError", "PlaneTooSmall", "RunLocked", "one_line", "printable"]

LONGEST = 800  # characters; two checkpoints can differ in hundreds of tensors, each of them named


class FormatError(ValueError):
    """A file is not what it claims to be: wrong size, checksum, record, header or tensor."""


class PlaneTooSmall(ValueError):
    """A kernel reaches over more pixels than the padded plane has; a network adds what size of image would do."""


class NonFiniteError(ArithmeticError):
    """A NaN or an infinity appeared in training; the message names step, layer and tensor."""


class RunLocked(RuntimeError):
    """Another process is training in this run folder."""


def one_line(error):
    """What an exception says, on one line, without the control characters that a file name may hold."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{os.fsdecode(error.filename)}: {error.strerror}"
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror
    elif isinstance(error, MemoryError):
        text = f"out of memory: {str(error) or 'none left'}; use a smaller batch, width or input"
    else:
        text = str(error) or type(error).__name__
    line = printable(" ".join(text.split()))
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ... (--debug shows the rest)"


def printable(text):
    """`text` with a question mark for each letter that cannot be shown: control characters, undecodable bytes."""
    return "".join(c if c.isprintable() else "?" for c in text)
