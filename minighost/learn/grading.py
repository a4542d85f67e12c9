"""Grading: a check in a process of its own, and a verdict whatever the learner's file does to that process.

The file is run as a program of the learner's, with all that it may do: it is not shut in. The process is there so that
an endless loop, `os._exit` or a crash costs a sentence and not the session.
"""

import codecs
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from minighost.files import write_atomic
from minighost.inputs import read_regular
from minighost.learn.judge import FILE, NOT_STARTED, RIGHT, WRONG

__all__ = ["LARGEST", "NOT_STARTED", "RIGHT", "SECONDS", "WRONG", "Verdict", "grade"]

SECONDS = 20  # for the check itself; starting Python and compiling kernels come on top
STARTING = 300
PRINTED = 1 << 20  # bytes, after which a file that prints is stopped
LARGEST = 1 << 22  # bytes of an exercise
SHOWN = 4000  # characters of them that are passed on

# The learner's folder must not come before NumPy on the path: a file random.py there would shadow Python's.
CHILD = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from minighost.learn.judge import main
main(*sys.argv[2:])
"""


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes
    ----------
    outcome : str
        "right", "wrong" or "not started".
    complaint : str
        What is wrong, in words; empty if right.
    """

    outcome: str
    complaint: str = ""


def grade(exercise, path, seconds=SECONDS, show=None, content=None):
    """Check a learner's file.

    Parameters
    ----------
    exercise : Exercise
    path : path-like
        The file; it is run.
    content : bytes, optional
        What the file held when it was read. Without it the file is read now; either way what was read is what is
        checked and quoted, even if the learner saves another version meanwhile.
    seconds : float
        After which a check is ended.
    show : callable, optional
        Is given what the file prints, as text; at most `SHOWN` characters.

    Returns
    -------
    Verdict

    Raises
    ------
    OSError
        The file cannot be read, or no process can be started.
    """
    path = Path(path).absolute()
    if content is None:
        content = read_regular(path, LARGEST)  # a missing file is the caller's to hear of, not a wrong answer
    with tempfile.TemporaryDirectory(prefix="minighost-learn-") as folder:
        write_atomic(Path(folder, FILE), content)
        paths = json.dumps([os.path.abspath(entry or ".") for entry in sys.path])
        command = [sys.executable, "-X", "utf8", "-u", "-P", "-c", CHILD, paths, exercise.stem, str(path), folder]
        command += [str(seconds)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=path.parent,
            start_new_session=os.name != "nt",
            env={**os.environ, "PYTHONIOENCODING": "utf-8:backslashreplace"},
        )
        printed = _Printed(process, show)
        try:
            process.wait(STARTING + seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also at Ctrl-C, which the process, in a session of its own, does not get
            _end(process)
            printed.finish()
        return _verdict(process, printed, Path(folder), path, content, seconds)


class _Printed(threading.Thread):
    """Passes on what the process prints, up to a limit, and ends a process that prints on and on."""

    def __init__(self, process, show):
        super().__init__(daemon=True)
        self.process, self.show, self.bytes, self.tail = process, show, 0, b""
        self.start()

    def run(self):
        left, letters = SHOWN, codecs.getincrementaldecoder("utf-8")("replace")
        with contextlib.suppress(ValueError, OSError):  # the pipe was closed under it
            while piece := self.process.stdout.read1(1 << 16):
                self.bytes += len(piece)
                self.tail = (self.tail + piece)[-2000:]
                if self.show and left:
                    text = letters.decode(piece)
                    more = "\n... (it prints more, which is not shown)\n" if len(text) >= left else ""
                    self.show(text[:left] + more)
                    left = max(0, left - len(text))
                if self.bytes > PRINTED:
                    _end(self.process)
                    return

    def finish(self):
        self.join(2)  # a process that the file started may still hold the pipe
        with contextlib.suppress(OSError, ValueError):
            if not self.is_alive():
                self.process.stdout.close()


def _end(process):
    """End the process and whatever it started."""
    if os.name == "nt":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _verdict(process, printed, folder, path, content, seconds):
    if printed.bytes > PRINTED:
        return Verdict(WRONG, f"it printed more than {PRINTED >> 20} MB and was stopped: a print in an inner loop?")
    with contextlib.suppress(OSError, ValueError):
        outcome, complaint = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
        return Verdict(outcome, complaint)
    with contextlib.suppress(OSError):
        trace = (folder / "trace.txt").read_text(encoding="utf-8", errors="replace")
        where = _where(trace, path, content)
        if trace.startswith("Timeout"):
            return Verdict(WRONG, f"still running after {seconds:g} s, and stopped: an endless loop?{where}")
        crash = re.match(r"(?:Fatal Python error|Windows fatal exception): (.*)", trace)
        if crash:
            reason = crash[1]
            return Verdict(WRONG, f"it crashed Python ({reason}){where}{_crash(reason, trace)}")
    if process.returncode == 0 or process.returncode > 0:
        tail = printed.tail.decode("utf-8", "replace").strip().splitlines()[-1:]
        last = f"; it said: {tail[0]}" if tail and process.returncode else ""
        status = f"with status {process.returncode}"
        return Verdict(WRONG, f"it ended Python itself, {status} (os._exit?), before the check was over{last}")
    name = signal.Signals(-process.returncode).name
    reason = "stopped from outside, or out of memory" if name == "SIGKILL" else "a crash"
    return Verdict(WRONG, f"the check's process was ended by {name}: {reason}")


def _where(trace, path, content):
    """The learner's innermost line in a trace of faulthandler, which begins with the innermost."""
    found = re.search(rf'File "{re.escape(str(path))}", line (\d+) in (\S+)', trace)
    if not found:
        return ""
    lines = content.decode("utf-8", "replace").split("\n")
    line = lines[int(found[1]) - 1].strip() if int(found[1]) <= len(lines) else ""
    return f"\n  line {found[1]} of {path.name}, in {found[2]}:\n      {line}"


def _crash(reason, trace):
    deep = trace.count("\n  File ") > 50
    return "\n  that is: a function that calls itself forever" if deep and "Segm" in reason else ""
