"""The command line: one thin file per command, `main` in front of them, and beside them what they share."""
