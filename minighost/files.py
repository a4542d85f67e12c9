"""Writing a file so that a crash at any moment leaves the old one or the new one, never a mixture. All of minighost
writes this way, where a file is written as a whole.
"""

import contextlib
import errno
import functools
import os
import secrets
import stat
import sys
import time
from pathlib import Path

__all__ = ["alone", "check_target", "move", "remove_stale", "replacing", "set_aside", "write_atomic"]

SUFFIX = ".tmp"
TOKEN = 8  # characters that tell the temporary files of one name apart


def write_atomic(path, content):
    """Write `content` (bytes or text) to `path`: temp file beside it, fsync, `os.replace`, fsync of the folder.

    A symbolic link stays, and what it points at is replaced. The new file has the mode of the old one, and its owner
    where that is allowed. What is no file but takes bytes (a pipe, a terminal, /dev/stdout) is written to as it is.

    Raises
    ------
    OSError
        The disk is full, the folder is missing or read-only, `path` is a folder or write-protected; `path` is then as
        it was and no temp file stays.
    """
    content = content.encode("utf-8") if isinstance(content, str) else content
    try:
        stream = _stream(path)
        if stream is None:
            real = Path(os.path.realpath(path))
            with replacing(real) as file:
                _like(real, file.name)
                file.write(content)
        else:
            with stream:
                stream.write(content)
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            error.errno,
            f"cannot write {len(content) / 1e6:.1f} MB: {reason}; what was there before is untouched",
            str(path),
        ) from error


@contextlib.contextmanager
def replacing(path, durable=True):
    """A new file that takes the place of whatever is at `path` when the block ends; until then, `path` is as it was.

    Parameters
    ----------
    path : Path
        Not followed if it is a link.
    durable : bool
        Whether the file must survive a power cut: what can be made again need not.

    Yields
    ------
    file object
        Open for bytes. It is removed if the block raises.
    """
    temporary = path.with_name(f"{path.name[:50]}.{secrets.token_hex(TOKEN // 2)}{SUFFIX}")
    try:
        with open(temporary, "xb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        move(temporary, path, durable)
    except BaseException:  # KeyboardInterrupt too
        temporary.unlink(missing_ok=True)
        raise


def move(path, target, durable=True):
    """Give a finished file its name, in one step; what had that name before is gone."""
    os.replace(path, target)
    if durable:
        _sync_folder(target.parent)


def set_aside(path, word):
    """Rename `path` to a name beside it that nobody uses, ``NAME.WORD1``, ``NAME.WORD2`` ...; returns that Path."""
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.{word}{number}")):
        number += 1
    os.rename(path, aside)
    return aside


def check_target(flag, path):
    """Whether a file could be written to `path`, asked before the work that ends with writing it; None is no file.

    Raises
    ------
    OSError
        It is a folder, or its folder is missing; the message begins with the `flag` that named it.
    """
    if path is None:
        return
    folder = Path(os.path.realpath(path)).parent
    if os.path.isdir(path):
        raise IsADirectoryError(f"{flag} {path}: is a folder; name a file in it")
    if not os.path.lexists(path) and not folder.is_dir():
        raise FileNotFoundError(f"{flag} {path}: no folder {Path(path).parent}; create it first")


def remove_stale(folder, names):
    """Remove what a crash left behind when it ended `write_atomic` of files called `names` (a glob pattern)."""
    for pattern in (names + SUFFIX, f"{names}.{'[0-9a-f]' * TOKEN}{SUFFIX}"):
        for leftover in Path(folder).glob(pattern):
            leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(folder, waiting=lambda: None):
    """Let one thread of one process at a time into this block; the others wait. For reading, changing, and writing.

    Who has to wait calls `waiting` first, once. Where the file system knows no locks, nobody waits.
    """
    if sys.platform == "win32":  # which opens no folders
        import msvcrt

        with open(Path(folder) / ".lock", "ab") as file:
            file.seek(0)
            while True:
                try:
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                    break
                except PermissionError:
                    waiting()
                    waiting = functools.partial(time.sleep, 0.1)
            try:
                yield
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            pass
        yield
    finally:
        os.close(handle)


def _stream(path):
    """`path` opened, if it is no regular file but takes bytes; None if it is a file, or not there yet."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    for number, own in ((1, sys.stdout), (2, sys.stderr)):
        with contextlib.suppress(OSError):
            if os.path.samestat(found, os.fstat(number)):  # replaced, it would lose what is printed later
                own.flush()
                return open(number, "wb", closefd=False)
    if stat.S_ISREG(found.st_mode):
        return None
    if stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode):
        return open(path, "wb")
    reason = "it is a folder" if stat.S_ISDIR(found.st_mode) else "it is neither a file nor a pipe"
    raise OSError(errno.EISDIR, reason)


def _like(path, temporary):
    """Give the new file owner and mode of the old one, if there is one."""
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "it is write-protected")
    if hasattr(os, "chown") and (old.st_uid, old.st_gid) != (os.getuid(), os.getgid()):
        with contextlib.suppress(OSError):
            os.chown(temporary, old.st_uid, old.st_gid)
    os.chmod(temporary, stat.S_IMODE(old.st_mode))


def _sync_folder(folder):
    """Make the renaming itself durable, on systems that can do that to a folder."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
