"""Writing a file so that a crash at any moment leaves the old one or the new one, never a mixture."""

import os
from pathlib import Path

__all__ = ["remove_stale", "write_atomic"]

SUFFIX = ".tmp"


def write_atomic(path, content):
    """Write `content` (bytes or text) to `path`: temp file beside it, fsync, `os.replace`, fsync of the folder.

    Raises
    ------
    OSError
        The disk is full, the folder is missing or read-only; `path` is then as it was and no temp file stays.
    """
    path = Path(path)
    temporary = path.with_name(path.name + SUFFIX)
    content = content.encode("utf-8") if isinstance(content, str) else content
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise OSError(
            error.errno,
            f"cannot write {len(content) / 1e6:.1f} MB: {reason}; what was there before is untouched",
            str(path),
        ) from error
    _sync_folder(path.parent)


def remove_stale(folder, names):
    """Remove what a crash left behind when it ended `write_atomic` of files called `names` (a glob pattern)."""
    for leftover in Path(folder).glob(names + SUFFIX):
        leftover.unlink(missing_ok=True)


def _sync_folder(folder):
    """Make the renaming itself durable. Windows cannot open a folder, and needs no such call."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
