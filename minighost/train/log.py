"""The log of a run: one JSON object a line, appended, readable while the run goes on."""

import json
import os
from pathlib import Path

from minighost.errors import FormatError
from minighost.inputs import open_regular

__all__ = ["Log", "read_log"]


class Log:
    """Append-only JSON lines.

    Parameters
    ----------
    path : path
    keep : int, optional
        Keep only this many bytes of an existing file: those that were there at the checkpoint from which a run
        resumes. Lines written after it will be written again.
    """

    def __init__(self, path, keep=0):
        self.path = Path(path)
        self._file = open(self.path, "ab")
        self._file.truncate(min(keep, self.path.stat().st_size))

    def write(self, **record):
        """Append one line; it reaches the file at once. NaN and infinity become null, for JSON has neither."""
        record = {key: _finite(value) for key, value in record.items()}
        try:
            self._file.write(json.dumps(record, allow_nan=False).encode("utf-8") + b"\n")
            self._file.flush()
        except OSError as error:
            raise OSError(
                error.errno, f"cannot write the log: {error.strerror}; the last checkpoint is untouched", str(self.path)
            ) from error

    def sync(self):
        """Make all lines durable; returns the length of the file in bytes."""
        os.fsync(self._file.fileno())
        return self.path.stat().st_size

    def close(self):
        self._file.close()


def _finite(value):
    return None if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))) else value


def read_log(path, warn=print):
    """All records of a log.

    Parameters
    ----------
    path : path
    warn : callable
        Told in one line when the last line is dropped because a crash cut it short.

    Returns
    -------
    list of dict

    Raises
    ------
    FormatError
        A broken line that is not the last; the message names its number.
    """
    with open_regular(path) as file:
        lines = file.read().split(b"\n")
    records, last = [], len(lines) - 1
    for number, line in enumerate(lines):
        if not line:
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("not an object")
        except ValueError as error:
            if number != last:
                raise FormatError(f"{path}, line {number + 1}: not a JSON object ({error})") from error
            warn(f"{path}: dropped the last line, which is cut short")
            continue
        records.append(record)
    return records
