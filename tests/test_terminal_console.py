"""A long job in a terminal and in a file: a bar, or lines, and never a crash."""

import io
import os

from training import Terminal

from minighost.terminal.console import Console, duration


def test_a_reader_that_goes_away_ends_the_output_and_nothing_else():
    class Pipe(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    closed = io.StringIO()
    closed.close()
    for stream in (Pipe(), closed, None):
        console = Console(stream)
        for _ in range(2):
            console.line("loss 1.0")
            bar = console.bar("epoch", 3)
            bar.step("")
            bar.close()
        assert not console.isatty()


def test_letters_that_the_stream_cannot_show_are_replaced():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")  # closes `raw` when it goes
    Console(stream).line("█ 50 %")
    assert raw.getvalue() == b"? 50 %\n"


def test_a_terminal_gets_a_bar_and_a_file_gets_lines(monkeypatch):
    terminal = Terminal()
    bar = Console(terminal).bar("epoch 1/2", 4)
    bar.step("loss 2.1")
    bar.close()
    assert "epoch 1/2" in terminal.getvalue() and "\r" in terminal.getvalue()
    monkeypatch.setattr("minighost.terminal.console.QUIET", 0)
    file = io.StringIO()
    bar = Console(file).bar("epoch 1/2", 4, done=1)
    for _ in range(3):
        bar.step("loss 2.1")
    bar.close()
    lines = file.getvalue().splitlines()
    assert [line.split(" [")[0] for line in lines] == ["epoch 1/2  50% 2/4", "epoch 1/2  75% 3/4"]
    assert lines[0].endswith("left] loss 2.1") and "\r" not in file.getvalue()


def test_durations_read_like_a_clock():
    assert [duration(s) for s in (-1, 0.4, 59.6, 75, 3600, 3725)] == [
        "0:00",
        "0:00",
        "1:00",
        "1:15",
        "1:00:00",
        "1:02:05",
    ]


def test_a_line_that_moves_is_replaced_in_a_terminal_and_absent_in_a_file():
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        console = Console(stream)
        console.begin("compiling ... ")
        for text in ("kernel 1: conv", "kernel 2"):
            console.status(text)
        console.line("3.0 s")
        console.line("done")
    assert file.getvalue() == "compiling ... 3.0 s\ndone\n"
    written = terminal.getvalue().split("\r")
    assert written[:3] == ["compiling ... ", "compiling ... kernel 1: conv", "compiling ... kernel 2      "]
    assert written[3].startswith("compiling ... 3.0 s   ") and written[3].endswith(" \ndone\n")
    assert len(written[3].split("\n")[0]) == len(written[1])


def test_what_is_wider_than_the_terminal_is_folded_there_and_only_there(monkeypatch):
    monkeypatch.setattr(Terminal, "fileno", lambda self: 1, raising=False)
    monkeypatch.setattr("os.get_terminal_size", lambda descriptor: os.terminal_size((40, 24)))
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        Console(stream).line(f"plan     {'five words of some length ' * 2}in-one-piece-that-is-longer-than-the-line", 9)
    lines = terminal.getvalue().splitlines()
    assert lines[0] == "plan     five words of some length five" and lines[1].startswith(
        "         words of some length"
    )
    assert lines[2] == "         in-one-piece-that-is-longer-than-the-line" and file.getvalue().count("\n") == 1
    Console(terminal).status("x" * 100)
    assert len(terminal.getvalue().split("\r")[-1]) < 40
