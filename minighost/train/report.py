"""The words and the table that a run prints."""

import shlex

from minighost.terminal.console import duration
from minighost.terminal.text import fine_bar
from minighost.train.groups import trained

__all__ = ["header", "outcome", "resume_command", "row", "table_head"]


def header(config, folder, model, trainer, train_set, test_set, threads, start=()):
    """What is about to happen, as lines."""
    parameters = sum(p.data.size for p in model.parameters())
    width = "" if config.model.width is None else f" {config.model.width:g}x"
    options = "".join(f", {key} {value}" for key, value in config.model.options.items())
    t = config.train
    extras = [f"{t.schedule}, peak rate {t.lr:g}"]
    extras += [f"{t.sgd_factor:g} times that for what sgd updates"] if t.sgd_factor != 1 else []
    extras += [f"{t.body_lr:g} times that for the body"] if t.body_lr != 1 else []
    extras += [f"weight decay {t.weight_decay:g}"]
    extras += [f"label smoothing {t.label_smoothing:g}"] if t.label_smoothing else []
    extras += [f"weights averaged ({t.ema_decay:g})"] if t.ema_decay else []
    extras += [f"clipped at {t.clip_norm:g}"] if t.clip_norm else []
    H, W = train_set.images.shape[1:3]
    reason = f" ({threads.reason})" if threads.reason else ""
    tests = "no" if test_set is None else f"{len(test_set):,}"
    return [
        f"model    {config.model.title}{width}{options}: {parameters:,} parameters",
        f"data     {train_set.name}: {len(train_set):,} training and {tests} test images, {H}x{W}, "
        f"{len(train_set.classes)} classes",
        f"plan     {t.epochs} epochs of {len(trainer.loader):,} steps, {t.batch_size} images each; "
        f"{t.optimizer}, {', '.join(extras)}",
        *_extension(t, trainer),
        *start,
        *([f"trains   {what}"] if (what := trained(model)) else []),
        f"machine  {threads.count} thread{'s' if threads.count > 1 else ''}{reason}, seed {config.seed}",
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


def table_head():
    return "  epoch   train loss   train acc    test loss    test acc       rate     time     left"


def row(record, epochs, left, encoding):
    """One epoch as a line of the table, with its test accuracy as a bar."""
    epoch, tested = f"{record['epoch']}/{epochs}", "test_loss" in record
    test = f"{record['test_loss']:11.4f} {100 * record['test_accuracy']:9.2f} %" if tested else f"{'-':>11} {'-':>11}"
    numbers = (
        f"{epoch:>7} {record['train_loss']:12.4f} {100 * record['train_accuracy']:9.2f} % {test} {record['lr']:10.2g} "
        f"{duration(record['seconds'] + record.get('test_seconds', 0)):>8} {duration(left):>8}"
    )
    return f"{numbers}  {fine_bar(record['test_accuracy' if tested else 'train_accuracy'], 20, encoding)}"


def outcome(summary, folder=None, files=(), in_python=False):
    """What has been reached and, if it is in a folder, where to look, as lines."""
    split = "test" if summary["test_images"] else "train"
    loss, accuracy = summary[f"{split}_loss"], summary[f"{split}_accuracy"]
    reached = [
        "",
        f"{100 * (accuracy or 0):.2f} % of {summary[f'{split}_images']:,} {split}{'ing' * (split == 'train')} images "
        f"correct (loss {'not finite' if loss is None else f'{loss:.4f}'}) after {summary['epochs']} epochs in "
        f"{duration(summary['seconds'])}",
    ]
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
