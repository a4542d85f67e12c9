"""The front door: help, exit statuses, and every expected error as one line."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import printed, refused

import minighost
from minighost.cli import main as front
from minighost.cli import summary
from minighost.cli.main import main, one_line
from minighost.errors import NonFiniteError, RunLocked

ROOT = Path(minighost.__file__).parent.parent
COMMANDS = (
    "train",
    "analyze",
    "sweep",
    "experiment",
    "eval",
    "compare",
    "predict",
    "export",
    "summary",
    "zoo",
    "data",
    "bench",
    "warmup",
    "gradcheck",
    "learn",
    "step",
    "lines",
)


def test_help_lists_every_command_with_examples(capsys):
    text = printed(capsys, "--help")
    assert all(f"\n    {name} " in text for name in COMMANDS) and "\nexamples:\n" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(capsys, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = printed(capsys, command, "--help")
    assert f"\n  minighost {command} " in text
    assert max(map(len, text.splitlines())) <= 80


def test_version(capsys):
    assert printed(capsys, "--version") == f"minighost {minighost.__version__}\n"


@pytest.mark.parametrize(
    "argv, message",
    [
        ([], "the following arguments are required: COMMAND (see minighost --help)"),
        (["trian"], "invalid choice: 'trian'"),
        (["train", "--epoch", "3"], "unknown argument --epoch (did you mean --epochs?)"),
        (["train", "--epoch=3"], "unknown argument --epoch (did you mean --epochs?)"),
        (["zoo", "cifar10"], "unknown argument cifar10 (see minighost zoo --help)"),
        (["eval"], "the following arguments are required: --checkpoint (see minighost eval --help)"),
        (["train", "--epochs"], "expected one argument"),
        (["train", "--resume", "--overwrite"], "not allowed with argument"),
    ],
)
def test_a_wrong_command_line_is_one_line(capsys, argv, message):
    assert message in refused(capsys, *argv)


@pytest.mark.parametrize(
    "error, line",
    [
        (ValueError("width=0:\n  must be positive"), "width=0: must be positive"),
        (FileNotFoundError(2, "No such file or directory", "a/b"), "a/b: No such file or directory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("every mirror failed"), "every mirror failed"),
        (MemoryError(), "out of memory: none left; use a smaller batch, width or input"),
        (NonFiniteError("step 3: loss is nan"), "step 3: loss is nan"),
        (RunLocked("runs/a: locked"), "runs/a: locked"),
        (TypeError(), "TypeError"),
        (ValueError("a\x1b[31mred\x07"), "a?[31mred?"),
    ],
)
def test_an_error_is_one_line_on_stderr_and_status_two(capsys, monkeypatch, error, line):
    def fail(args):
        raise error

    monkeypatch.setattr(summary, "run", fail)
    assert refused(capsys, "summary") == f"minighost: error: {line}\n"


def test_an_endless_message_is_cut():
    line = one_line(ValueError("x " * 5000))
    assert len(line) < 900 and line.endswith("(--debug shows the rest)")


def test_a_bug_is_not_dressed_up_as_the_users_mistake(monkeypatch):
    monkeypatch.setattr(summary, "run", lambda args: [][1])
    with pytest.raises(IndexError):
        main(["summary"])


@pytest.mark.parametrize("argv", [["--debug", "summary", "--width", "0"], ["summary", "--width", "0", "--debug"]])
def test_debug_shows_the_traceback_as_well(capsys, argv):
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("Traceback")
    assert error.endswith("minighost: error: model.width: expected a number > 0, got '0'\n")


def test_ctrl_c_is_status_130(capsys, monkeypatch):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(summary, "run", interrupt)
    assert main(["summary"]) == 130
    assert capsys.readouterr().err == "minighost: interrupted\n"


def test_a_status_of_the_training_is_the_commands(monkeypatch):
    def stopped(args):
        raise SystemExit(130)

    monkeypatch.setattr(summary, "run", stopped)
    assert main(["summary"]) == 130


def shell(redirection, *argv):
    """`minighost` as a process, started by a shell; what is known when it has ended."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = ["sh", "-c", f'exec "$0" "$@" {redirection}', sys.executable, "-m", "minighost", *argv]
    return subprocess.run(line, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("argv", [["summary", "--layers"], ["--help"], ["train", "--help"], ["learn"]])
def test_a_reader_that_went_away_is_quiet(argv):
    code = f"import sys; from minighost.cli.main import main; sys.exit(main({argv}))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
@pytest.mark.parametrize(
    "redirection, argv, status, said",
    [
        (">&-", ["--help"], 141, ""),
        (">&-", ["learn", "list"], 141, ""),
        ("<&- >&- 2>&-", ["summary"], 141, ""),
        ("2>&-", ["--version"], 0, ""),
        ("2>&-", ["summary", "--width", "0"], 2, ""),
        (">&-", ["summary", "--width", "0"], 2, "minighost: error: model.width: expected a number > 0, got '0'\n"),
        (">/dev/full", ["--help"], 2, "No space left on device\n"),
        (">/dev/full 2>/dev/full", ["--help"], 2, ""),
        ("2>/dev/full", ["summary", "--width", "0"], 2, ""),
    ],
)
def test_output_that_is_closed_or_full_is_a_status(tmp_path, monkeypatch, redirection, argv, status, said):
    monkeypatch.chdir(tmp_path)
    if argv[0] == "learn":
        assert shell("", "learn", "init").returncode == 0
    done = shell(redirection, *argv)
    assert done.returncode == status and done.stderr.endswith(said) and done.stderr.count("\n") == bool(said)


def test_a_terminal_that_lacks_a_letter_gets_a_question_mark(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(summary, "run", lambda args: print("½ ghost"))
    assert main(["summary"]) == 0
    assert out.buffer.getvalue() == b"? ghost\n"


def test_every_command_is_a_file_of_its_own():
    files = {path.stem for path in Path(front.__file__).parent.glob("*.py")}
    assert set(front.COMMANDS) == set(COMMANDS) and set(COMMANDS) <= files
