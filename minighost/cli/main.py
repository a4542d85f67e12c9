"""`minighost`: reads the command, runs it, and turns what a user can cause into one line and an exit status.

Nothing heavy is imported before a command runs, so ``minighost --help`` answers at once: the command files import
Numba, the networks and matplotlib inside their `run`.

Exit status: 0 done, 2 an error that the line on stderr explains, 130 stopped by Ctrl-C (143 SIGTERM, 129 a closed
terminal), 141 the reader of the output went away.
"""

import argparse
import contextlib
import difflib
import os
import re
import sys
import traceback
import warnings

from minighost import __version__, own_code
from minighost.cli import (
    analyze,
    bench,
    compare,
    data,
    eval,
    experiment,
    export,
    gradcheck,
    learn,
    lines,
    predict,
    step,
    summary,
    sweep,
    train,
    warmup,
    zoo,
)
from minighost.errors import NonFiniteError, RunLocked, one_line
from minighost.train.signals import Interrupted, listening

__all__ = ["main"]

COMMANDS = {
    "train": train,
    "sweep": sweep,
    "experiment": experiment,
    "eval": eval,
    "compare": compare,
    "predict": predict,
    "export": export,
    "summary": summary,
    "zoo": zoo,
    "analyze": analyze,
    "data": data,
    "bench": bench,
    "warmup": warmup,
    "gradcheck": gradcheck,
    "learn": learn,
    "step": step,
    "lines": lines,
}

EXPECTED = (ValueError, TypeError, OSError, MemoryError, ModuleNotFoundError, NonFiniteError, RunLocked)

EXAMPLES = """\
examples:
  minighost train                               train a small GhostNet on built-in images
  minighost sweep SPACE.toml                    train over a grid of settings
  minighost experiment list                     claims of papers, and how to repeat them
  minighost eval --checkpoint RUN               accuracy of that run, class by class
  minighost compare RUN RUN --out c.png         curves over one another, differences in settings
  minighost predict cat.jpg --checkpoint RUN    what does it see in a picture?
  minighost export RUN --to onnx                that network for other programs
  minighost summary --width 0.5                 shapes, parameters and multiply-adds, layer by layer
  minighost zoo                                 all networks beside their published numbers
  minighost analyze RUN                         look into it: filters, maps, ghosts, cost
  minighost data --data shapes10 --out a.png    look at the images
  minighost bench ghostnet                      how fast is it on this machine?
  minighost warmup                              compile the kernels in advance
  minighost gradcheck conv                      is the backward the derivative of the forward?
  minighost learn init                          write it yourself: exercises, checked
  minighost step conv                           watch it work, forward and backward, number by number
  minighost lines                               how many lines there are to read

`minighost COMMAND --help` explains a command.
"""


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        The arguments without the program's name; `sys.argv[1:]` by default.

    Returns
    -------
    int
        The exit status (see the module's docstring).
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    _open_streams()
    with listening() as stop, warnings.catch_warnings():
        warnings.showwarning = _warn
        try:
            with stop.at_once():
                args = _parse(argv)
                status = args.run(args) or 0
        except Interrupted as stopped:
            status = stopped.code
            if stop:  # else it was a training, which has said so itself
                _say("interrupted" if stop.name == "Ctrl-C" else f"ended by {stop.name}")
        except KeyboardInterrupt:
            status = _say("interrupted", 130)
        except SystemExit as done:  # argparse, after --help and --version
            status = done.code or 0
        except BrokenPipeError:
            status = 141
        except EXPECTED as error:
            if "--debug" in argv:
                traceback.print_exc()
            status = complain(error)
        except Exception as error:
            if own_code.place(error) is None:  # else it is the learner's own network that raises
                raise
            if "--debug" in argv:
                traceback.print_exc()
            status = complain(error)
        return _flush(status)


def _open_streams():
    """Prepare the standard streams so that nothing written to them is lost or mixed up."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file that is opened would take its place
            os.open(os.devnull, os.O_RDWR)
            if number == 1:
                _leave_unread(number)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a letter that the terminal cannot show must not end a training


def complain(error):
    """Report an error that a user can cause, in one line on stderr; returns the exit status."""
    text, place = one_line(error), own_code.place(error)
    if not isinstance(error, EXPECTED):
        text = f"{type(error).__name__}: {text}"
    return _say(f"error: {text if place is None else f'{place}: {text}'}", 2)


def _warn(message, category, filename, lineno, file=None, line=None):
    """A warning as one line on stderr, in place of two that show the source."""
    _say(f"warning: {one_line(message)}")


def _leave_unread(number):
    """Make a descriptor a pipe whose reader went away."""
    reader, writer = os.pipe()
    os.dup2(writer, number)
    os.close(reader)
    os.close(writer)


def _flush(status):
    """Flush what was printed, and see that the interpreter has no last words about it; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if isinstance(error, BrokenPipeError):
                status = status or 141
            elif not status:
                status = _say(f"error: standard output: {error.strerror}", 2)
    return status


def _say(text, status=None):
    with contextlib.suppress(OSError):  # nobody may be there to hear it
        print(f"minighost: {text}", file=sys.stderr, flush=True)
    return status


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help with room for the commands' names, which argparse measures as if they stood further left."""

    def add_argument(self, action):
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += self._indent_increment


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaint is an exception, so that it too becomes one line."""

    def __init__(self, **options):
        super().__init__(**options, allow_abbrev=False, formatter_class=_Help)

    def error(self, message):
        raise ValueError(f"{message} (see {self.prog} --help)")

    def _print_message(self, message, file=None):
        """Whether the help could be written is `main`'s to know; argparse would not say."""
        print(message, end="", file=file or sys.stderr)


def _parse(argv):
    parser = _Parser(prog="minighost", description="Build, train and inspect GhostNet on a CPU.", epilog=EXAMPLES)
    parser.add_argument("--version", action="version", version=f"minighost {__version__}")
    parser.add_argument("--debug", action="store_true", default=False, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    subs = {}
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.HELP, description=command.__doc__, epilog=command.EXAMPLES)
        command.add_arguments(sub)
        # SUPPRESS: a subcommand's default must not undo `minighost --debug COMMAND`
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show Python's traceback too")
        sub.set_defaults(run=command.run, command=name)
        subs[name] = sub
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        raise ValueError(_unknown(unknown[0], subs[args.command]))
    return args


def _unknown(argument, sub):
    flag = argument.split("=")[0]
    close = difflib.get_close_matches(flag, re.findall(r"--[\w-]+", sub.format_help()), n=1)
    return f"unknown argument {flag} ({f'did you mean {close[0]}?' if close else f'see {sub.prog} --help'})"
