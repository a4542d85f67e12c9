"""A run as a notebook shows it: what it has reached, its curves, its settings."""

from __future__ import annotations

import contextlib
import html
import json
from typing import TYPE_CHECKING, Any

from minighost import notebook
from minighost.errors import FormatError
from minighost.inputs import read_regular
from minighost.plots import run as plots
from minighost.plots.figure import png
from minighost.train.config import keys
from minighost.train.log import read_log
from minighost.train.runfolder import RunFolder

if TYPE_CHECKING:
    from minighost.train.restore import LoadedRun

__all__ = ["run_html"]

LARGEST = 1 << 20  # bytes of a summary


def run_html(run: LoadedRun) -> str:
    """HTML; what the folder lacks, or holds damaged, is left out."""
    config, defaults = run.config, {key: about["default"] for key, about in keys().items()}
    title = f"{config.model.title} on {config.data.name}"
    parts = [f"<p><b>{html.escape(title)}</b>, {_reached(run)}</p>"]
    folder = None if run.folder is None else RunFolder(run.folder)
    if folder is not None:
        with contextlib.suppress(OSError, FormatError, KeyError, TypeError, ValueError):
            records = read_log(folder.log, warn=lambda line: None)
            if any(record.get("kind") == "epoch" for record in records):
                parts.append(notebook.image(png(lambda path: plots.curves(records, path, title)), "curves"))
    rows = [(key, str(value)) for key, value in config.flat().items() if value != defaults.get(key)]
    table = notebook.table(rows, ("setting", "value"), "<<")
    parts.append(f"<details><summary>settings other than the defaults</summary>{table}</details>")
    H, W = run.size
    words = f"takes {H}x{W}x{'C floats' if run.floats else run.channels}; classes: {', '.join(run.classes[:30])}"
    parts.append(f"<p>{html.escape(words + ', ...' * (len(run.classes) > 30))}</p>")
    return "".join(parts)


def _reached(run: LoadedRun) -> str:
    words = f"{run.epoch} epoch{'s' * (run.epoch != 1)}"
    if run.folder is not None:
        with contextlib.suppress(OSError, FormatError, KeyError, TypeError, ValueError):
            summary: dict[str, Any] = json.loads(read_regular(RunFolder(run.folder).summary, LARGEST))
            if run.config.task == "detect":
                words += f", mAP@0.5 {100 * summary['test_map50']:.2f} % on {summary['test_images']:,} test images"
            else:
                words += f", {100 * summary['test_accuracy']:.2f} % of {summary['test_images']:,} test images correct"
    return words
