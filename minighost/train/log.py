"""The log of a run: one JSON object per line, appended, readable while the run continues."""

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minighost.errors import FormatError
from minighost.inputs import open_regular
from minighost.type_aliases import PathLike

__all__ = ["Log", "finite", "read_log"]


class Log:
    """Append-only JSON lines.

    Parameters
    ----------
    path : path
    keep : int, optional
        Keep only this many bytes of an existing file: those that were there at the checkpoint from which a run
        resumes. Lines written after it will be written again.
    """

    def __init__(self, path: PathLike, keep: int = 0) -> None:
        self.path = Path(path)
        self._file = open(self.path, "a+b")
        self._file.truncate(min(keep, self.path.stat().st_size))
        self._file.seek(0)
        self._file.truncate(self._file.read().rfind(b"\n") + 1)  # nothing is appended to half a line

    def write(self, **record: Any) -> None:
        """Append one line; it reaches the file at once. NaN and infinity become null, as JSON has neither."""
        try:
            self._file.write(json.dumps(finite(record), allow_nan=False).encode("utf-8") + b"\n")
            self._file.flush()
        except OSError as error:
            raise OSError(
                error.errno, f"cannot write the log: {error.strerror}; the last checkpoint is untouched", str(self.path)
            ) from error

    def sync(self) -> int:
        """Make all lines durable; returns the length of the file in bytes."""
        os.fsync(self._file.fileno())
        return self.path.stat().st_size

    def close(self) -> None:
        self._file.close()


def finite(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as JSON can hold it, with None for each number that is not finite."""
    return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in record.items()}


def read_log(path: PathLike, warn: Callable[[str], object] = print, strict: bool = True) -> list[dict[str, Any]]:
    """All records of a log.

    Parameters
    ----------
    path : path
    warn : callable
        Told in one line when the last line is dropped because a crash cut it short.
    strict : bool
        False drops all broken lines, and tells of them once.

    Returns
    -------
    list of dict

    Raises
    ------
    FormatError
        If `strict`, a broken line that is not the last; the message names its number.
    """
    with open_regular(path) as file:
        lines = file.read().split(b"\n")
    records, broken, last = [], 0, len(lines) - 1
    for number, line in enumerate(lines):
        if not line:
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError) as error:
            if number != last and not strict:
                broken += 1
                continue
            if number != last:
                raise FormatError(f"{path}, line {number + 1}: not a JSON object ({error})") from error
            warn(f"{path}: dropped the last line, which is incomplete")
            continue
        records.append(record)
    if broken:
        warn(f"{path}: dropped {broken} damaged line{'s' * (broken > 1)}")
    return records
