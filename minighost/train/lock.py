"""One trainer per run folder: a lock file that names its owner, and gives way when the owner has died."""

import json
import os
import socket
import time
from contextlib import contextmanager
from pathlib import Path

from minighost.errors import RunLocked

__all__ = ["run_lock"]

NAME = "lock.json"


@contextmanager
def run_lock(folder):
    """Hold the folder's lock within the block.

    Raises
    ------
    RunLocked
        A living process holds it (or one on another computer, which cannot be asked).
    """
    path = Path(folder) / NAME
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "started": _started(os.getpid())}
    handle = _create(path, owner)
    try:
        yield path
    finally:
        handle.close()
        path.unlink(missing_ok=True)


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
    """Remove a lock whose owner is dead; RunLocked if it lives."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    owner = _parse(text)
    if owner is None and patience:  # created a moment ago and not written yet, or its owner died at just that point
        time.sleep(0.1)
        return _take_over(path, patience - 1)
    if owner and owner.get("host") != socket.gethostname():
        raise RunLocked(
            f"{path}: process {owner.get('pid')} on {owner.get('host')} is training here; if it died, remove this file"
        )
    if owner and _alive(path, owner):
        raise RunLocked(
            f"{path}: process {owner['pid']} is training here; stop it, or choose another folder with --out"
        )
    aside = path.with_name(f"{NAME}.{os.getpid()}.tmp")
    try:
        os.replace(path, aside)  # one winner if two processes find the same dead lock
        if aside.read_text(encoding="utf-8") != text:
            os.replace(aside, path)
            raise RunLocked(f"{path}: another process has just taken this lock; choose another folder with --out")
        aside.unlink()
    except FileNotFoundError:
        return


def _parse(text):
    try:
        owner = json.loads(text)
    except ValueError:
        return None  # its owner died while writing it
    return owner if isinstance(owner, dict) and isinstance(owner.get("pid"), int) else None


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
    return not started or not owner.get("started") or started == owner["started"]


def _started(pid):
    """When a process began, in ticks, where the system tells: numbers of dead processes are given out again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
