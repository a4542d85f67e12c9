"""`minighost learn` on the command line: the way of a learner, and watching."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from itertools import islice
from pathlib import Path

import pytest
from commands import printed, refused
from learners import FIRST, ROOT, command, first, gone, posix, solve, written

from minighost.cli.main import main
from minighost.learn import stub, watching
from minighost.learn.ladder import exercises


@pytest.fixture
def folder(tmp_path):
    return written(tmp_path)


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
    assert "sum_of_products, started" in printed(capsys, "learn")
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
    kept = Path("minighost-exercises", f"{FIRST.file}.bak1")
    assert f"your version is now {kept}" in printed(capsys, "learn", "reset", "1")
    assert f"0 of {count} right" in printed(capsys, "learn")


@pytest.mark.parametrize(
    "argv, message",
    [
        (["chekc"], "invalid choice: 'chekc'"),
        (["check", "correlatte"], "did you mean 3 (correlate)"),
        (["check", "1", "2"], "takes one NAME, got 1 2"),
        (["hint", "1", "x"], "must be the number of a hint"),
        (["hint", "1", "9"], "has hints 1 to 3"),
        (["reset"], "name the exercise"),
        (["check", "--dri", "x"], "did you mean --dir?"),
    ],
)
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


# Where the package lies ----------------------------------------------------------------------------------------


def test_the_exercises_are_there_in_a_zip_too(tmp_path):
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", ROOT, "minighost")
    start = "import sys; sys.path.insert(0, sys.argv.pop(1)); from minighost.cli.main import main; sys.exit(main())"
    for action, words in ("init", f"{len(exercises())} exercises written"), ("hint", "1"), ("check", "not started"):
        run = subprocess.run(
            [sys.executable, "-P", "-c", start, archive, "learn", action, "--dir", "mine"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert words in run.stdout and "Traceback" not in run.stderr, (action, run)


@pytest.mark.parametrize("action", ["init", "list", "progress", "next"])
def test_a_name_where_none_is_asked_for_is_refused(action, folder, capsys):
    error = refused(capsys, "learn", action, "elsewhere", "--dir", folder.path)
    assert f"learn {action}: takes no NAME, got elsewhere; a folder goes after --dir" in error
