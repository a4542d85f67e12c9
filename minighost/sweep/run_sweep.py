"""A whole sweep in its folder: what `minighost sweep` does."""

import contextlib
import json
import os
import shlex
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from minighost.errors import one_line
from minighost.plots import sweep as plots
from minighost.plots.run import attempt
from minighost.sweep import results
from minighost.sweep.backends import opened
from minighost.sweep.folder import SweepFolder
from minighost.sweep.space import read_space
from minighost.sweep.trial import Task, run_trial
from minighost.terminal.console import Console, duration
from minighost.train.lock import run_lock
from minighost.train.runfolder import RunFolder
from minighost.train.signals import Interrupted, listening
from minighost.wording import counted

__all__ = ["Options", "opened_sweep", "run", "run_trials"]

EVERY = 0.5  # seconds between two looks at the running trials
SHOWN = 3  # trials that are named where there may be hundreds


class Options(NamedTuple):
    """How a sweep runs; none of it changes what a trial learns.

    Attributes
    ----------
    workers : int or None
        Trials at a time.
    threads : int or None
        Threads of each.
    backend, scheduler : str
        See `minighost.sweep.backends.opened`.
    retry : bool
        Run again what failed.
    command : str
        The command that continues, to be shown.
    """

    workers: int | None = None
    threads: int | None = None
    backend: str = "local"
    scheduler: str | None = None
    retry: bool = False
    command: str = "minighost sweep"


def opened_sweep(source, out, overrides: Mapping[str, Any] | None = None):
    """The folder of a sweep with its trials arranged, and the `Space`; nothing is written.

    Parameters
    ----------
    source : path
        SPACE.toml.
    out : path or None
        By default ``runs/`` and the name of `source`.
    overrides : dict, optional
        As for `read_space`.
    """
    space = read_space(source, overrides)
    folder = SweepFolder(Path("runs") / Path(source).stem if out is None else out)
    folder.arrange(space, source)
    return folder, space


def run(
    source,
    out=None,
    overrides: Mapping[str, Any] | None = None,
    options: Options | None = None,
    stream: TextIO | None = None,
) -> int:
    """Run what is left of a sweep, then write its table and its picture.

    Parameters
    ----------
    source, out, overrides
        As for `opened_sweep`.
    options : Options
    stream : text file, optional
        Where to report progress; `sys.stderr` by default. The table goes to standard output.

    Returns
    -------
    int
        How many of its trials failed.

    Raises
    ------
    Interrupted
        After Ctrl-C, SIGTERM or SIGHUP, when every running trial has finished its step and saved.
    RunLocked
        Another process works on this sweep.
    ValueError, FormatError
        See `read_space` and `SweepFolder.arrange`.
    OSError, ModuleNotFoundError
        See `backends.opened`; a cluster that went away.
    """
    return run_trials(lambda: opened_sweep(source, out, overrides), source, options, stream)


def run_trials(
    opened_folder: Callable,
    source,
    options: Options | None = None,
    stream: TextIO | None = None,
    finish: Callable | None = None,
) -> int:
    """Run what is left of the trials of a folder, and finish.

    Parameters
    ----------
    opened_folder : callable
        Without arguments; returns `SweepFolder` and `Space`, arranged, as `opened_sweep`.
    source : path
        What the folder is the sweep of, see `SweepFolder.arrange`.
    options : Options
    stream : text file, optional
    finish : callable, optional
        ``finish(folder, space, options, console)`` is called when all trials have ended, while the folder is still
        locked, and returns how many failed. By default it writes a sweep's table and picture.

    Returns
    -------
    int
        What `finish` returns.

    Raises
    ------
    Exception
        As `run`, and what `opened_folder` and `finish` raise.
    """
    options = options or Options()
    console = Console(sys.stderr if stream is None else stream)
    with listening() as stop, contextlib.ExitStack() as opening:
        with stop.at_once():
            folder, space = opened_folder()
            backend = opening.enter_context(opened(options.backend, options.workers, options.scheduler))
        folder.path.mkdir(parents=True, exist_ok=True)
        with run_lock(folder.path):
            folder.arrange(space, source)  # nobody can come in between any more
            folder.write()
            folder.stop.unlink(missing_ok=True)
            _Sweep(folder, space, console, options, stop).go(backend)
            with stop.at_once():  # the same command writes it again
                return (finish or _finish)(folder, space, options, console)


class _Sweep:
    """The course of a sweep: what is left to do, what is running, what has come of it."""

    def __init__(self, folder, space, console, options, stop):
        self.folder, self.space, self.console, self.options, self.stop = folder, space, console, options, stop
        self.entries = [entry for entry in folder.entries.values() if entry.wanted]
        states = {entry.name: folder.state(entry) for entry in self.entries}
        self.states = states
        again = ("new", "unfinished", "failed") if options.retry else ("new", "unfinished")
        self.todo = [entry for entry in self.entries if states[entry.name] in again]
        self.begun: dict[str, Any] = {}  # handed out, and not ended yet
        self.ended, self.epochs, self.best = 0, 0, 0.0
        self.bar: Any = None  # from `_work` on

    def go(self, backend):
        for line in self._header(backend):
            self.console.line(line)
        if self.todo:
            self._work(backend)
        if self.stop:
            self._interrupted()

    def _header(self, backend):
        keys = ", ".join(self.space.keys) or "nothing but the seed"
        seeds = list(dict.fromkeys(entry.seed for entry in self.entries))
        yield f"sweep    {counted(len(self.entries), 'trial')} over {keys}; {_seeds(seeds)}"
        where = "" if self.options.backend == "local" else f" on the {self.options.backend} cluster"
        yield f"workers  {backend.workers} at a time{where}, {counted(self._threads(backend), 'thread')} each"
        yield f"folder   {self.folder.path}"
        finished = sum(state == "finished" for state in self.states.values())
        failed = sum(state == "failed" for state in self.states.values())
        if finished or failed:
            retry = "" if self.options.retry or not failed else " (--retry runs them again)"
            yield f"before   {finished} finished, {failed} failed{retry}; {len(self.todo)} to go"
        kept = [entry.name for entry in self.folder.entries.values() if not entry.wanted]
        if kept:
            more = f" and {len(kept) - SHOWN} more" if len(kept) > SHOWN else ""
            yield f"kept     {counted(len(kept), 'trial')} that the file no longer has: {', '.join(kept[:SHOWN])}{more}"

    def _threads(self, backend):
        return self.options.threads or self.entries[0].config.threads or backend.threads

    def _work(self, backend):
        total = sum(entry.config.train.epochs for entry in self.todo)
        self.console.line()
        self.bar = self.console.bar("sweep", total, self._epochs(self.todo))
        over = threading.Event()
        watching = threading.Thread(target=self._watch, args=(over,), daemon=True)
        watching.start()
        try:
            for outcome in backend.call(run_trial, self._tasks(self._threads(backend))):
                self._end(outcome)
        except Exception as error:  # whatever a cluster's client raises when workers or the scheduler are lost
            self.folder.stop.touch()  # those that run elsewhere save, too
            raise OSError(
                f"{self.options.backend}: {one_line(error)}; the trials are saved, continue with {self.options.command}"
            ) from error
        finally:
            over.set()
            watching.join()
            self.bar.close()
        self.folder.stop.unlink(missing_ok=True)

    def _tasks(self, threads):
        for entry in self.todo:
            if self.stop:
                return
            self.begun[entry.name] = entry
            out = str((self.folder.path / entry.name).absolute())
            config = entry.config.replace(out=out, threads=threads)
            stop = str(self.folder.stop.absolute())
            yield Task(entry.name, json.dumps(config.to_dict()), threads, stop, os.getcwd())

    def _end(self, outcome):
        """One trial has ended: say so, and remember why if it failed."""
        entry = self.begun.pop(outcome.name)
        if outcome.state == "stopped":
            return
        if outcome.reason != entry.failed:
            self.folder.note(entry.name, outcome.reason)
        self.ended, self.epochs = self.ended + 1, self.epochs + entry.config.train.epochs
        count = f"{self.ended:>{len(str(len(self.todo)))}}/{len(self.todo)}"
        if outcome.state == "failed":
            self.bar.line(f"{count}    failed           {entry.name}: {outcome.reason}")
            return
        summary = results.result(self.folder, entry).summary
        self.best = max(self.best, summary["test_accuracy"])
        time = duration(summary.get("seconds") or 0)
        self.bar.line(f"{count} {100 * summary['test_accuracy']:7.2f} % {time:>8}  {entry.name}")

    def _epochs(self, entries):
        """How many epochs trials have finished, from their logs."""
        done = 0
        for entry in entries:
            with contextlib.suppress(OSError):
                done += RunFolder(self.folder.path / entry.name).log.read_bytes().count(b'"kind": "epoch"')
        return done

    def _watch(self, over):
        """Pass a request to stop on to the trials, and move the bar."""
        said = False
        while not over.wait(EVERY):
            if self.stop and not said:
                said = True
                self.folder.stop.touch()
                self.bar.line(f"{self.stop.name}: each running trial finishes its step and saves")
            best = f", best {100 * self.best:.2f} %" if self.best else ""
            done = self.epochs + self._epochs(list(self.begun.values()))
            self.bar.at(done, f"{self.ended}/{len(self.todo)} trials{best}")

    def _interrupted(self):
        states = [self.folder.state(entry) for entry in self.entries]
        self.console.line(
            f"stopped by {self.stop.name}: {states.count('finished')} of {len(states)} trials are finished, "
            f"{states.count('unfinished')} saved on the way. Continue with:"
        )
        self.console.line(f"    {self.options.command}")
        raise Interrupted(self.stop.status)


def _finish(folder, space, options, console):
    found = results.collect(folder)
    groups = results.grouped(found)
    files = results.write(folder, groups, space.keys, options.command)
    points = [(one.entry.values, one.summary["test_accuracy"]) for one in found if one.summary]
    draw = lambda path: plots.sweep(points, space.keys, path, folder.path.name)  # noqa: E731
    if points and space.keys and attempt(draw, folder.path / "sweep.png", console.line):
        files.append("sweep.png")
    print("\n".join(["", *results.table(groups, space.keys), ""]))
    failed = [one.entry for one in found if one.state == "failed"]
    for entry in failed:
        print(f"failed   {entry.name}: {entry.failed}")
    print(f"look at  {'  '.join(str(folder.path / name) for name in files)}")
    if points:
        best = next(one for one in groups[0].results if one.summary)
        where = shlex.quote(str(folder.path / best.entry.name))
        print(f"next     minighost eval --checkpoint {where}")
    return len(failed)


def _seeds(seeds):
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds[:8]))}{' ...' if len(seeds) > 8 else ''}"
