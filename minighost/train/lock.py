"""One trainer per run folder: a lock file that names its owner, and gives way when the owner has died."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minighost.errors import FormatError, RunLocked
from minighost.inputs import read_regular
from minighost.type_aliases import PathLike

__all__ = ["run_lock"]

NAME = "lock.json"
LONGEST = 4096  # bytes; a host's name has 255 at most
BEGINNING = b'{"pid": '


@contextmanager
def run_lock(folder: PathLike) -> Iterator[Path]:
    """Hold the folder's lock within the block.

    Raises
    ------
    RunLocked
        A living process holds it (or one on another computer, which cannot be asked); or what is there is not a lock
        of ours, which is not for us to remove.
    """
    path = Path(folder) / NAME
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "started": _started(os.getpid())}
    handle = _create(path, owner)
    try:
        yield path
    finally:
        ours = _is(path, handle)
        handle.close()
        if ours:
            path.unlink(missing_ok=True)


def _is(path, handle):
    """Whether the file of that name is still the one that we opened: somebody may have removed it and started over."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False


def _create(path, owner):
    for _ in range(3):
        try:
            handle = open(path, "x", encoding="utf-8")  # stays open: Windows will not let anyone remove it meanwhile
        except FileExistsError:
            _take_over(path)
            continue
        json.dump(owner, handle)
        handle.flush()
        return handle
    raise RunLocked(f"{path}: other processes keep taking this lock; choose another folder with --out")


def _take_over(path, patience=3):
    """Remove a lock whose owner is dead; RunLocked if it lives, or if this is no lock."""
    try:
        content = read_regular(path, LONGEST)
    except FileNotFoundError:
        if os.path.lexists(path):
            raise RunLocked(f"{path}: a broken link, not a lock; remove it") from None
        return
    except (FormatError, IsADirectoryError) as error:
        raise RunLocked(f"{path}: is in the lock's place but is not a lock ({error}); move it away") from error
    owner = _owner(content)
    if owner is None and content.strip(b"\0") and not BEGINNING.startswith(content[: len(BEGINNING)]):
        raise RunLocked(f"{path}: not a lock of minighost; if nobody trains here, move this file away")
    if owner is None and patience:  # created a moment ago and not written yet, or its owner died at just that point
        time.sleep(0.1)
        return _take_over(path, patience - 1)
    if owner and owner["host"] != socket.gethostname():
        raise RunLocked(
            f"{path}: process {owner['pid']} on {owner['host']} is training here; if it died, remove this file"
        )
    if owner and _alive(path, owner):
        raise RunLocked(
            f"{path}: process {owner['pid']} is training here; stop it, or choose another folder with --out"
        )
    aside = path.with_name(f"{NAME}.{os.getpid()}.tmp")
    try:
        os.replace(path, aside)  # one winner if two processes find the same dead lock
        if aside.read_bytes() != content:
            os.replace(aside, path)
            raise RunLocked(f"{path}: another process has just taken this lock; choose another folder with --out")
        aside.unlink()
    except FileNotFoundError:
        return


def _owner(content):
    """What `_create` wrote, or None if that is not it."""
    try:
        owner = json.loads(content)
    except (ValueError, RecursionError):
        return None
    fits = (
        isinstance(owner, dict)
        and type(owner.get("pid")) is int
        and 0 < owner["pid"] < 2**31
        and isinstance(owner.get("host"), str)
        and isinstance(owner.get("started"), str)
    )
    return owner if fits else None


def _alive(path, owner):
    if os.name == "nt":  # os.kill would end the process there
        try:
            path.unlink()
        except PermissionError:
            return True
        return False
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    started = _started(owner["pid"])
    return not started or not owner["started"] or started == owner["started"]


def _started(pid):
    """When a process began, in ticks, where the system tells: numbers of dead processes are given out again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
