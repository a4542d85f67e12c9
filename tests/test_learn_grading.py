"""A verdict whatever the learner's file does, in words that lead to its lines."""

import os
import subprocess
import sys

import pytest
from learners import FIRST, ROOT, first, gone, posix

from minighost.learn import stub
from minighost.learn.grading import NOT_STARTED, RIGHT, WRONG, grade
from minighost.learn.judge import judge
from minighost.learn.ladder import find

FILES = {
    "sys.exit": ("sys.exit(0)", "SystemExit: 0", "line 4 of ex01_sum_of_products.py", "needs the function to return"),
    "an exception": ("k = 5\nreturn x[k]", "IndexError", "line 5 of", "return x[k]", "x of shape (3,)", "k = 5"),
    "a missing module": ("import nonesuch", "No module named 'nonesuch'", "line 4"),
    "deep recursion": ("return sum_of_products(x, w)", "RecursionError", "calls itself forever"),
    "read-only": ("x[0] = 1\nreturn x @ w", "assignment destination is read-only", "line 4", "arguments belong to"),
    "in place": ("x += 1\nreturn x @ w", "read-only", "line 4", "x = x + y instead of x += y"),
    "memory": ("import numpy as np\nreturn np.ones(1 << 45)", "MemoryError", "line 5"),
    "an assertion of one's own": ("assert len(x) == 99, 'too short'", "AssertionError: too short", "line 4"),
    "an index that is no number": ("for k in x:\n    x[k]", "IndexError", "k = 1.0", "`for k in range(len(x))` counts"),
    "no brackets": ("import numpy as np\nreturn np.ones(2, 3)", "TypeError", "np.zeros((H, W))"),
    "no first value": ("total += 1\nreturn total", "UnboundLocalError", "assign to it above"),
    "a name": ("return summ(x)", "NameError", "'summ' is not defined"),
    "no return": ("x @ w", "is there a return?"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt", "line 4"),
    "an error of several lines": ("raise ValueError('one\\ntwo')", "ValueError: one\n  two", "line 4"),
    "a library's error": ("import numpy as np\nreturn np.linalg.inv(x)", "LinAlgError", "line 5", "np.linalg.inv(x)"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_failure_is_told_by_the_learners_lines(name, tmp_path):
    body, *words = FILES[name]
    outcome, complaint = judge(FIRST.stem, first(tmp_path, body))
    assert outcome == WRONG
    assert not [w for w in words if w not in complaint], complaint
    assert "judge.py" not in complaint and "checks/" not in complaint and len(complaint.splitlines()) < 15


@pytest.mark.parametrize(
    "content, words",
    [
        (b"def f(x):\n    return (x\n", "line 2 of ex01_sum_of_products.py is not Python: '(' was never closed"),
        (b"def f(x):\nreturn x\n", "line 2 of ex01_sum_of_products.py is not Python: expected an indented"),
        (b"def f():\n\tif 1:\n        return 2\n", "is not Python: inconsistent use of tabs"),
        (b"\xff\xfe\x00", "is not Python"),
        (b"x = '\xe9'\n", "is not Python"),
        (b"\0", "is not Python"),
        (b"(" * 9999, "is not Python"),
        (b"", "the function sum_of_products is missing"),
        (b"sum_of_products = 3\n", "sum_of_products must be a function"),
        (b"1 / 0\n", "ZeroDivisionError: division by zero"),
        (b"import sys\nsys.exit('bye')\n", "SystemExit: bye"),
    ],
    ids=range(11),
)
def test_a_file_that_does_not_load_is_told_why(content, words, tmp_path):
    path = tmp_path / FIRST.file
    path.write_bytes(content)
    outcome, complaint = judge(FIRST.stem, path)
    assert outcome == WRONG and words in complaint


def test_what_the_check_cannot_use_shows_the_call(tmp_path):
    path = tmp_path / FIRST.file
    path.write_text("def sum_of_products(x):\n    return 0.0\n")
    outcome, complaint = judge(FIRST.stem, path)
    assert outcome == WRONG
    assert "takes 1 positional argument but 2 were given" in complaint
    assert "the check could not use" in complaint and "sum_of_products(*frozen(x, w))" in complaint


def test_a_saved_file_is_read_anew(tmp_path):
    assert "x[7]" in judge(FIRST.stem, first(tmp_path, "return x[7]"))[1]
    assert "x[8888]" in judge(FIRST.stem, first(tmp_path, "return x[8888]"))[1]


SPOILS = "open(__file__, 'w').write('def broken(:')\n"


@pytest.mark.parametrize(
    "body, outcome, words",
    [
        (SPOILS + "return x[7]", WRONG, ("line 5 of", "return x[7]", "IndexError")),
        (SPOILS + "raise NotImplementedError", NOT_STARTED, ("(line 5 of",)),
        (SPOILS + "import time\ntime.sleep(99)", WRONG, ("still running", "line 6 of", "time.sleep(99)")),
        (SPOILS + "return sum(x * w)", RIGHT, ()),
    ],
)
def test_a_file_that_is_saved_while_its_check_runs_is_judged_as_it_was(tmp_path, body, outcome, words):
    path = first(tmp_path, body)
    verdict = grade(FIRST, path, seconds=2)
    assert verdict.outcome == outcome and not [w for w in words if w not in verdict.complaint], verdict
    assert path.read_text() == "def broken(:"
    content = first(tmp_path, "return x[8888]").read_bytes()
    path.write_text("def broken(:")
    assert "return x[8888]" in grade(FIRST, path, content=content).complaint  # what the folder remembers as checked


def test_half_done_says_which_function_is_left(tmp_path):
    exercise = find("windows")
    gap = stub.cut(exercise.source)
    solved = gap.replace("    raise NotImplementedError  # about 1 line", "    return image[i : i + KH, j : j + KW]")
    path = tmp_path / exercise.file
    path.write_text(solved)
    line = solved.splitlines().index("    raise NotImplementedError  # about 7 lines") + 1
    assert judge(exercise.stem, path) == (NOT_STARTED, f"windows (line {line} of {exercise.file}) is not written yet")


def test_a_foreign_not_implemented_error_is_wrong(tmp_path):
    outcome, complaint = judge(FIRST.stem, first(tmp_path, "exec('raise NotImplementedError')"))
    assert outcome == WRONG and "NotImplementedError" in complaint


PROCESSES = {
    "an endless loop": ("while True:\n    pass", 1, "still running after 1 s", "in sum_of_products:\n      "),
    "a loop that catches": ("while True:\n    try:\n        1 / 0\n    except BaseException: pass", 1, "after 1 s"),
    "input": ("return float(input())", 20, "EOFError", "nobody can answer input()"),
    "breakpoint": ("breakpoint()\nreturn x @ w", 20, "run the file yourself"),
    "sleep": ("import time\ntime.sleep(99)", 1, "still running after 1 s", "line 5", "time.sleep(99)"),
    "os._exit": ("os._exit(0)", 20, "ended Python itself, with status 0"),
    "os._exit with a status": ("print('so long')\nos._exit(7)", 20, "with status 7", "it said: so long"),
    "an endless print": ("while True:\n    print('x' * 5000)", 999, "printed more than 1 MB"),
    "a segfault": ("import ctypes\nctypes.string_at(0)", 20, "crashed Python", "line 5", "ctypes.string_at(0)"),
    "sys.exit": ("sys.exit(0)", 20, "SystemExit: 0"),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_that_misbehaves_costs_a_sentence(name, tmp_path):
    body, seconds, *words = PROCESSES[name]
    if os.name == "nt" and name == "a segfault":
        pytest.skip("an access violation is an exception there")
    shown = []
    verdict = grade(FIRST, first(tmp_path, body), seconds=seconds, show=shown.append)
    assert verdict.outcome == WRONG
    assert not [w for w in words if w not in verdict.complaint], verdict.complaint
    assert len("".join(shown)) < 5000


@posix
def test_an_endless_loop_inside_a_compiled_function_is_ended_too(tmp_path):
    path = tmp_path / FIRST.file
    path.write_text(
        "from numba import njit\n\n@njit\ndef f(x):\n    while x > 0:\n        x += 1.0\n    return x\n\n"
        "def sum_of_products(x, w):\n    return f(1.0)\n"
    )
    verdict = grade(FIRST, path, seconds=1)
    assert verdict.outcome == WRONG and "line 10 of" in verdict.complaint and "still running" in verdict.complaint


def test_a_thread_of_the_file_does_not_hold_up_the_verdict(tmp_path):
    body = "import threading, time\nthreading.Thread(target=time.sleep, args=(999,)).start()\nreturn x @ w"
    assert grade(FIRST, first(tmp_path, body)).outcome == RIGHT


@posix
@pytest.mark.parametrize("event, ended", [("numba:compile", False), ("another", True)])
def test_compiling_does_not_count(event, ended, tmp_path):
    code = (
        "import sys, time\nfrom numba.core.event import trigger_event\nfrom minighost.learn.judge import _Deadline\n"
        "with open(sys.argv[1], 'w') as trace, _Deadline(0.5, trace):\n"
        "    with trigger_event(sys.argv[2]), trigger_event(sys.argv[2]):\n        time.sleep(0.8)\n"
        "    print('compiled', flush=True)\n    time.sleep(30)\n"
    )
    trace = tmp_path / "trace.txt"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-c", code, str(trace), event]
    done = subprocess.run(line, stdout=subprocess.PIPE, env=environment)
    assert (done.stdout == b"") == ended
    assert done.returncode == 1 and trace.read_text().startswith("Timeout")


@posix
def test_a_child_of_the_file_does_not_outlive_the_check(tmp_path):
    body = "import subprocess\nprint(subprocess.Popen(['sleep', '60']).pid, flush=True)\nreturn x @ w"
    shown = []
    verdict = grade(FIRST, first(tmp_path, body), show=shown.append)
    assert verdict.outcome == RIGHT
    for pid in map(int, "".join(shown).split()):
        assert gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux")
def test_memory_without_end_is_a_memory_error(tmp_path):
    verdict = grade(FIRST, first(tmp_path, "keep = []\nwhile True:\n    keep.append(bytes(1 << 26))"))
    assert verdict.outcome == WRONG and "MemoryError" in verdict.complaint and "line 6" in verdict.complaint


def test_what_the_file_prints_is_passed_on(tmp_path):
    shown = []
    verdict = grade(FIRST, first(tmp_path, "print('h\\u00e9llo', x.shape)\nreturn x @ w"), show=shown.append)
    assert verdict.outcome == RIGHT and verdict.complaint == ""
    assert "".join(shown).startswith("h\u00e9llo (3,)\nh\u00e9llo (7,)")


def test_a_file_called_like_a_module_is_not_imported(tmp_path):
    (tmp_path / "random.py").write_text("raise RuntimeError('shadowed')")
    for name in ("numpy", "json", "re", "minighost"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('shadowed')")
    assert grade(FIRST, first(tmp_path, "import random\nreturn x @ w")).outcome == RIGHT


def test_a_missing_file_is_an_os_error_and_no_verdict(tmp_path):
    with pytest.raises(FileNotFoundError):
        grade(FIRST, tmp_path / "no.py")
