"""The words and the table that a run prints."""

import contextlib
import shlex
import textwrap
import threading
import time

from minighost.engine import launch
from minighost.terminal.console import duration
from minighost.terminal.text import fine_bar
from minighost.train.groups import trained
from minighost.wording import counted

__all__ = ["compiling", "header", "lag_note", "outcome", "resume_command", "row", "say", "table_head"]

TICK = 0.25  # seconds between two states of a line that moves


def header(config, folder, model, trainer, train_set, test_set, threads, start=()):
    """What is about to happen, as lines."""
    parameters = sum(p.data.size for p in model.parameters())
    width = "" if config.model.width is None else f" {config.model.width:g}x"
    options = "".join(f", {key} {value}" for key, value in config.model.options.items())
    t = config.train
    extras = [f"{t.schedule}, peak rate {t.lr:g}"]
    extras += [f"{t.sgd_factor:g} times that for what sgd updates"] if t.sgd_factor != 1 else []
    extras += [f"{t.body_lr:g} times that for the body"] if t.body_lr != 1 else []
    spared = "" if t.decay_depthwise else ", none on depthwise kernels"
    extras += [f"weight decay {t.weight_decay:g}{spared}"]
    extras += [f"label smoothing {t.label_smoothing:g}"] if t.label_smoothing else []
    extras += [f"weights averaged ({t.ema_decay:g})"] if t.ema_decay else []
    extras += [f"clipped at {t.clip_norm:g}"] if t.clip_norm else []
    H, W = train_set.images.shape[1:3]
    reason = f" ({threads.reason})" if threads.reason else ""
    trains = f"{len(train_set):,} training" if test_set is not None else counted(len(train_set), "training", "image")
    tests = "no test images" if test_set is None else counted(len(test_set), "test", "image")
    return [
        f"model    {config.model.title}{width}{options}: {counted(parameters, 'parameter')}",
        f"data     {train_set.name}: {trains} and {tests}, {H}x{W}, {counted(len(train_set.classes), 'class')}",
        f"plan     {counted(t.epochs, 'epoch')} of {counted(len(trainer.loader), 'step')}, {t.batch_size} images each; "
        f"{t.optimizer}, {', '.join(extras)}",
        *_extension(t, trainer),
        *start,
        *([f"trains   {what}"] if (what := trained(model)) else []),
        f"machine  {counted(threads.count, 'thread')}{reason}, seed {config.seed}",
        *trainer.ranks.about(t.batch_size, t.sync_batch_norm),
        *([f"folder   {folder.path}"] if folder is not None else []),
    ]


def _extension(t, trainer):
    """How the rate goes on where more epochs were asked for than had been planned."""
    if not t.extended:
        return []
    before = ", then ".join(f"{epochs:g}" for epochs in t.extended)
    rate = trainer.schedule(int(t.extended[-1]) * len(trainer.loader))
    return [
        f"extended planned for {before} epochs; from epoch {t.extended[-1] + 1:g} on the rate is that of a run of "
        f"{t.epochs}: {rate:.3g}"
    ]


def table_head(task):
    return f"  epoch {task.head}    rate    time    left"


def row(task, record, epochs, left, encoding, columns=80):
    """One epoch as a line of the table, with its score as a bar in what is free of the columns."""
    epoch = f"{record['epoch']}/{epochs}"
    numbers = (
        f"{epoch:>7} {task.cells(record)} {record['lr']:7.2g} "
        f"{duration(record['seconds'] + record.get('test_seconds', 0)):>7} {duration(left):>7}"
    )
    room = min(20, columns - len(numbers) - 2)
    return f"{numbers}  {fine_bar(task.height(record), room, encoding)}" if room >= 4 else numbers


@contextlib.contextmanager
def compiling(console, what="compiling kernels"):
    """Say what a block of code is about, beside it in a terminal which kernel is being compiled, and how long it took.

    The seconds are those of the block, or what it appends to the list that it gets.
    """
    seconds: list[float] = []
    kernels: list[str] = []
    start, done = time.perf_counter(), threading.Event()

    def show():
        while not done.wait(TICK):
            kernel = f", kernel {len(kernels)}: {kernels[-1]}" if kernels else ""
            console.status(f"{duration(time.perf_counter() - start)}{kernel}")

    console.begin(f"{what} ... ")
    clock = threading.Thread(target=show, daemon=True)  # for one kernel may take ten seconds
    if console.width is not None:
        clock.start()
    try:
        with launch.compiling(kernels.append):
            yield seconds
    except BaseException:
        _end(clock, done)
        console.line()
        raise
    _end(clock, done)
    console.line(f"{seconds[-1] if seconds else time.perf_counter() - start:.1f} s")


def _end(clock, done):
    done.set()
    if clock.is_alive():
        clock.join()


def lag_note(loss):
    """What explains a high test loss, as lines below its row."""
    text = (
        f"with each batch's own mean and variance the test loss is {loss:.2f}: batch norm's running averages lag "
        f"behind weights that change this fast, and catch up as the rate falls"
    )
    return textwrap.wrap(text, 80, initial_indent=" " * 9, subsequent_indent=" " * 9)


def say(console, lines):
    """Write lines, folded to the width of a terminal; commands stay whole, for they are copied."""
    for line in lines:
        console.line(line, None if line.startswith(("next  ", "         minighost")) else 9)


def outcome(task, summary, folder=None, files=(), in_python=False):
    """What has been reached and, if it is in a folder, where to look, as lines."""
    after = f"after {counted(summary['epochs'], 'epoch')} in {duration(summary['seconds'])}"
    reached = ["", f"{task.outcome(summary)} {after}"]
    if folder is None:
        return reached
    where = shlex.quote(str(folder.path))
    return [
        *reached,
        *([f"look at  {'  '.join(str(folder.path / name) for name in files)}"] if files else []),
        *(_next_in_python(folder) if in_python else _next_commands(where)),
    ]


def _next_commands(where):
    yield f"next     minighost eval --checkpoint {where}"
    yield f"         minighost predict IMAGE --checkpoint {where}"


def _next_in_python(folder):
    yield f"next     mg.load({str(folder.path)!r}).predict(picture)"


def resume_command(folder, in_python=False):
    """The command, or the call, that continues the run."""
    if in_python:
        return f"mg.fit(..., out={str(folder.path)!r}, resume=True), with the same settings"
    return f"minighost train --resume --out {shlex.quote(str(folder.path))}"
