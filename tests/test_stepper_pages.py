"""The stepper's pages, files and command, without a browser."""

import re
from pathlib import Path

import numpy as np
import pytest
from commands import printed, refused
from numpy.testing import assert_array_equal
from stepper_pages import data_of

import minighost
from minighost import stepper
from minighost.stepper import choices
from minighost.stepper.text import lines, parse_range
from minighost.stepper.words import format_number

ROOT = Path(minighost.__file__).parent.parent


@pytest.fixture(scope="module")
def stories():
    return {name: stepper.build(name) for name in stepper.NAMES}


@pytest.fixture(scope="module")
def pages(stories):
    return {name: stepper.page(story) for name, story in stories.items()}


# The page ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", stepper.NAMES)
def test_a_page_is_one_file_of_less_than_a_megabyte(pages, name):
    html = pages[name]
    assert len(html.encode()) < 1_000_000
    assert "{{" not in html.split('<script id="data"')[0]
    outside = re.sub(r'<script id="data".*?</script>', "", html, flags=re.DOTALL)
    assert not re.search(r"https?:|//\w+\.\w|@import|url\(|<(img|iframe|object|embed)|\bsrc=", outside)
    assert re.findall(r"<link [^>]*>", outside) == ['<link rel="icon" href="data:,">']
    assert "default-src 'none'" in outside


def test_nothing_in_the_data_can_end_its_element(tmp_path):
    path = tmp_path / "<img src=x onerror=alert(1)><!--.npy"
    np.save(path, np.ones((3, 3)))
    html = stepper.page(stepper.build("crelu", x=path))
    inside = re.search(r'<script id="data" type="application/json">(.*)', html, re.DOTALL)[1]
    assert "<" not in inside[: inside.index("</script>")] and "<img" not in html
    assert path.name in data_of(html)["facts"][1]


def test_the_script_of_the_page_never_writes_html():
    script = (ROOT / "minighost/stepper/page.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", script)


def test_a_frame_says_only_what_changes(pages):
    frames = data_of(pages["conv"])["scripts"][0]["frames"]
    assert sum("p" in f for f in frames) == 3
    assert sum("s" in f for f in frames) < len(frames) and sum("b" in f for f in frames) < len(frames) / 2
    assert all(f["d"] for f in frames if "d" in f)


# A learner's own arrays ----------------------------------------------------------------------------------------


def test_own_arrays_from_files(tmp_path):
    x = np.arange(12.0).reshape(3, 4)
    np.save(tmp_path / "x.npy", x.astype(np.int32))
    np.savetxt(tmp_path / "x.csv", x, delimiter=",")
    np.savetxt(tmp_path / "x.txt", x)
    np.savetxt(tmp_path / "w.csv", [[1, 2, 3]], delimiter=",")
    for name in ("x.npy", "x.csv", "x.txt"):
        story = stepper.build("conv", x=tmp_path / name, w=tmp_path / "w.csv", padding=0)
        arrays = {a.name: a for a in story.scripts[0].arrays}
        assert_array_equal(arrays["x"].values[..., 0], x)
        assert_array_equal(arrays["w"].values[:, :, 0, 0], [[1, 2, 3]])
        assert arrays["out"].values.shape == (3, 2, 1)
        assert story.facts == [
            "x 3x4x1, kernel 1x3, stride 1, padding 0: out 3x2x1",
            f"x from {name}; w from w.csv; dout drawn with seed 0",
        ]


def test_own_kernels_in_groups_offer_the_groups_that_they_have(tmp_path):
    np.save(tmp_path / "w.npy", np.ones((2, 2, 2, 4)))
    story = stepper.build("grouped", w=tmp_path / "w.npy", channels=4, groups=2)
    assert [s.facts["groups"] for s in story.scripts] == [2, 4] and story.chosen == 0


def test_own_images_for_batch_norm(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(3, 2, 2, 1)))
    story = stepper.build("batchnorm", x=tmp_path / "x.npy")
    assert story.facts[0] == "x 3x2x2x1: R = 12 values per channel"


def test_the_same_seed_draws_the_same_and_another_does_not():
    first, same, other = (stepper.page(stepper.build("crelu", seed=seed)) for seed in (1, 1, 2))
    assert first == same != other


@pytest.mark.parametrize(
    "argv, message",
    [
        (["bn"], "invalid choice: 'bn'"),
        (["se", "--kernel", "3"], "--kernel does not apply; se takes --height, --width, --channels, --hidden"),
        (["conv", "--height", "9"], "step conv: --height 9 must be from 1 to 8"),
        (["conv", "--seed", "-1"], "--seed -1 must be from 0 to"),
        (["conv", "--groups", "3"], "groups=3 must divide channels=4 (4 % 3 = 1); groups can be 1, 2, 4"),
        (["conv", "--groups", "4", "--out-channels", "6"], "groups=4 must divide out_channels=6 (6 % 4 = 2)"),
        (["conv", "--height", "8", "--width", "8", "--channels", "8"], "the limit is 12,000"),
        (["conv", "--height", "1", "--padding", "0"], "the kernel reaches over 3x3 pixels"),
        (["transposed", "--kernel", "1", "--height", "1", "--stride", "1"], "leaves an output of -1x1; reduce it"),
        (["batchnorm", "--height", "1", "--width", "1", "--x", "{one}"], "--height is already set by --x"),
        (["batchnorm", "--x", "{one}"], "a single value per channel has variance 0"),
        (["ghost", "--out-channels", "3"], "--out-channels 3 must be even"),
        (["ghost", "--kernel", "2"], "its sides must be odd"),
        (["crelu", "--w", "{one}"], "--w does not apply"),
        (["conv", "--x", "{nan}"], "the number at (0, 1) is nan; replace it"),
        (["conv", "--x", "{words}"], "holds <U3, but a step needs real numbers"),
        (["conv", "--x", "{big}"], "height 20: a page can show 1 to 8; cut a piece out"),
        (["conv", "--x", "{five}"], "x must have shape (H, W), (H, W, C) or (1, H, W, C), got (1, 1, 1, 1, 1)"),
        (["im2col", "--w", "{none}"], "none.npy: has shape (3, 3, 4, 0), so it holds no numbers"),
        (["transposed", "--w", "{none}"], "has shape (3, 3, 4, 0), so it holds no numbers"),
        (["ghost", "--channels", "4", "--w", "{none}"], "has shape (3, 3, 4, 0), so it holds no numbers"),
        (["batchnorm", "--x", "{none}"], "has shape (3, 3, 4, 0), so it holds no numbers"),
        (["conv", "--x", "{wide}"], "wide.npy: the number at (0, 0) is"),
        (["conv", "--x", "{junk}"], "not an array of numbers"),
        (["conv", "--x", "x.png"], "arrays are read from .npy, .csv and .txt, not from .png"),
        (["conv", "--x", "no-such.npy"], "no-such.npy: No such file or directory"),
        (["conv", "--w", "{five}"], "w must have shape (KH, KW, C/G, OC) = (KH, KW, 4, OC) for x with 4 channels"),
        (["conv", "--out", "no/such/folder.html"], "--out no/such/folder.html: no folder no/such; create it first"),
        (["conv", "--step", "3"], "--step needs --text"),
        (["conv", "--text", "--open"], "--text writes no page"),
        (["crelu", "--text", "--step", "51"], "must be at most 50, the number of steps"),
        (["crelu", "--text", "--step", "5..3"], "must run from a smaller to a larger number"),
        (["crelu", "--text", "--step", "a..b"], "must be a number N or a range N..M"),
    ],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_wrong_command_line_is_one_line(capsys, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    arrays = {
        "one": np.ones((1, 1)),
        "nan": np.array([[1, np.nan]]),
        "words": np.array([["abc"]]),
        "big": np.ones((20, 3)),
        "five": np.ones((1, 1, 1, 1, 1)),
        "none": np.ones((3, 3, 4, 0)),
        "wide": np.full((2, 2), np.finfo(np.longdouble).max),
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "junk.npy").write_bytes(b"\x80junk")
    assert message in refused(capsys, "step", *(re.sub(r"\{(\w+)\}", r"\1.npy", a) for a in argv))
    assert not list(tmp_path.glob("*.html"))


# The command ---------------------------------------------------------------------------------------------------


def test_the_command_knows_the_operations_and_options(capsys):
    for name, page in stepper.PAGES.items():
        assert set(page.options) <= set(choices.OPTIONS), f"{name} has an option without limits and words"
    shown = printed(capsys, "step", "--help")
    assert all(word in shown for word in (*stepper.NAMES, *map(choices.flag, choices.OPTIONS)))


def test_a_page_is_one_entry_and_one_file(capsys, tmp_path, monkeypatch):
    page = stepper.PAGES["crelu"]._replace(title="Two phases", options={"height": 2, "width": 2, "channels": 1})
    monkeypatch.setitem(stepper.PAGES, "phases", page)
    story = stepper.build("phases")
    assert story.title == "Two phases" and story.facts[0] == "x 2x2x1: out 2x2x2"
    assert stepper.write(tmp_path / "page.html", story) > 0
    with pytest.raises(ValueError, match="step phases: --kernel does not apply; phases takes --height, --width"):
        stepper.build("phases", kernel=3)
    with pytest.raises(ValueError, match=r"step: unknown operation 'phase' \(did you mean 'phases'\?\); available"):
        stepper.build("phase")


def test_the_command_writes_the_page(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = printed(capsys, "step", "crelu")
    size = (tmp_path / "step-crelu.html").stat().st_size
    assert said == f"wrote step-crelu.html: 50 steps, {size / 1000:,.0f} kB; open it in a browser\n"
    printed(capsys, "step", "crelu", "--out", "mine.html", "--channels", "1")
    assert (tmp_path / "mine.html").exists()


def test_the_command_opens_the_page_when_asked(capsys, tmp_path, monkeypatch):
    opened = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or False)
    assert "open step-crelu.html yourself" in printed(capsys, "step", "crelu", "--open")
    assert opened == [(tmp_path / "step-crelu.html").resolve().as_uri()]


@pytest.mark.parametrize("name", stepper.NAMES)
def test_every_story_is_told_in_text(stories, name):
    script = stories[name].scripts[stories[name].chosen]
    told = "\n".join(lines(stories[name]))
    assert all(f"\n{k:>6}  " in told for k in range(1, len(script.frames) + 1))


def test_text_tells_the_steps(capsys):
    text = printed(capsys, "step", "crelu", "--text", "--step", "2..3")
    assert "\x1b" not in text and text.isascii()
    numbers = re.findall(r"^ +(\d+)  ", text, re.MULTILINE)
    assert numbers == ["2", "3"]
    assert text.count("minighost/ops/crelu.py:") == 2 and "= max(" in text


def test_text_ends_a_phase_with_its_array(stories):
    found = list(lines(stories["crelu"], 25, 25))
    script = stories["crelu"].scripts[0]
    out = next(a for a in script.arrays if a.name == "out")
    assert found[-1].split() == [format_number(v) for v in out.values[-1, :, -1]]


def test_text_counts_what_the_last_step_of_a_phase_wrote(stories):
    script = stories["se"].scripts[0]
    s = next(a for a in script.arrays if a.name == "s")
    assert list(lines(stories["se"], 4, 4))[-1].split() == [format_number(v) for v in s.values[0]]


def test_text_is_bold_only_where_asked(stories):
    assert list(lines(stories["se"], 1, 1, bold=True))[0] == "\x1b[1mSqueeze-and-excitation\x1b[0m"
    assert list(lines(stories["se"], 1, 1))[0] == "Squeeze-and-excitation"


@pytest.mark.parametrize("text, pair", [("7", (7, 7)), ("3..9", (3, 9)), ("..9", (1, 9)), ("3..", (3, 20))])
def test_ranges(text, pair):
    assert parse_range(text, 20) == pair
