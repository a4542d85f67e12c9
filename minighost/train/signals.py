"""Ctrl-C that loses nothing: the first one asks, the second one insists."""

import signal
import threading
from contextlib import contextmanager

__all__ = ["Interrupted", "StopRequest", "listening"]


class Interrupted(SystemExit):
    """A run that was asked to stop, and has saved. Its exit status (`code`) is 130 after Ctrl-C, 143 after SIGTERM."""


class StopRequest:
    """Whether, and by which signal, the run has been asked to stop."""

    def __init__(self):
        self.signal = None

    def __bool__(self):
        return self.signal is not None

    @property
    def status(self):
        """Exit status that shells expect: 128 + the signal's number."""
        return 128 + self.signal


@contextmanager
def listening():
    """Within the block the first SIGINT or SIGTERM only sets the `StopRequest`; the second acts at once.

    Outside the main thread, where Python handles no signals, the request never comes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    previous = {}

    def ask(number, frame):
        request.signal = number
        for each, handler in previous.items():
            signal.signal(each, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        previous[number] = signal.signal(number, ask)
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
