"""``python -m minighost`` and the command `minighost`."""

import signal
import sys

__all__ = ["program"]


def program():
    """Run the command line as a program and end it."""
    try:
        from minighost.cli.main import main

        status = main()
    except KeyboardInterrupt:  # before `main` listens
        status = 130
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to do: let it end without a word
    sys.exit(status)


if __name__ == "__main__":
    program()
