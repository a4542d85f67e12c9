"""The exercise tool: a verdict whatever the file does, a folder in which nothing of the learner's is lost."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import islice
from pathlib import Path

import pytest
from commands import printed, refused

import minighost
from minighost.cli.main import main
from minighost.learn import stub, watching
from minighost.learn.folder import Folder, here
from minighost.learn.grading import NOT_STARTED, RIGHT, WRONG, grade
from minighost.learn.judge import judge
from minighost.learn.ladder import exercises, find
from minighost.learn.progress import Progress

ROOT = Path(minighost.__file__).parent.parent
FIRST = find("1")
HEAD = "import os, sys\n\ndef sum_of_products(x, w):\n"
posix = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


@pytest.fixture
def folder(tmp_path):
    """A folder of exercises, and what it complained of."""
    said = []
    found = Folder(tmp_path / "mine", said.append)
    found.init()
    found.said = said
    return found


def solve(folder, exercise):
    folder.file(exercise).write_text(exercise.source, encoding="utf-8")


def first(tmp_path, body):
    path = tmp_path / FIRST.file
    path.write_text(HEAD + "".join(f"    {line}\n" for line in body.splitlines()), encoding="utf-8")
    return path


def command(*argv, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    line = [sys.executable, "-m", "minighost", "learn", *argv]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, **options)


# The ladder ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["6", "06", "ex06", "col2im", "Col2Im", "ex06_col2im", "a/ex06_col2im.py", "ol2i"])
def test_an_exercise_has_many_names(words):
    assert find(words).stem == "ex06_col2im"


@pytest.mark.parametrize("words, message", [
    ("999", "there is no exercise 999: they go from 1 to "),
    ("0", "there is no exercise 0"),
    ("correlatte", r"there is no exercise 'correlatte'; close is 3 \(correlate\)"),
    ("qqqqq", "`minighost learn list` shows them all"),
    ("", "there is no exercise ''"),
    ("co", r"'co' fits \d+ exercises: .*give a number or more of the name"),
])
def test_what_means_no_exercise_is_told_what_is_close(words, message):
    with pytest.raises(ValueError, match=message):
        find(words)


# The stub ------------------------------------------------------------------------------------------------------

SOLUTION = '''"""Do it."""

import numpy as np

GIVEN = 3  # stays

# Yours ----------------------------------------------------------------------------------------------------------


@cached
def one(a,
        b=2):
    """Keep me.

    Twice.
    """
    # a remark
    c = a + b

    return c


def two(a): # after the signature
    return a
'''

STUB = '''"""Do it."""

import numpy as np

GIVEN = 3  # stays

# Yours ----------------------------------------------------------------------------------------------------------


@cached
def one(a,
        b=2):
    """Keep me.

    Twice.
    """
    raise NotImplementedError  # about 2 lines


def two(a): # after the signature
    raise NotImplementedError  # about 1 line
'''


def test_a_stub_has_gaps_for_bodies_and_nothing_else_changed():
    assert stub.cut(SOLUTION) == STUB
    assert stub.yours(SOLUTION) == SOLUTION[SOLUTION.index("@cached") :]


@pytest.mark.parametrize("source, message", [
    (SOLUTION.replace("# Yours", "# Mine"), "there must be one line"),
    (SOLUTION + "\nX = 1\n", "only functions may stand below"),
    (SOLUTION + "\n\nclass A:\n    pass\n", "only functions"),
    (SOLUTION + '\n\ndef three():\n    """Only words."""\n', "three has no body"),
])
def test_what_cannot_be_cut_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        stub.cut(source)


# Grading: one check, whatever happens --------------------------------------------------------------------------

FILES = {
    "sys.exit": ("sys.exit(0)", "SystemExit: 0", "line 4 of ex01_sum_of_products.py", "needs the function to return"),
    "an exception": ("k = 5\nreturn x[k]", "IndexError", "line 5 of", "return x[k]", "x of shape (3,)", "k = 5"),
    "a missing module": ("import nonesuch", "No module named 'nonesuch'", "line 4"),
    "deep recursion": ("return sum_of_products(x, w)", "RecursionError", "calls itself without end"),
    "read-only": ("x[0] = 1\nreturn x @ w", "assignment destination is read-only", "line 4", "arguments belong to"),
    "in place": ("x += 1\nreturn x @ w", "read-only", "line 4", "x = x + y in place of x += y"),
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
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_failure_is_told_by_the_learners_lines(name, tmp_path):
    body, *words = FILES[name]
    outcome, complaint = judge(FIRST.stem, first(tmp_path, body))
    assert outcome == WRONG
    assert not [w for w in words if w not in complaint], complaint
    assert "judge.py" not in complaint and "checks/" not in complaint and len(complaint.splitlines()) < 15


@pytest.mark.parametrize("content, words", [
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
], ids=range(11))
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


def test_half_done_says_which_function_is_left(tmp_path):
    exercise = find("windows")
    gap = stub.cut(exercise.source)
    solved = gap.replace("    raise NotImplementedError  # about 1 line", "    return image[i : i + KH, j : j + KW]")
    path = tmp_path / exercise.file
    path.write_text(solved)
    line = solved.splitlines().index("    raise NotImplementedError  # about 7 lines") + 1
    assert judge(exercise.stem, path) == (
        NOT_STARTED, f"windows (line {line} of {exercise.file}) is still to be written"
    )  # fmt: skip


def test_a_foreign_not_implemented_error_is_wrong(tmp_path):
    outcome, complaint = judge(FIRST.stem, first(tmp_path, "exec('raise NotImplementedError')"))
    assert outcome == WRONG and "NotImplementedError" in complaint


PROCESSES = {
    "an endless loop": ("while True:\n    pass", 1, "still running after 1 s", "in sum_of_products:\n      "),
    "a loop that catches": ("while True:\n    try:\n        1 / 0\n    except BaseException: pass", 1, "after 1 s"),
    "input": ("return float(input())", 20, "EOFError", "nobody to answer input()"),
    "breakpoint": ("breakpoint()\nreturn x @ w", 20, "run the file by hand"),
    "sleep": ("import time\ntime.sleep(99)", 1, "still running after 1 s", "line 5", "time.sleep(99)"),
    "os._exit": ("os._exit(0)", 20, "ended Python itself, with status 0"),
    "os._exit with a status": ("print('so long')\nos._exit(7)", 20, "with status 7", "it said: so long"),
    "an endless print": ("while True:\n    print('x' * 5000)", 999, "printed more than 1 MB"),
    "a segfault": ("import ctypes\nctypes.string_at(0)", 20, "crashed Python", "line 5", "ctypes.string_at(0)"),
    "sys.exit": ("sys.exit(0)", 20, "SystemExit: 0"),
}  # fmt: skip


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


def gone(pid):
    for _ in range(50):
        try:
            os.kill(pid, 0)
            if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


# The folder ----------------------------------------------------------------------------------------------------


def test_init_writes_every_stub_and_a_readme(folder):
    assert sorted(p.name for p in folder.path.iterdir()) == sorted(
        ["README.md", "progress.json", *(e.file for e in exercises())]
    )
    assert all(folder.file(e).read_text() == stub.cut(e.source) for e in exercises())
    assert [folder.outcome(e) for e in exercises()] == [(NOT_STARTED, False)] * len(exercises())


def test_init_again_leaves_what_the_learner_changed_and_says_so(folder):
    solve(folder, FIRST)
    folder.file(exercises()[1]).unlink()
    (folder.path / "README.md").write_text("mine")
    done = folder.init()
    assert done.left == ["README.md", FIRST.file] and done.new == [exercises()[1].file] and not done.renewed
    assert folder.file(FIRST).read_text() == FIRST.source
    assert (folder.path / "README.md").read_text() == "mine"


def test_after_an_upgrade_untouched_stubs_are_renewed(folder, monkeypatch):
    second = exercises()[1]
    solve(folder, second)
    monkeypatch.setattr(stub, "cut", lambda source, cut=stub.cut: "# a new edition\n" + cut(source))
    done = folder.init()
    assert FIRST.file in done.renewed and done.left == [second.file]
    assert folder.file(FIRST).read_text().startswith("# a new edition\n")
    assert folder.file(second).read_text() == second.source


def test_init_touches_no_foreign_thing(tmp_path):
    (tmp_path / FIRST.file).mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    done = Folder(tmp_path).init()
    assert FIRST.file in done.left and (tmp_path / "notes.txt").read_text() == "mine"


def test_init_where_a_file_is_in_the_way_is_an_error(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(OSError):
        Folder(tmp_path / "f").init()


def test_outcomes_are_remembered_and_a_change_is_noticed(folder):
    assert folder.check(FIRST).outcome == NOT_STARTED
    folder.file(FIRST).write_text(FIRST.source.replace("total +=", "total ="))
    assert folder.outcome(FIRST) == (NOT_STARTED, True)
    assert folder.check(FIRST).outcome == WRONG
    assert Folder(folder.path).outcome(FIRST) == (WRONG, False)
    solve(folder, FIRST)
    assert folder.outcome(FIRST) == (WRONG, True)
    assert folder.check(FIRST).outcome == RIGHT
    assert folder.unfinished() == list(exercises()[1:])
    folder.file(FIRST).write_text("broken")
    assert folder.check(FIRST).outcome == WRONG
    assert folder.progress.of(FIRST.stem)["passed"] is True


def test_hints_go_up_one_at_a_time(folder):
    given = [folder.hint(FIRST) for _ in range(4)]
    assert given == [(1, FIRST.hints[0]), (2, FIRST.hints[1]), (3, FIRST.hints[2]), (3, FIRST.hints[2])]
    assert folder.hint(FIRST, 1) == (1, FIRST.hints[0])
    assert folder.progress.of(FIRST.stem)["hints"] == 3
    with pytest.raises(ValueError, match="has hints 1 to 3"):
        folder.hint(FIRST, 4)


def test_reset_loses_nothing(folder):
    assert folder.reset(FIRST) is None
    for number, text in enumerate(("one", "two"), 1):
        folder.file(FIRST).write_text(text)
        aside = folder.reset(FIRST)
        assert aside.name == f"{FIRST.file}.bak{number}" and aside.read_text() == text
        assert folder.file(FIRST).read_text() == stub.cut(FIRST.source)
    assert folder.outcome(FIRST) == (NOT_STARTED, False)


def test_a_verdict_that_cannot_be_kept_is_still_said(folder, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device", str(folder.progress.path))

    monkeypatch.setattr("minighost.learn.progress.write_atomic", full)
    solve(folder, FIRST)
    assert folder.check(FIRST).outcome == RIGHT
    assert "not remembered" in folder.said[0] and "No space" in folder.said[0]


def test_the_folder_is_found_from_above_and_from_inside(folder, monkeypatch):
    monkeypatch.chdir(folder.path)
    assert here() == Path()
    monkeypatch.chdir(folder.path.parent)
    assert here() == Path("minighost-exercises") and here("x") == Path("x")


# Progress ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [
    b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"exercises": []}', b'{"format": 99, "exercises": {}}', b"[" * 100_000,
    b'{"format": 1, "exercises": {"a": 3}}', b'{"format": 1, "exercises": {"a": {"hints": "many"}}}', bytes(5 << 20),
    b'{"format": 1, "exercises": {"a": {"passed": 1}}}',
], ids=range(12))
def test_a_broken_progress_file_is_set_aside_and_said(content, tmp_path):
    path = tmp_path / "progress.json"
    said = []
    path.write_bytes(content)
    progress = Progress(path, said.append)
    assert progress.read() == {} and not path.exists()
    assert (tmp_path / "progress.json.broken1").read_bytes() == content
    assert len(said) == 1 and "progress.json.broken1" in said[0] and "\n" not in said[0]
    progress.note("a", hints=1)
    assert progress.read() == {"a": {"hints": 1}} and len(said) == 1
    path.write_bytes(content)
    progress.read()
    assert (tmp_path / "progress.json.broken2").exists()


def test_keys_of_others_are_kept(tmp_path):
    progress = Progress(tmp_path / "progress.json", print)
    progress.note("a", hints=1, outcome="wrong")
    progress.note("b", hints=2)
    progress.note("a", outcome=None)
    assert progress.read() == {"a": {"hints": 1}, "b": {"hints": 2}}


@posix
def test_kill_at_any_moment_leaves_progress_that_can_be_read(tmp_path):
    code = (
        "import sys\nfrom minighost.learn.progress import Progress\n"
        "p = Progress(sys.argv[1], sys.exit)\nprint('ready', flush=True)\nn = 0\n"
        "while True:\n    n += 1\n    p.note_all({f'ex{k}': {'hints': n, 'stub': 'x' * 500} for k in range(60)})\n"
    )
    path = tmp_path / "progress.json"
    seen = set()
    for attempt in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        writer.stdout.readline()
        time.sleep(0.02 + 0.013 * attempt)
        writer.kill()
        writer.wait()
        writer.stdout.close()
        if path.exists():
            entries = json.loads(path.read_text())["exercises"]
            assert len(entries) == 60 and len({e["hints"] for e in entries.values()}) == 1
            seen.add(entries["ex0"]["hints"])
    assert seen


# Watching ------------------------------------------------------------------------------------------------------


def in_place(path, text):
    path.write_text(text)


def by_rename(path, text):
    new = path.with_suffix(".swp")
    new.write_text(text)
    os.replace(new, path)


def after_removal(path, text):
    path.unlink()
    time.sleep(0.05)
    path.write_text(text)


def keeping_time(path, text):
    before = path.stat()
    by_rename(path, text.ljust(before.st_size)[: before.st_size])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("save", [in_place, by_rename, after_removal, keeping_time])
def test_every_way_of_saving_is_noticed_once(save, folder):
    target, seen = exercises()[2], []
    events = watching.saved(folder, every=0.02)
    stop = threading.Thread(target=lambda: seen.extend(islice(events, 1)), daemon=True)
    stop.start()
    time.sleep(0.1)
    save(folder.file(target), "# saved\n")
    stop.join(10)
    assert seen == [target]


def test_a_save_during_a_check_is_not_lost(folder):
    before = watching.stamps(folder)
    folder.file(FIRST).write_text("# saved\n")
    assert list(islice(watching.saved(folder, before, every=0.01), 1)) == [FIRST]


def test_a_file_counts_as_saved_when_it_has_settled(folder):
    texts = iter(["", "half", "whole"])

    def sleep(seconds):
        if (text := next(texts, None)) is not None:
            folder.file(FIRST).write_text(text)

    assert next(watching.saved(folder, sleep=sleep)) == FIRST
    assert folder.file(FIRST).read_text() == "whole"


@posix
def test_watch_goes_on_when_an_exercise_passes_and_ends_with_130(folder):
    watch = command("watch", "--dir", str(folder.path))
    try:
        until(watch, f"not started  {FIRST.stem}")
        by_rename(folder.file(FIRST), FIRST.source.replace("total +=", "total ="))
        until(watch, "+=?")
        by_rename(folder.file(FIRST), FIRST.source)
        until(watch, f"right  {FIRST.stem}")
        until(watch, f"next  2 {exercises()[1].name}")
        until(watch, "then ")
        in_place(folder.file(exercises()[1]), exercises()[1].source)
        until(watch, f"next  3 {exercises()[2].name}")
        watch.send_signal(signal.SIGINT)
        _, error = watch.communicate(timeout=20)
        assert watch.returncode == 130 and error == b"minighost: interrupted\n"
    finally:
        watch.kill()
        watch.communicate()


@posix
def test_interrupting_a_check_ends_its_process(folder):
    first(folder.path, "print(os.getpid(), flush=True)\nwhile True:\n    pass")
    check = command("check", "--dir", str(folder.path))
    try:
        pid = int(check.stdout.readline())
        check.send_signal(signal.SIGINT)
        check.communicate(timeout=20)
        assert check.returncode == 130 and gone(pid)
    finally:
        check.kill()
        check.communicate()


def until(process, words):
    """Read lines until one holds the words."""
    for line in process.stdout:
        if words in line.decode():
            return
    pytest.fail(f"never said: {words}; {process.stderr.read().decode()}")


# The command ---------------------------------------------------------------------------------------------------


def test_the_way_of_a_learner(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "minighost-exercises" / FIRST.file
    count = len(exercises())
    assert "minighost learn init" in printed(capsys, "learn")
    assert "`minighost learn init` writes them" in refused(capsys, "learn", "check")
    text = printed(capsys, "learn", "init")
    assert f"{count} exercises written to minighost-exercises" in text and f"0 of {count} right" in text
    assert "file  minighost-exercises" in printed(capsys, "learn")
    assert main(["learn", "check"]) == 1
    assert "not started  ex01" in capsys.readouterr().out

    mine.write_text(FIRST.source.replace("total +=", "total ="))
    assert "sum_of_products, begun" in printed(capsys, "learn")
    assert main(["learn", "check"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("wrong  ex01") and "+=" in text and "(stuck? minighost learn hint 1)" in text
    assert "wrong so far" in printed(capsys, "learn")
    assert "has not passed yet" in refused(capsys, "learn", "solution", "1")
    assert printed(capsys, "learn", "solution", "1", "--yes") == stub.yours(FIRST.source)
    assert printed(capsys, "learn", "hint").startswith("hint 1 of 3 for ex01")
    assert printed(capsys, "learn", "hint", "1").startswith("hint 2 of 3")
    assert printed(capsys, "learn", "hint", "1", "1").startswith("hint 1 of 3")
    assert "--yes" in printed(capsys, "learn", "hint", "sum_of", "3")

    mine.write_text(FIRST.source)
    text = printed(capsys, "learn", "check")
    assert text.startswith("right  ex01") and "next  2 " in text
    assert printed(capsys, "learn", "solution", "1").startswith("def sum_of_products")
    assert f"1 of {count} right" in printed(capsys, "learn", "progress")
    text = printed(capsys, "learn", "list")
    assert " right        Add up products." in text and len(text.splitlines()) == count + 2
    text = printed(capsys, "learn", "init")
    assert "0 exercises written" in text and f"left alone, because you changed them: {FIRST.file}" in text
    assert f"your file is {Path('minighost-exercises', FIRST.file)}.bak1" in printed(capsys, "learn", "reset", "1")
    assert f"0 of {count} right" in printed(capsys, "learn")


@pytest.mark.parametrize("argv, message", [
    (["chekc"], "invalid choice: 'chekc'"),
    (["check", "correlatte"], "close is 3 (correlate)"),
    (["check", "1", "2"], "one NAME is enough"),
    (["hint", "1", "x"], "must be a hint's number"),
    (["hint", "1", "9"], "has hints 1 to 3"),
    (["reset"], "name the exercise"),
    (["check", "--dri", "x"], "did you mean --dir?"),
])
def test_a_wrong_command_line_is_one_line(folder, capsys, argv, message):
    assert message in refused(capsys, "learn", *argv, "--dir", folder.path)


def test_a_deleted_file_is_told_how_to_come_back(folder, capsys):
    folder.file(FIRST).unlink()
    assert "`minighost learn init` writes it again" in refused(capsys, "learn", "check", "1", "--dir", folder.path)


def test_check_all_tells_each(folder, capsys, monkeypatch):
    for exercise in exercises()[:2]:
        solve(folder, exercise)
    assert main(["learn", "check", "all", "--dir", str(folder.path)]) == 1
    text = capsys.readouterr().out
    assert text.count("right  ex") == 2 and text.count("not started  ex") == len(exercises()) - 2
    assert f"2 of {len(exercises())} right" in text


def test_everything_right_is_said(folder, capsys):
    for exercise in exercises():
        folder.progress.note(exercise.stem, outcome="right", passed=True)
    for action in ([], ["check"], ["hint"], ["watch"], ["solution"]):
        assert "every exercise is right" in printed(capsys, "learn", *action, "--dir", folder.path)


def test_broken_progress_is_a_line_on_stderr(folder, capsys):
    folder.progress.path.write_text("{")
    assert main(["learn", "list", "--dir", str(folder.path)]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("minighost: ") and said.err.count("\n") == 1 and "broken1" in said.err
    assert "sum_of_products" in said.out


def test_a_narrow_terminal_gets_narrow_lines(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    text = printed(capsys, "learn", "list", "--dir", folder.path)
    assert max(map(len, text.splitlines())) <= 40
    assert max(map(len, printed(capsys, "learn", "hint", "--dir", folder.path).splitlines()[1:])) <= 40


def test_help_is_narrow_and_loads_nothing_heavy(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = printed(capsys, "learn", "--help")
    assert "\n  minighost learn init " in text and max(map(len, text.splitlines())) <= 80


def test_no_utf8_and_a_closed_pipe_are_survived(folder):
    first(folder.path, "print('\\u2588 h\\u00e9')\nreturn x @ w")
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = command("check", "1", "--dir", str(folder.path), env=plain)
    text, error = done.communicate(timeout=60)
    assert done.returncode == 0 and b"right  ex01" in text and b"? h?" in text and error == b""
    done = command("list", "--dir", str(folder.path))
    done.stdout.close()
    assert (done.stderr.read(), done.wait(60)) == (b"", 141)
    done.stderr.close()
