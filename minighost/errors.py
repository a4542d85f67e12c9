"""The errors a user may meet besides Python's own ValueError, TypeError and OSError.

The command line prints each as one line and ends with status 2; inside Python they are ordinary exceptions.
"""

__all__ = ["FormatError", "NonFiniteError", "RunLocked"]


class FormatError(ValueError):
    """A file is not what it claims to be: wrong size, checksum, record, header or tensor."""


class NonFiniteError(ArithmeticError):
    """A NaN or an infinity appeared in training; the message names step, layer and tensor."""


class RunLocked(RuntimeError):
    """Another process is training in this run folder."""
