"""What you see while a long job runs: a bar in a terminal, plain lines in a file, a crash in neither."""

import os
import sys
import textwrap
import time

from minighost import notebook

__all__ = ["Console", "console_for", "duration"]

LAYOUT = "{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]"
QUIET = 20.0  # seconds between plain lines where there is no terminal


def duration(seconds):
    """Seconds as people write them: ``duration(75)`` is "1:15", ``duration(3700)`` "1:01:40"."""
    seconds = max(0, round(seconds))
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Console:
    """A text stream that cannot fail: what it cannot encode it replaces, and when its reader goes away it falls silent.

    Parameters
    ----------
    stream : text file or None
        None is silence.
    """

    def __init__(self, stream):
        self._stream = stream
        self._begun, self._beside = "", 0  # the half of a line that was written, and the length of what came after it

    @property
    def encoding(self):
        return getattr(self._stream, "encoding", None) or "ascii"

    def isatty(self):
        """Whether a person watches. Also asked by tqdm."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:  # closed
            return False

    def fileno(self):
        """For tqdm, which asks for the width of the terminal."""
        return self._stream.fileno()

    def write(self, text):
        try:
            if self._stream is not None:
                self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
        except (OSError, ValueError):  # a broken pipe, or a closed file: the training is worth more than its output
            self._stream = None

    def flush(self):
        try:
            if self._stream is not None:
                self._stream.flush()
        except (OSError, ValueError):
            self._stream = None

    @property
    def width(self):
        """Columns of the terminal; None where nobody watches."""
        if not self.isatty():
            return None
        try:
            return os.get_terminal_size(self.fileno()).columns or 80  # pseudo-terminals may say 0
        except (OSError, ValueError, AttributeError):
            return 80

    def line(self, text="", hang=None):
        """Write one line, or the rest of one.

        With `hang`, what is wider than the terminal goes on in further lines, with as many columns free before them.
        """
        if hang is not None and self.width is not None:
            indent = " " * hang
            text = textwrap.fill(
                text, self.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
            )
        if self._beside:
            text = f"\r{self._begun}{text}".ljust(len(self._begun) + self._beside + 1)
        self._begun, self._beside = "", 0
        self.write(text + "\n")
        self.flush()

    def begin(self, text):
        """Write the first half of a line; `line` ends it."""
        self._begun = text
        self.write(text)
        self.flush()

    def status(self, text):
        """Show how it goes after what was begun, in place of what was shown before; only where somebody watches."""
        if self.width is None:
            return
        text = text[: max(0, self.width - len(self._begun) - 1)]
        self.write(f"\r{self._begun}{text.ljust(self._beside)}")
        self.flush()
        self._beside = max(self._beside, len(text))

    def bar(self, title, total, done=0):
        """A progress bar over `total` steps of which `done` are done."""
        return _Bar(self, title, total, done) if self.isatty() else _Lines(self, title, total, done)

    def transfer(self, total):
        """A bar over the `total` bytes of a download, as pooch takes one; None if nobody watches."""
        return _tqdm(self, total=total, unit="B", unit_scale=True) if self.isatty() else None


def console_for(stream=None):
    """Where a job reports: `stream`, and without one below the cell of a notebook, or on `sys.stderr`."""
    if stream is None and notebook.running():
        from minighost.terminal.inline import NotebookConsole

        return NotebookConsole()
    return Console(sys.stderr if stream is None else stream)


def _width(console):
    """The terminal's width is asked again and again, unless it does not know it: pseudo-terminals may say 0."""
    try:
        return {"dynamic_ncols": True} if os.get_terminal_size(console.fileno()).columns else {"ncols": 80}
    except (OSError, ValueError, AttributeError):
        return {"ncols": 80}


def _tqdm(console, **options):
    from tqdm import tqdm  # not tqdm.auto, which fails without ipywidgets

    plain = not console.encoding.lower().startswith("utf")
    return tqdm(file=console, ascii=plain, mininterval=0.2, **_width(console), **options)


class _Bar:
    def __init__(self, console, title, total, done):
        self._console = console
        self._bar = _tqdm(console, total=total, initial=done, desc=title, leave=False, bar_format=LAYOUT)

    def step(self, text):
        """One step done; `text` says how it goes."""
        self._bar.bar_format = f"{LAYOUT}  {text}"  # tqdm's own postfix begins with a comma
        self._bar.update()

    def at(self, done, text):
        """`done` steps are done; `text` says how it goes."""
        self._bar.bar_format = f"{LAYOUT}  {text}"
        self._bar.n = done
        self._bar.refresh()

    def line(self, text):
        """A line above the bar, which stays the last."""
        self._bar.clear()
        self._console.line(text)
        self._bar.refresh()

    def close(self):
        self._bar.close()


class _Lines:
    def __init__(self, console, title, total, done):
        self._console, self._title, self._total, self._done = console, title, total, done
        self._start = self._spoke = time.monotonic()
        self._first = done

    def step(self, text):
        self.at(self._done + 1, text)

    def at(self, done, text):
        now, news = time.monotonic(), done > self._done
        self._done = done
        if news and now - self._spoke >= QUIET and self._done < self._total:
            self._spoke = now
            left = (now - self._start) / (self._done - self._first) * (self._total - self._done)
            self._console.line(
                f"{self._title} {100 * self._done / self._total:3.0f}% "
                f"{self._done}/{self._total} [{duration(left)} left] {text}"
            )

    def line(self, text):
        self._console.line(text)

    def close(self):
        pass
