"""Reading a small file whole, whatever stands there: what is no file does not hang, what is too long is not read."""

import os
import stat

from minighost.errors import FormatError

__all__ = ["read_file"]


def read_file(path, limit):
    """The bytes of a regular file of at most `limit` bytes.

    Raises
    ------
    OSError
        No such file, no permission.
    FormatError
        Not a regular file (a folder, a pipe, a device), or a longer one.
    """
    kind = os.stat(path).st_mode
    if not stat.S_ISREG(kind):
        raise FormatError(f"{path}: {'a folder' if stat.S_ISDIR(kind) else 'a pipe or a device'}, not a file")
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise FormatError(f"{path}: {size} bytes; a file of this kind has at most {limit}")
        return file.read(limit)
