"""The command line: one thin file a command, `main` in front of them, what they share beside them."""
