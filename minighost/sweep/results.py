"""What a sweep found: trials with the same values side by side over their seeds, as a table, a CSV and Markdown."""

import csv
import io
import json
import statistics
import textwrap
from typing import NamedTuple

from minighost.errors import FormatError
from minighost.files import write_atomic
from minighost.inputs import read_regular
from minighost.sweep.folder import Entry, as_text
from minighost.terminal import text
from minighost.terminal.console import duration
from minighost.train.runfolder import RunFolder

__all__ = ["Group", "Result", "collect", "grouped", "listing", "result", "table", "write"]

WIDTH = 80
LARGEST = 1 << 20  # bytes of a summary.json
NUMBERS = "test_accuracy", "test_loss", "train_accuracy", "train_loss", "best_test_accuracy", "epochs", "seconds"


class Result(NamedTuple):
    """A trial, its state (see `SweepFolder.state`), and its summary.json, empty if it is not finished."""

    entry: Entry
    state: str
    summary: dict


class Group(NamedTuple):
    """Trials with the same values; `accuracies` are those of the finished ones, in the order of their seeds."""

    values: dict
    results: list[Result]
    accuracies: list[float]

    @property
    def mean(self):
        return statistics.fmean(self.accuracies)


def collect(folder):
    """The results of a `SweepFolder`, for the trials that the SPACE.toml of today has.

    Raises
    ------
    FormatError
        A damaged summary.json.
    """
    entries = [entry for entry in folder.entries.values() if entry.wanted]
    return [result(folder, entry) for entry in entries]


def result(folder, entry):
    """The `Result` of one trial; FormatError as for `collect`."""
    state, path = folder.state(entry), RunFolder(folder.path / entry.name).summary
    if state != "finished":
        return Result(entry, state, {})
    try:
        summary = json.loads(read_regular(path, LARGEST))
        if not 0 <= summary["test_accuracy"] <= 1:
            raise ValueError(f"test_accuracy is {summary['test_accuracy']!r}")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FormatError(
            f"{path}: not the summary of a run: {error}; remove it to have the trial finish again"
        ) from error
    return Result(entry, state, summary)


def grouped(results):
    """A `Group` for each combination of values, the best mean first; those without a finished trial last."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(json.dumps(result.entry.values), []).append(result)
    groups = [
        Group(same[0].entry.values, same, [one.summary["test_accuracy"] for one in same if one.summary])
        for same in found.values()
    ]
    return sorted(groups, key=lambda group: -group.mean if group.accuracies else 1)


def table(groups, keys):
    """Lines of at most 80 characters; values that do not fit beside the numbers stand above them."""
    header, rows, align = _cells(groups, keys)
    lines = text.table(rows, header, align)
    if max(map(len, lines)) <= WIDTH:
        return lines
    values = len(keys)
    first, *rest = text.table([row[values:] for row in rows], header[values:], align[values:])
    lines = [first, rest[0]]
    for row, numbers in zip(rows, rest[1:], strict=True):
        lines += textwrap.wrap(
            " ".join(f"{name}={cell}" for name, cell in zip(header, row[:values], strict=False)), WIDTH
        )
        lines.append(numbers)
    return lines


def _cells(groups, keys):
    """Header, rows and alignment of the table."""
    several = any(len(group.results) > 1 for group in groups)
    header = [*(key.rpartition(".")[2] for key in keys), *(["seeds"] if several else []), "test acc"]
    header += [*(["lowest", "highest"] if several else []), "test loss", "time"]
    return tuple(header), [_row(group, keys, several) for group in groups], ">" * len(header)


def _row(group, keys, several):
    values = tuple(as_text(group.values[key]) for key in keys)
    done, all_ = len(group.accuracies), len(group.results)
    seeds = (str(all_) if done == all_ else f"{done} of {all_}",) if several else ()
    if not done:
        return (*values, *seeds, group.results[0].state, *(("", "") if several else ()), "", "")
    low, high = min(group.accuracies), max(group.accuracies)
    return (
        *values,
        *seeds,
        _percent(group.mean),
        *((_percent(low), _percent(high)) if several else ()),
        _mean(group, "test_loss", "{:.4f}".format),
        _mean(group, "seconds", duration),
    )


def _percent(share):
    return f"{100 * share:.2f} %"


def _mean(group, key, form):
    numbers = [one.summary[key] for one in group.results if isinstance(one.summary.get(key), (int, float))]
    return form(statistics.fmean(numbers)) if numbers else "-"


def listing(results):
    """Lines: each trial with its state."""
    rows = [
        (
            f"{number}",
            result.entry.name,
            result.state,
            _percent(result.summary["test_accuracy"]) if result.summary else "",
        )
        for number, result in enumerate(results, 1)
    ]
    return text.table(rows, ("", "trial", "state", "test acc"), "><<>")


def write(folder, groups, keys, command):
    """Write results.csv, a line for each trial, and results.md, a line for each combination of values.

    Returns
    -------
    list of str
        The names of the files.
    """
    write_atomic(folder.path / "results.csv", _csv(groups, keys))
    write_atomic(folder.path / "results.md", _markdown(groups, keys, command))
    return ["results.csv", "results.md"]


def _csv(groups, keys):
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["trial", "state", *keys, "seed", *NUMBERS, "failed"])
    for entry, state, summary in (result for group in groups for result in group.results):
        values = [as_text(entry.values[key]) for key in keys]
        writer.writerow([entry.name, state, *values, entry.seed, *(summary.get(key) for key in NUMBERS), entry.failed])
    return file.getvalue()


def _markdown(groups, keys, command):
    header, rows, _ = _cells(groups, keys)
    results = [result for group in groups for result in group.results]
    finished = sum(result.state == "finished" for result in results)
    lines = [
        f"`{command}`: {finished} of {len(results)} trials finished.",
        "",
        *("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in [header]),
        "|" + "--:|" * len(header),
        *("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows),
    ]
    failed = [
        f"* `{result.entry.name}` failed: {result.entry.failed}" for result in results if result.state == "failed"
    ]
    return "\n".join([*lines, *([""] if failed else []), *failed]) + "\n"
