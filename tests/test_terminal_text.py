"""Pictures, bars and tables made of letters."""

import io
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minighost.terminal.text import bar, colours, fine_bar, picture, table

laws = settings(deadline=None)
images = st.builds(
    lambda H, W, seed: np.random.default_rng(seed).integers(0, 256, (H, W, 3), np.uint8),
    st.integers(2, 9),
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize(
    "environ, number",
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, 2**24),
        ({"TERM": "xterm-256color"}, 256),
        ({"WT_SESSION": "1"}, 2**24),
        ({"TERM": "vt100"}, 0),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, 0),
        ({}, 0),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, 0),
    ],
)
def test_a_terminal_gets_the_colours_it_shows(environ, number):
    assert colours(Terminal(), environ) == number


def test_a_pipe_gets_no_colours():
    assert colours(io.StringIO(), {"TERM": "xterm", "COLORTERM": "truecolor"}) == 0


def test_an_encoding_without_blocks_gets_no_colours():
    stream = Terminal()
    stream.encoding = "ascii"
    assert colours(stream, {"TERM": "xterm", "COLORTERM": "truecolor"}) == 0


@laws
@given(images, st.sampled_from([0, 256, 2**24]))
def test_two_pixels_high_and_one_wide_make_a_letter(image, number):
    lines = picture(image, number)
    H, W, _ = image.shape
    assert [len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines] == [W] * (H // 2)


@laws
@given(images)
def test_without_colours_a_picture_is_printable_ascii(image):
    assert re.fullmatch(r"[ -~]*", "".join(picture(image)))


def test_the_upper_pixel_colours_the_block_and_the_lower_the_ground():
    image = np.array([[[1, 2, 3]], [[255, 0, 128]]], np.uint8)
    assert picture(image, 2**24) == ["\x1b[38;2;1;2;3m\x1b[48;2;255;0;128m▀\x1b[0m"]
    assert picture(image, 256) == ["\x1b[38;5;16m\x1b[48;5;199m▀\x1b[0m"]  # 16 + 36 * 5 + 6 * 0 + 3


def test_plain_pictures_go_from_dark_to_light_over_the_images_own_range():
    ramp = np.repeat(np.array([[50, 60, 80]], np.uint8)[..., None], 3, axis=2)
    assert picture(np.concatenate([ramp, ramp])) == [" -@"]


def test_a_picture_of_one_colour_is_no_division_by_zero():
    assert picture(np.full((4, 3, 3), 7, np.uint8)) == ["   ", "   "]


@laws
@given(st.floats(-1, 2), st.integers(1, 40))
def test_a_bar_has_its_width_and_grows_with_its_share(share, width):
    assert len(bar(share, width)) == width
    assert bar(share, width).count("#") == round(min(max(share, 0), 1) * width)
    assert bar(0, width, 256) == "░" * width and bar(1, width, 256) == "█" * width


@laws
@given(st.floats(0, 1), st.integers(1, 40))
def test_a_fine_bar_counts_eighths_where_the_encoding_has_them(share, width):
    whole, rest = divmod(round(share * width * 8), 8)
    text = fine_bar(share, width, "UTF-8")
    assert text.count("█") == whole and len(text) == whole + (rest > 0)
    assert fine_bar(share, width, "ascii") == "#" * round(share * width)


def test_a_table_aligns_its_columns():
    assert table([("stem", "1"), ("a", "1,234")], ("layer", "MACs"), "<>") == [
        "layer   MACs",
        "------------",
        "stem       1",
        "a      1,234",
    ]
