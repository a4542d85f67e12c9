"""What a learner does, for the tests of the exercise tool."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import minighost
from minighost.learn.folder import Folder
from minighost.learn.ladder import find

ROOT = Path(minighost.__file__).parent.parent
FIRST = find("1")
HEAD = "import os, sys\n\ndef sum_of_products(x, w):\n"
posix = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


def written(tmp_path):
    """A folder of exercises; what it complains of is in its `said`."""
    said = []
    found = Folder(tmp_path / "mine", said.append)
    found.init()
    found.said = said
    return found


def solve(folder, exercise):
    """Write the solution into the learner's file."""
    folder.file(exercise).write_text(exercise.source, encoding="utf-8")


def first(folder, body):
    """A file for the first exercise with these lines as the function's body, from line 4 on."""
    path = folder / FIRST.file
    path.write_text(HEAD + "".join(f"    {line}\n" for line in body.splitlines()), encoding="utf-8")
    return path


def command(*argv, **options):
    """`minighost learn` as a process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    environment.pop("PYTHONUNBUFFERED", None)  # what is not flushed must show
    line = [sys.executable, "-m", "minighost", "learn", *argv]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, **options)


def gone(pid):
    """Whether a process has ended, or does so soon."""
    for _ in range(50):
        try:
            os.kill(pid, 0)
            if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False
