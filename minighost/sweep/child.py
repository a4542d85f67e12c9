"""One trial in a process of its own: ``python -m minighost.sweep.child``, started by `minighost.sweep.trial`.

Standard input brings the configuration as one line of JSON. When it ends, whoever started this process wants it to
stop, or has died: the run then finishes its step and saves, as after SIGTERM.
"""

import json
import os
import signal
import sys
import threading
import time

from minighost.errors import RunLocked, one_line
from minighost.train import Config, run
from minighost.train.runfolder import RunFolder

__all__ = ["main"]

PATIENCE = 20.0  # seconds; the process of a worker that died may still be saving


def main():
    """Run or continue the trial; returns the exit status."""
    line = b""
    while not line.endswith(b"\n"):
        if not (more := os.read(0, 1 << 16)):
            return 0  # nobody wants it any more
        line += more
    threading.Thread(target=_wait_for_the_end, daemon=True).start()
    config = Config.from_dict(json.loads(line))
    try:
        _run(config)
    except Exception as error:
        if not isinstance(error, (ValueError, TypeError, OSError, ArithmeticError, RunLocked)):
            sys.excepthook(*sys.exc_info())
            print(f"error: {type(error).__name__}: {one_line(error)}", file=sys.stderr)
        else:
            print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    return 0


def _run(config):
    last = time.monotonic() + PATIENCE
    while True:
        try:
            return run(config, resume=RunFolder(config.out).has_run)
        except RunLocked:
            if time.monotonic() > last:
                raise
        time.sleep(0.5)


def _wait_for_the_end():
    os.read(0, 1)  # not by sys.stdin, whose lock the end of the interpreter would find taken
    signal.raise_signal(signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
