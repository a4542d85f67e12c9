"""How a long job goes, in a notebook: one output below the cell, which is replaced, so that no bar spills lines."""

import html
import time

from minighost import notebook
from minighost.terminal.console import LAYOUT, Console

__all__ = ["NotebookConsole"]

OFTEN = 0.2  # seconds between two states of a bar
STYLE = "font-family:monospace;line-height:1.25;white-space:pre;overflow-x:auto;margin:0"


class NotebookConsole(Console):
    """The lines so far, and under them the bar of what is going on."""

    encoding = "utf-8"

    def __init__(self):
        super().__init__(None)
        self._text, self._handle, self._shown = "", None, 0.0

    def write(self, text):
        self._text += text
        self.show()

    def bar(self, title, total, done=0):
        return _InlineBar(self, title, total, done)

    def show(self, bar="", now=True):
        """Show the lines with a bar under them; not `now`, only if the last time was some time ago."""
        if now or time.monotonic() - self._shown >= OFTEN:
            self._shown, text = time.monotonic(), self._text + bar
            self._handle = notebook.show_html(f'<pre style="{STYLE}">{html.escape(text)}</pre>', text, self._handle)


class _InlineBar:
    def __init__(self, console, title, total, done):
        self._console, self._title, self._total, self._done, self._first = console, title, total, done, done
        self._start = time.monotonic()

    def step(self, text):
        from tqdm import tqdm

        self._done += 1
        elapsed = time.monotonic() - self._start
        state = dict(initial=self._first, prefix=self._title, ncols=60, bar_format=LAYOUT)
        meter = tqdm.format_meter(self._done, self._total, elapsed, **state)
        self._console.show(f"{meter}  {text}", now=False)

    def close(self):
        self._console.show()
