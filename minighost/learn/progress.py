"""What a learner has done so far, in one small file that survives a crash at any moment.

    {"format": 1, "exercises": {"ex03_correlate": {"outcome": "wrong", "checked": HASH, "passed": false, "hints": 1,
                                                   "stub": HASH}}}

`checked` is the hash of the file that the outcome belongs to, `stub` that of the stub as it was written.
"""

import hashlib
import json
import os
from pathlib import Path

from minighost.files import alone, set_aside, write_atomic
from minighost.inputs import open_regular

__all__ = ["Progress", "fingerprint"]

FORMAT = 1
LARGEST = 1 << 22  # bytes; a foreign file of that name may be anything
KINDS = {"outcome": str, "checked": str, "passed": bool, "hints": int, "stub": str}


class Progress:
    """The file ``progress.json``; every change reads it first and lets nobody in between, so that two terminals can
    work side by side.

    Parameters
    ----------
    path : path-like
    warn : callable
        Is given a sentence, if the file is broken and was set aside.
    """

    def __init__(self, path, warn):
        self.path, self.warn = Path(path), warn

    def read(self):
        """Entries by the exercises' stems; nothing if there is no file, or none that can be read.

        Returns
        -------
        dict of str to dict
        """
        try:
            return self._read()
        except (ValueError, RecursionError):
            with self._alone():
                return self._read_or_set_aside()

    def of(self, stem):
        """The entry of one exercise."""
        return self.read().get(stem, {})

    def note(self, stem, **changes):
        """Change the entry of one exercise; None takes a key out."""
        self.note_all({stem: changes})

    def note_all(self, changes):
        """Change several entries in one write."""
        with self._alone():
            entries = self._read_or_set_aside()
            for stem, change in changes.items():
                entry = {**entries.get(stem, {}), **change}
                entries[stem] = {key: value for key, value in entry.items() if value is not None}
            text = json.dumps({"format": FORMAT, "exercises": entries}, indent=1, sort_keys=True)
            write_atomic(self.path, text + "\n")

    def _alone(self):
        return alone(os.path.dirname(os.path.realpath(self.path)))

    def _read(self):
        """Its entries; ValueError or RecursionError if it is broken."""
        try:
            with open_regular(self.path) as file:
                content = file.read(LARGEST)
        except FileNotFoundError:
            return {}
        return _entries(json.loads(content))  # JSON and UTF-8 errors are ValueErrors

    def _read_or_set_aside(self):
        try:
            return self._read()
        except (ValueError, RecursionError) as error:
            aside = set_aside(self.path, "broken")
            reason = str(error).splitlines()[0]
            self.warn(f"{self.path}: {reason}; it is kept as {aside.name}, and progress starts over")
            return {}


def fingerprint(content):
    """SHA-256 of a file's bytes, or of a text as it is written here."""
    content = content.encode("utf-8") if isinstance(content, str) else content
    return hashlib.sha256(content).hexdigest()


def _entries(found):
    if not isinstance(found, dict) or not isinstance(found.get("exercises"), dict):
        raise ValueError("not a progress file of minighost learn")
    if found.get("format") != FORMAT:
        raise ValueError(f"format {found.get('format')!r} of another version of minighost; this one writes {FORMAT}")
    for stem, entry in found["exercises"].items():
        if not isinstance(entry, dict):
            raise ValueError(f"the entry of {stem} is not an object")
        for key, value in entry.items():
            if key in KINDS and type(value) is not KINDS[key]:
                raise ValueError(f"{stem}: {key} must not be {value!r:.40}")
    return found["exercises"]
