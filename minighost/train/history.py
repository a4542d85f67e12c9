"""What a training has come to, epoch by epoch: a table when it is printed, curves when it is plotted."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minighost import notebook
from minighost.plots.figure import png
from minighost.plots.inline import shown
from minighost.terminal import text
from minighost.terminal.console import duration
from minighost.train.callbacks import Callback
from minighost.type_aliases import Array, PathLike
from minighost.wording import counted

if TYPE_CHECKING:
    from minighost.train.course import Course
    from minighost.train.metrics import Evaluation

__all__ = ["History"]


class History(Callback):
    """The record of a training.

    ``history["test_accuracy"]`` is one number per epoch as an array, ``len(history)`` the number of epochs.

    Attributes
    ----------
    epochs, steps : list of dict
        One record per epoch, and one per ``log_every`` steps; what is in them, `Callback` says. Accuracies are shares
        from 0 to 1, losses in nats, times in seconds.
    evaluation : Evaluation or None
        Of the test images, after the last epoch that has ended: ``.confusion``, ``.predictions``, ...
    stopped : str
        Why the training ended before its last epoch; "" if it did not.
    title : str
    folder : Path or None
        Where the run is kept.
    """

    def __init__(self, title: str, folder: PathLike | None = None) -> None:
        self.title, self.folder = title, None if folder is None else Path(folder)
        self.epochs: list[dict[str, Any]] = []
        self.steps: list[dict[str, Any]] = []
        self.evaluation: Evaluation | None = None
        self.stopped = ""
        self._planned = 0

    # What it is told -----------------------------------------------------------------------------------------------

    def train_begin(self, course: Course) -> None:
        self.epochs, self.steps = course.storage.earlier("epoch"), course.storage.earlier("step")
        self._planned = course.config.train.epochs

    def step_end(self, course: Course, record: dict[str, Any]) -> None:
        if record["step"] % course.config.train.log_every == 0:
            self.steps.append(record)

    def epoch_end(self, course: Course, record: dict[str, Any]) -> None:
        self.epochs.append(record)

    def train_end(self, course: Course) -> None:
        self.evaluation, self.stopped = course.evaluation, course.ended

    # What it tells -------------------------------------------------------------------------------------------------

    @property
    def best(self) -> dict[str, Any] | None:
        """The record of the epoch with the highest test accuracy, without test images training accuracy; the first.

        None before the end of an epoch.
        """
        judged = [record for record in self.epochs if self._judge in record]
        return max(judged, key=lambda record: record[self._judge], default=None)

    @property
    def _judge(self) -> str:
        return "test_accuracy" if any("test_accuracy" in record for record in self.epochs) else "train_accuracy"

    def __len__(self) -> int:
        return len(self.epochs)

    def __getitem__(self, key: str) -> Array:
        """One number per epoch, shape (epochs,), float64; NaN where it was not finite, or there was no test."""
        known = max(self.epochs, key=len, default={})
        if known and key not in known:
            raise KeyError(f"history: no {key!r}; available: {', '.join(known)}")
        found = [record.get(key) for record in self.epochs]
        return np.array([np.nan if value is None else value for value in found], np.float64)

    def plot(self, path: PathLike | None = None) -> Path | None:
        """Draw loss, accuracy and learning rate over the epochs.

        Parameters
        ----------
        path : path, optional
            A file, of whose suffix matplotlib writes one. By default the picture appears below the cell in a notebook,
            and elsewhere goes to ``history.png``, which is said.

        Returns
        -------
        Path or None
            Of the file that was written.

        Raises
        ------
        ValueError
            No epoch has ended.
        """
        if path is None and notebook.running():
            notebook.show_image(png(self._draw), self.title)
            return None
        file = Path("history.png" if path is None else path)
        self._draw(file)
        if path is None:
            print(f"wrote {file}")
        return shown(file)

    def _draw(self, path: PathLike | io.BytesIO) -> None:
        from minighost.plots import run as plots

        if not self.epochs:
            raise ValueError("history: nothing to plot: no epoch has ended")
        records = [{"kind": kind, **record} for kind in ("step", "epoch") for record in getattr(self, f"{kind}s")]
        plots.curves(records, path, self.title)

    def _rows(self):
        """Cells, header and alignment of the table; the best epoch has an asterisk."""
        tested, best = self._judge == "test_accuracy", self.best
        columns = ["train loss", "train acc", *(["test loss", "test acc"] if tested else [])]
        rows = []
        for record in self.epochs:
            cells = []
            for column in columns:
                split, _, kind = column.partition(" ")
                value = record.get(f"{split}_{'accuracy' if kind == 'acc' else kind}")
                cells.append("-" if value is None else f"{100 * value:.2f} %" if kind == "acc" else f"{value:.4f}")
            seconds = record["seconds"] + record.get("test_seconds", 0)
            mark = "*" if record is best else ""
            rows.append((f"{record['epoch']}", *cells, f"{record['lr']:.2g}", duration(seconds), mark))
        return rows, ("epoch", *columns, "rate", "time", ""), ">" * (len(columns) + 3) + "<"

    def _last_line(self) -> str:
        if self.stopped:
            return f"stopped after {len(self)} of {counted(self._planned, 'epoch')}: {self.stopped}"
        return "* the highest test accuracy" if self._judge == "test_accuracy" else "* the highest training accuracy"

    def __repr__(self) -> str:
        lines = text.table(*self._rows()) if self.epochs else ["no epoch has ended"]
        return "\n".join([self.title, "", *lines, "", self._last_line()] if self.epochs or self.stopped else lines)

    def _repr_html_(self) -> str:
        import html

        head = f"<p><b>{html.escape(self.title)}</b></p>"
        if not self.epochs:
            return f"{head}<p>no epoch has ended{html.escape(': ' + self.stopped if self.stopped else '')}</p>"
        rows = notebook.table(*self._rows())
        return f"{head}{notebook.image(png(self._draw), 'curves')}{rows}<p>{html.escape(self._last_line())}</p>"
