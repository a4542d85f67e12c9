"""Opening the files that a user names: only regular ones, and only up to a size limit.

A pipe or a terminal instead of a file would make a program wait forever, and ``/dev/zero`` fills the memory.
"""

import errno
import os
import stat

from minighost.errors import FormatError

__all__ = ["open_regular", "read_regular"]

_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}


def open_regular(path):
    """Open a regular file for reading bytes.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    file object

    Raises
    ------
    IsADirectoryError
        A directory.
    FormatError
        A pipe, a device or a socket.
    OSError
        The file is missing or cannot be opened.
    """
    _check(path, os.stat(path).st_mode)  # before opening: that alone wakes a pipe's writer and winds a tape
    file = open(path, "rb", opener=_without_waiting)
    try:
        _check(path, os.fstat(file.fileno()).st_mode)  # what was opened may not be what was there a moment ago
    except (FormatError, OSError):
        file.close()
        raise
    return file


def read_regular(path, most):
    """The content of a regular file of at most `most` bytes.

    Raises
    ------
    FormatError
        More bytes, or see `open_regular`.
    OSError
        See `open_regular`.
    """
    with open_regular(path) as file:
        content = file.read(most + 1)  # not the size it claims: files of the kernel, as in /proc, claim 0
    if len(content) > most:
        raise FormatError(f"{os.fsdecode(path)}: more than {most:,} bytes; a file of this kind is smaller")
    return content


def _check(path, mode):
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "a special file")
        raise FormatError(f"{os.fsdecode(path)}: is {kind}, but a regular file is needed")


def _without_waiting(path, flags):
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # Windows has no such pipes
