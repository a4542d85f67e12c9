"""The learner's folder: one file per exercise, a README, the progress. A file that the learner changed is theirs."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from minighost.errors import FormatError
from minighost.files import set_aside, write_atomic
from minighost.inputs import read_regular
from minighost.learn import stub
from minighost.learn.grading import LARGEST, NOT_STARTED, RIGHT, Verdict, grade
from minighost.learn.ladder import exercises
from minighost.learn.progress import Progress, fingerprint

__all__ = ["Folder", "Written", "here"]

DEFAULT = "minighost-exercises"

README = """\
# Exercises

Each file holds a task, what is given, and functions with gaps. Start with exercise 1. Fill the gaps in any editor, then

    minighost learn check         checks the next unfinished exercise
    minighost learn check 7       checks any one, by number or name
    minighost learn watch         checks a file whenever it is saved
    minighost learn hint          a hint; again for the next of three
    minighost learn solution 7    once it has passed (or with --yes)
    minighost learn reset 7       restores the gaps and keeps your file
    minighost learn list          lists all exercises

in this folder or in the one above it. A check runs your file as an ordinary program. `progress.json` remembers what
has passed; if you delete it, only that is lost.
"""


@dataclass
class Written:
    """What `Folder.init` did, as names of files."""

    new: list = field(default_factory=list)
    renewed: list = field(default_factory=list)
    same: list = field(default_factory=list)
    left: list = field(default_factory=list)


def here(given=None):
    """The learner's folder: the one given, else ./minighost-exercises, else this one if it is such a folder.

    Returns
    -------
    Path
    """
    if given is not None:
        return Path(given)
    inside = Path("progress.json").is_file() and any(Path(e.file).is_file() for e in exercises())
    return Path() if inside and not Path(DEFAULT).is_dir() else Path(DEFAULT)


class Folder:
    """A folder of exercises.

    Parameters
    ----------
    path : path-like
    warn : callable
        Is given a sentence about what was found broken.
    """

    def __init__(self, path, warn=print):
        self.path, self.warn = Path(path), warn
        self.progress = Progress(self.path / "progress.json", warn)

    def file(self, exercise):
        """Path of the learner's file."""
        return self.path / exercise.file

    def exists(self):
        """Whether `init` was run here."""
        return self.path.is_dir() and any(self.file(e).exists() for e in exercises())

    def init(self):
        """Write what is missing, update stubs that nobody touched, leave everything else alone.

        Returns
        -------
        Written

        Raises
        ------
        OSError
            The folder cannot be made or written to.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        done, entries, changes = Written(), self.progress.read(), {}
        for name, text in [("README.md", README), *((e.file, stub.cut(e.source)) for e in exercises())]:
            stem = name.removesuffix(".py")
            self._place(self.path / name, text, entries.get(stem, {}).get("stub"), done)
            changes[stem] = {"stub": fingerprint(text)}
        self.progress.note_all(changes)
        return done

    def _place(self, path, text, written, done):
        if not os.path.lexists(path):
            done.new.append(path.name)
        elif path.is_file() and (content := path.read_bytes()) == text.encode("utf-8"):
            done.same.append(path.name)
            return
        elif path.is_file() and written == fingerprint(content):
            done.renewed.append(path.name)
        else:
            done.left.append(path.name)
            return
        write_atomic(path, text)

    def check(self, exercise, show=None, **options):
        """Grade an exercise and remember the outcome.

        Returns
        -------
        Verdict
        """
        content = self._content(exercise)
        if content == stub.cut(exercise.source).encode("utf-8"):
            verdict = Verdict(NOT_STARTED, "the file is unchanged: the task is at its top, the gaps at its end")
        else:
            verdict = grade(exercise, self.file(exercise), show=show, content=content, **options)
        changes = {"outcome": verdict.outcome, "checked": fingerprint(content)}
        if verdict.outcome == RIGHT:
            changes["passed"] = True
        try:
            self.progress.note(exercise.stem, **changes)
        except OSError as error:  # the verdict is worth saying, though it cannot be kept
            self.warn(f"the outcome could not be saved: {error.filename}: {error.strerror}")
        return verdict

    def outcome(self, exercise, entries=None):
        """The last outcome, and whether the file has changed since.

        Returns
        -------
        (str, bool)
        """
        entry = (self.progress.read() if entries is None else entries).get(exercise.stem, {})
        try:
            print_now = fingerprint(read_regular(self.file(exercise), LARGEST))
        except (OSError, FormatError):
            return NOT_STARTED, False
        if "outcome" not in entry:
            return NOT_STARTED, print_now != entry.get("stub", print_now)
        return entry["outcome"], print_now != entry.get("checked")

    def unfinished(self):
        """The exercises that have not passed, in order."""
        entries = self.progress.read()
        return [e for e in exercises() if self.outcome(e, entries)[0] != RIGHT]

    def hint(self, exercise, number=None):
        """The next hint, or the one of that number; the highest number given out is remembered.

        Returns
        -------
        (int, str)
        """
        seen = self.progress.of(exercise.stem).get("hints", 0)
        number = min(seen + 1, len(exercise.hints)) if number is None else number
        if not 1 <= number <= len(exercise.hints):
            raise ValueError(f"hint {number}: {exercise.stem} has hints 1 to {len(exercise.hints)}")
        self.progress.note(exercise.stem, hints=max(seen, number))
        return number, exercise.hints[number - 1]

    def reset(self, exercise):
        """Put the stub back. The file that was there is kept under another name.

        Returns
        -------
        Path or None
            Where the old file is; None if there was none, or only the stub.
        """
        path, text, aside = self.file(exercise), stub.cut(exercise.source), None
        if os.path.lexists(path) and not (path.is_file() and path.read_bytes() == text.encode("utf-8")):
            aside = set_aside(path, "bak")
        write_atomic(path, text)
        self.progress.note(exercise.stem, outcome=None, checked=None, hints=None, stub=fingerprint(text))
        return aside

    def _content(self, exercise):
        try:
            return read_regular(self.file(exercise), LARGEST)
        except FileNotFoundError:
            raise ValueError(f"{self.file(exercise)} is missing; `minighost learn init` writes it again") from None
