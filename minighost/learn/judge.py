"""One check, in the process that runs it: load the learner's file, call the check, put what happened into words.

`grading` starts this in a process of its own, because the learner's file may do what any program may: run forever, end
the interpreter, crash it. What is left when that happens is the trace that `faulthandler` writes without Python.
"""

import ast
import contextlib
import faulthandler
import importlib
import importlib.util
import io
import json
import linecache
import os
import re
import sys
import traceback
import types
from pathlib import Path

import numpy as np

__all__ = ["FILE", "NOT_STARTED", "RIGHT", "WRONG", "judge", "main"]

FILE = "file"  # in the folder that `grading` shares with its process
NOT_STARTED, WRONG, RIGHT = "not started", "wrong", "right"

MOST_FRAMES = 4
LONGEST = 3000
MEMORY = 3 << 30  # beyond what the interpreter and NumPy have when the learner's file is loaded

EXPLAINED = (
    (
        ValueError,
        "assignment destination is read-only",
        "this line writes to an argument, and arguments belong to "
        "the caller: write to your own array (np.zeros, or x.copy())",
    ),
    (
        ValueError,
        "is read-only",
        "this line changes an argument in place, and arguments belong to the "
        "caller: write x = x + y instead of x += y, or begin with x.copy()",
    ),
    (
        ValueError,
        "could not broadcast input array",
        "the two sides of = have different shapes; a slice that reaches beyond the edge is shorter than it looks",
    ),
    (
        ValueError,
        "setting an array element with a sequence",
        "the left side is one number, the right side an array: is an index or a sum missing?",
    ),
    (
        TypeError,
        "only 0-dimensional arrays",
        "a single number is needed, but this is an array: is an index or a sum missing?",
    ),
    (
        TypeError,
        "only length-1 arrays",
        "a single number is needed, but this is an array: is an index or a sum missing?",
    ),
    (
        IndexError,
        "only integers, slices",
        "an index must be a whole number; `for k in range(len(x))` counts, `for k in x` goes through the numbers of x",
    ),
    (TypeError, "as a data type", "the shape is a single argument, in its own brackets: np.zeros((H, W))"),
    (
        TypeError,
        "positional arguments but",
        "are brackets around a shape missing, as in np.zeros((H, W))? Or is there an argument too many or too few?",
    ),
    (IndexError, "is out of bounds for axis", "a loop that runs too far, or two indices swapped?"),
    (UnboundLocalError, "", "the name is read before this function has given it a value: assign to it above"),
    (RecursionError, "", "a function that calls itself forever"),
    (MemoryError, "", f"an exercise gets {MEMORY >> 30} GiB and needs far less: a wrong shape, an endless list?"),
    (EOFError, "", "nobody can answer input() during a check"),
    (SystemExit, "", "this line ends the program: a check needs the function to return"),
)


def judge(stem, path):
    """Run the check of an exercise on a file, here and now.

    Parameters
    ----------
    stem : str
        Name of the exercise's files, "ex03_correlate".
    path : path-like
        The learner's file.

    Returns
    -------
    (str, str)
        `RIGHT`, `WRONG` or `NOT_STARTED`; and the complaint, empty if right.
    """
    check = importlib.import_module(f"minighost.learn.checks.{stem}")
    return _judge(check, stem, Path(path), Path(path).read_bytes())


def _judge(check, stem, path, content):
    """`content` is what the file at `path` held: by now it may hold something else."""
    mine = types.ModuleType(stem)
    mine.__file__ = str(path)
    sys.modules[stem] = mine  # Numba and inspect look a function's module up
    _remember_lines(path, content)
    try:
        code = compile(content, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return WRONG, _cut(_syntax(error, path))
    try:
        exec(code, vars(mine))
        check.check(mine)
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: whatever the file does, it gets a verdict
        return _failure(error, path, content)
    finally:
        sys.modules.pop(stem, None)
    return RIGHT, ""


def _remember_lines(path, content):
    """Let whoever quotes the file's lines, here or in Numba, see those that are run."""
    linecache.cache.pop(str(path), None)
    with contextlib.suppress(SyntaxError, UnicodeDecodeError):
        lines = io.StringIO(importlib.util.decode_source(content)).readlines()
        linecache.cache[str(path)] = len(content), None, lines, str(path)  # without a time it is never looked up again


def _failure(error, path, content):
    gaps = _gaps(content)
    if isinstance(error, NotImplementedError) and gaps:
        frames = _frames(error, path)
        name, line = (frames[-1][0].f_code.co_name, frames[-1][1]) if frames else gaps[0]
        return NOT_STARTED, f"{name} (line {line} of {path.name}) is not written yet"
    said_by_the_check = isinstance(error, AssertionError) and not _raised_in(error, path) and str(error)
    return WRONG, _cut(str(error) if said_by_the_check else _exception(error, path))


def main(stem, path, folder, seconds):
    """What the process of `grading` runs, with the file's content in ``folder/file``; the verdict goes into
    ``folder/verdict.json``, a crash into ``folder/trace.txt``.
    """
    with open(os.path.join(folder, "trace.txt"), "w", encoding="utf-8") as trace:
        faulthandler.enable(trace, all_threads=False)
        check = importlib.import_module(f"minighost.learn.checks.{stem}")
        _limit_memory()
        with _Deadline(float(seconds), trace):
            outcome, complaint = _judge(check, stem, Path(path), Path(folder, FILE).read_bytes())
    Path(folder, "verdict.json").write_text(json.dumps([outcome, complaint]), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)  # threads or exit handlers of the learner's file have no say any more


class _Deadline:
    """Ends the process after some seconds, and leaves the line that was running; compiling kernels does not count.

    The clock is faulthandler's: it needs no Python to run, so that it also ends a loop inside a compiled function.
    """

    def __init__(self, seconds, trace):
        self.seconds, self.trace, self.compiling = seconds, trace, 0

    def __enter__(self):
        if "numba" in sys.modules:
            self._listen()
        self._arm()

    def __exit__(self, *error):
        faulthandler.cancel_dump_traceback_later()

    def _arm(self):
        faulthandler.dump_traceback_later(self.seconds, exit=True, file=self.trace)

    def _listen(self):
        from numba.core import event

        deadline = self

        class Compilation(event.Listener):
            def on_start(self, _):
                deadline.compiling += 1
                faulthandler.cancel_dump_traceback_later()

            def on_end(self, _):
                deadline.compiling -= 1
                if not deadline.compiling:
                    deadline._arm()

        event.register("numba:compile", Compilation())


def _limit_memory():
    """A list that grows without end must end in a MemoryError, not in a machine that swaps. Linux counts this way."""
    try:
        import resource

        used = int(Path("/proc/self/status").read_text().partition("VmData:")[2].split()[0]) << 10
        resource.setrlimit(resource.RLIMIT_DATA, (used + MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    except (ImportError, OSError, ValueError, IndexError):
        pass


# Words ---------------------------------------------------------------------------------------------------------


def _frames(error, path):
    """The traceback's frames that lie in the learner's file, outermost first: (frame, line number)."""
    found = list(traceback.walk_tb(error.__traceback__))
    return [(frame, line) for frame, line in found if frame.f_code.co_filename == str(path)]


def _raised_in(error, path):
    last = list(traceback.walk_tb(error.__traceback__))[-1][0]
    return last.f_code.co_filename == str(path)


def _gaps(content):
    """Where the file still raises NotImplementedError: (function, line). Compiled code leaves no frame that says so."""
    found = []
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.FunctionDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Raise) and "NotImplementedError" in ast.dump(inner):
                    found.append((node.name, inner.lineno))
    return found


def _syntax(error, path):
    if not isinstance(error, SyntaxError):
        return f"{path.name} is not Python: {error or type(error).__name__}"
    where = f"line {error.lineno} of {path.name}" if error.lineno else path.name
    text = (error.text or "").rstrip()
    lines = [f"{where} is not Python: {error.msg}"]
    if text:
        lines.append("    " + text.lstrip())
        column = (error.offset or 0) - 1 - (len(text) - len(text.lstrip()))
        if 0 <= column <= len(text):
            lines.append("    " + " " * column + "^")
    return "\n".join(lines)


def _exception(error, path):
    """The learner's lines, what was raised, the values at the last line, and what that usually means."""
    frames = _frames(error, path)
    lines = []
    if len(frames) > MOST_FRAMES:
        lines.append(f"  ({len(frames)} calls deep; the last of them:)")
    last = [(line, frame.f_code.co_name) for frame, line in frames[-MOST_FRAMES:]]
    for line, name in dict.fromkeys(last):  # in a recursion one line is enough
        lines += [f"  line {line} of {path.name}, in {name}:", f"      {_line(path, line)}"]
    told = traceback.TracebackException(type(error), error, error.__traceback__, limit=1)  # may suggest names
    said = "".join(told.format_exception_only()).strip()
    if not frames:
        frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
        called = linecache.getline(frame.f_code.co_filename, line).strip()
        lines.append("  the check could not use what your function returned; it calls")
        lines.append(f"      {called}")
    head = said.splitlines()[0]
    rest = [f"  {line}" for line in said.splitlines()[1:12]]
    values = _values(frames[-1][0], _line(path, frames[-1][1])) if frames else ""
    return "\n".join([head, *rest, *lines, *([f"  there: {values}"] if values else []), *_explained(error)])


def _explained(error):
    for kind, words, meaning in EXPLAINED:
        if isinstance(error, kind) and words in str(error):
            return [f"  that is: {meaning}"]
    if type(error).__name__ == "BdbQuit":
        return ["  that is: a breakpoint() has no keyboard here; run the file yourself to debug it"]
    return []


def _line(path, number):
    return linecache.getline(str(path), number).strip()


def _values(frame, line):
    """Numbers, and shapes of arrays, that the line could see; what it names first."""
    if frame.f_code.co_name == "<module>":
        return ""
    named, found = set(re.findall(r"\w+", line)), []
    for name, value in sorted(frame.f_locals.items(), key=lambda item: item[0] not in named):
        if isinstance(value, np.ndarray) and value.ndim:
            found.append(f"{name} of shape {value.shape}")
        elif isinstance(value, (bool, int, float, np.number, np.ndarray)):
            found.append(f"{name} = {value}")
        elif isinstance(value, (tuple, list)) and len(value) <= 4 and all(isinstance(v, (int, float)) for v in value):
            found.append(f"{name} = {value}")
    return ", ".join(found[:14])


def _cut(text):
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
