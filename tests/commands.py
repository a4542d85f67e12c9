"""Running the command line in the tests' own process."""

from minighost.cli.main import main


def refused(capsys, *argv):
    """Run a command line that must end as every expected error does; returns its one line."""
    capsys.readouterr()
    status = main([str(arg) for arg in argv])
    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith("minighost: error: ") and error.count("\n") == 1 and error.endswith("\n")
    return error


def printed(capsys, *argv):
    """Run a command line that must succeed; returns what it printed."""
    capsys.readouterr()
    assert main([str(arg) for arg in argv]) == 0
    return capsys.readouterr().out
