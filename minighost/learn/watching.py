"""Watching the learner's folder: a file that is saved is checked. Nothing but `os.stat`, a few times a second."""

import os
import time

from minighost.learn.ladder import exercises

__all__ = ["EVERY", "saved", "stamps"]

EVERY = 0.3  # seconds


def stamps(folder):
    """What tells a saved file from an unsaved one: time, size and inode, by exercise; None while there is no file.

    An editor that saves by writing a new file and renaming it gives the same name another inode.
    """
    return {exercise: _stamp(folder.file(exercise)) for exercise in exercises()}


def _stamp(path):
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def saved(folder, before=None, every=EVERY, sleep=time.sleep):
    """Wait, and yield each exercise whose file was saved; without end.

    A file counts as saved when it has stayed as it is for one interval: some editors empty it before they write it.

    Parameters
    ----------
    folder : Folder
    before : dict, optional
        `stamps` from which on to look; what was saved since then is yielded.
    """
    known = stamps(folder) if before is None else before
    last = known
    while True:
        now = stamps(folder)
        for exercise, stamp in now.items():
            if stamp is not None and stamp != known[exercise] and stamp == last[exercise]:
                known = {**known, exercise: stamp}
                yield exercise
        last = now
        sleep(every)
