"""Signals that end a program, and lose nothing: the first one asks, the second one insists."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Interrupted", "StopRequest", "listening"]

# A closed terminal sends the last one. Windows has no such signal.
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(SystemExit):
    """A program that was asked to stop. Its exit status (`code`) is 128 + the signal's number, as shells expect it.

    That is 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
    """


class StopRequest:
    """Whether, and by which signal, the program has been asked to stop."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.immediate = False

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def status(self) -> int:
        """Exit status that shells expect: 128 + the signal's number."""
        return 128 + (self.signal or 0)

    @property
    def name(self) -> str:
        """What asked, in words."""
        return "Ctrl-C" if self.signal == signal.SIGINT else signal.Signals(self.signal or 0).name

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within the block a request raises `Interrupted` wherever the program is; nothing here needs to be finished.

        Whatever else is raised after a request is treated as its consequence: no library is built to be left in the
        middle.
        """
        self._obey()
        before, self.immediate = self.immediate, True
        try:
            yield
        except BaseException as error:
            if self and not isinstance(error, Interrupted):
                raise Interrupted(self.status) from error
            raise
        finally:
            self.immediate = before
        self._obey()

    def _obey(self):
        if self:
            raise Interrupted(self.status)


@contextmanager
def listening() -> Iterator[StopRequest]:
    """Within the block the first SIGINT, SIGTERM or SIGHUP sets the `StopRequest`; a second one acts as it did before.

    A signal that is ignored (nohup, a job in the background) stays so. Outside the main thread, where Python handles no
    signals, the request never comes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    previous = {n: handler for n in SIGNALS if (handler := signal.getsignal(n)) not in (signal.SIG_IGN, None)}

    def ask(number, frame):
        if request and not request.immediate:
            signal.signal(number, previous[number])
            signal.raise_signal(number)
            return
        request.signal = number
        if request.immediate:
            raise Interrupted(request.status)

    hook = sys.unraisablehook

    def swallowed(unraisable):
        """In a finaliser or a callback of the compiler an exception goes unheard: ask again, a moment later."""
        if not isinstance(unraisable.exc_value, Interrupted):
            return hook(unraisable)
        again = threading.Timer(0.05, remind)
        again.daemon = True
        again.start()

    def remind():
        if request.immediate and request.signal is not None:
            signal.raise_signal(request.signal)

    for number in previous:
        signal.signal(number, ask)
    sys.unraisablehook = swallowed
    try:
        yield request
    finally:
        sys.unraisablehook = hook
        for number, handler in previous.items():
            signal.signal(number, handler)
