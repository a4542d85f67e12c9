"""The report of an experiment: ``README.md`` with table, reading and pictures, and ``results.json``."""

import json
import time
from pathlib import Path
from typing import Any

import minighost
from minighost import bench
from minighost.experiments import reading, timing
from minighost.experiments.command import command, overrides, setting
from minighost.experiments.experiment import ACCURACY, COLUMNS
from minighost.experiments.findings import Findings, short
from minighost.files import write_atomic
from minighost.plots import experiment as plots
from minighost.terminal import text
from minighost.terminal.console import duration
from minighost.train.config import Config
from minighost.train.runfolder import FREE
from minighost.wording import counted

__all__ = ["table", "write"]

WIDTH = 80
RESTLESS = 0.25  # milliseconds that scatter more than this share are remarked on
UNITS = {"parameters": 1e6, "macs": 1e6}  # on the axis of a picture
DECIMALS = {"minutes": ".1f", "images_per_second": ",.0f", "train_ms": ".2f", "inference_ms": ".2f"}


def write(findings: Findings, out) -> list[Path]:
    """Write the report into a folder, which is made.

    Parameters
    ----------
    findings : Findings
    out : path

    Returns
    -------
    list of Path
        The files, README.md first.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [folder / f"{kind.replace('_', '-')}.png" for kind in findings.experiment.plots]
    if any(arm.n for arm in findings.arms.values()):
        for kind, path in zip(findings.experiment.plots, pictures, strict=True):
            _draw(findings, kind, path)
    pictures = [path for path in pictures if path.exists()]
    about = _about()
    page, numbers = folder / "README.md", folder / "results.json"
    write_atomic(numbers, json.dumps(_numbers(findings, about), indent=1) + "\n")
    write_atomic(page, "\n".join(_page(findings, about, pictures)) + "\n")
    return [page, numbers, *pictures]


def table(findings: Findings) -> list[str]:
    """Lines of at most 80 characters: arms, seeds, accuracy, and what an arm costs."""
    header = ["arm", "n", "test accuracy, %", "params", "MACs"]
    header += ["step, ms", "infer, ms"] if findings.timing else ["run"]
    rows = []
    for arm in findings.arms.values():
        times = [_cell(arm.train_ms, ".1f"), _cell(arm.inference_ms, ".1f")] if findings.timing else [_time(arm)]
        rows.append([arm.name, str(arm.n), _accuracy(arm), short(arm.parameters), short(arm.macs), *times])
    room = WIDTH - sum(2 + max(len(row[k]) for row in (header, *rows)) for k in range(1, len(header)))
    return text.table(
        [(text.clipped(row[0], room), *row[1:]) for row in rows], tuple(header), "<" + ">" * (len(header) - 1)
    )


def _time(arm):
    return "" if arm.minutes is None else duration(60 * arm.minutes)


def _accuracy(arm):
    if arm.mean is None:
        return "-"
    return f"{arm.mean:.2f}" if arm.spread is None else f"{arm.mean:.2f} +- {arm.spread:.2f}"


def _about():
    return {"version": minighost.__version__, "date": time.strftime("%Y-%m-%d"), "machine": bench.machine()}


def _draw(findings, kind, path):
    experiment, arms = findings.experiment, [arm for arm in findings.arms.values() if arm.n]
    title = f"{experiment.name}{' (quick form)' if findings.quick else ''}"
    if kind == ACCURACY:
        plots.side_by_side([(arm.name, arm.accuracies) for arm in arms], path, title)
        return
    families, points = experiment.families or {}, []
    for arm in arms:
        if (cost := getattr(arm, kind)) is not None:
            points.append((arm.name, families.get(arm.name, ""), cost / UNITS.get(kind, 1), arm.accuracies))
    if points:
        plots.against_cost(points, COLUMNS[kind] + (", millions" if kind in UNITS else ""), path, title)


# The numbers -------------------------------------------------------------------------------------------------------


def _numbers(findings: Findings, about) -> dict[str, Any]:
    experiment = findings.experiment
    published = experiment.published or {}
    return {
        "experiment": experiment.name,
        "form": "quick" if findings.quick else "full",
        "question": experiment.question,
        "source": experiment.source,
        **about,
        "data": {"name": _first(findings).config.data.name, "sha256": findings.data, "mixed": findings.mixed},
        "command": command(findings),
        "recipe": _plain(_shared(findings)),
        "arms": {
            name: {
                "settings": _plain(_own(findings, arm)),
                "n": arm.n,
                "accuracies": [round(value, 4) for value in arm.accuracies],
                "mean": arm.mean,
                "standard_deviation": arm.spread,
                **{column: getattr(arm, column) for column in COLUMNS},
                "missing": arm.missing,
                "published": dict(published[name]._asdict()) if name in published else None,
            }
            for name, arm in findings.arms.items()
        },
        "timing": findings.timing,
        "reading": reading.read(findings),
        "notes": list(experiment.notes),
    }


def _plain(settings):
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}


def _first(findings):
    return next(iter(findings.arms.values()))


def _flats(findings):
    form, default = findings.experiment.form(findings.quick), Config().flat()
    named = set(form.recipe).union(*form.arms.values())  # and what differs from the defaults
    return {
        name: {
            key: value
            for key, value in arm.config.flat().items()
            if key not in FREE and key != "seed" and (key in named or value != default.get(key))
        }
        for name, arm in findings.arms.items()
    }


def _shared(findings) -> dict[str, Any]:
    """The settings that all arms have in common."""
    first, *others = _flats(findings).values()
    return {key: value for key, value in first.items() if all(flat.get(key) == value for flat in others)}


def _own(findings, arm) -> dict[str, Any]:
    shared = _shared(findings)
    return {key: value for key, value in _flats(findings)[arm.name].items() if key not in shared}


# The page ----------------------------------------------------------------------------------------------------------


def _page(findings: Findings, about, pictures) -> list[str]:
    experiment, arms = findings.experiment, findings.arms.values()
    form = "The quick form, which only shows how it goes: read nothing from it." if findings.quick else ""
    seeds = sorted({arm.n for arm in arms})
    lines = [
        f"# {experiment.name}: {experiment.question}",
        "",
        *([form, ""] if form else []),
        f"After {experiment.source}.",
        "",
        *_markdown(findings),
        "",
        f"Accuracy: of the test images after the last epoch, mean and standard deviation over n = "
        f"{' to '.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} seeds. {_costs(findings)}".rstrip(),
        "",
    ]
    if findings.missing:
        gone = len(findings.missing)
        lines += [
            f"**Incomplete: {gone} of {counted(findings.trials, 'trial')} {'is' if gone == 1 else 'are'} missing.**"
        ]
        lines += [*(f"* {line}" for line in findings.missing), ""]
    lines += ["## What follows", ""]
    lines += [*(f"* {line}." for line in reading.read(findings)), ""]
    lines += ["In brackets: the 95 % interval of the difference (Welch), each for itself.", ""]
    if experiment.notes:
        lines += ["## Read it with care", "", *(f"* {note}" for note in experiment.notes), ""]
    for path in pictures:
        lines += [f"![{_caption(path, experiment)}]({path.name})", ""]
    if experiment.appendix is not None:
        lines += [*experiment.appendix(), ""]
    return lines + _how(findings, about)


def _caption(path, experiment):
    kind = path.stem.replace("-", "_")
    return f"{experiment.name}: accuracy" + ("" if kind == ACCURACY else f" against {COLUMNS[kind]}")


def _markdown(findings):
    experiment = findings.experiment
    published, columns = experiment.published or {}, experiment.columns
    theirs = [key for key in ("accuracy", "parameters", "macs") if any(getattr(p, key) for p in published.values())]
    words = {"accuracy": "paper: accuracy, %", "parameters": "paper: parameters", "macs": "paper: multiply-adds"}
    header = ["arm", "n", "test accuracy, %", *(COLUMNS[column] for column in columns), *(words[key] for key in theirs)]
    lines = ["| " + " | ".join(header) + " |", "|---" + "|--:" * (len(header) - 1) + "|"]
    for arm in findings.arms.values():
        cells = [arm.name, str(arm.n), _accuracy(arm).replace("+-", "±")]
        cells += [_cell(getattr(arm, column), DECIMALS.get(column, ",")) for column in columns]
        cells += [_theirs(published.get(arm.name), key) for key in theirs]
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return lines


def _cell(value, form):
    return "-" if value is None else f"{value:{form}}"


def _theirs(found, key):
    value = None if found is None else getattr(found, key)
    if value is None:
        return ""
    return f"{value:.1f}" if key == "accuracy" else f"{short(value)}"


def _costs(findings):
    columns, clock = findings.experiment.columns, findings.timing
    words = []
    if "minutes" in columns or "images_per_second" in columns:
        words.append("Minutes and images/s are those of the runs, beside one another: read them roughly.")
    if clock and {"train_ms", "inference_ms"} & set(columns):
        words.append(
            f"Milliseconds are medians for a batch of {clock['batch']} images on "
            f"{counted(clock['threads'], 'thread')}, all arms in turns."
        )
        if (share := timing.scatter(clock)) > RESTLESS:
            words.append(
                f"They scatter by up to {100 * share:.0f} % (interquartile range): the machine had other work. "
                f"`minighost experiment report {findings.experiment.name} --measure` takes them once more."
            )
    return " ".join(words)


def _how(findings, about):
    machine = about["machine"]
    shared, data = _shared(findings), findings.data
    lines = ["## How it was run", "", "```", command(findings), "```", ""]
    if overrides(findings) is None:
        lines += ["**The experiment has been changed since: what counts are the settings below.**", ""]
    lines += ["All arms: " + ", ".join(f"`{setting(*item)}`" for item in shared.items()) + ".", ""]
    lines += ["| arm | its own settings |", "|---|---|"]
    for arm in findings.arms.values():
        own = ", ".join(f"`{setting(*item)}`" for item in _own(findings, arm).items())
        lines.append(f"| {arm.name} | {own} |")
    sums = ", ".join(f"{key} `{value[:12]}`" for key, value in sorted(data.items()))
    images: dict[str, Any] = next((arm.summaries[0] for arm in findings.arms.values() if arm.summaries), {})
    if images:
        lines += [
            "",
            f"Data: {images['data']}, {images['train_images']:,} training and {images['test_images']:,} test images.",
        ]
    if sums:
        lines += [
            "",
            f"SHA-256 begins with: {sums}." + (" **Some trials had other images.**" if findings.mixed else ""),
        ]
    lines += [
        "",
        f"{machine['cpu']}, {counted(machine['cores'], 'core')}, {machine['system']}, Python {machine['python']}, "
        f"minighost {about['version']}, {about['date']}.",
    ]
    return lines
