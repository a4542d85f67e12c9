"""The stepper's pages in a real browser, headless: what is seen and heard, and that nothing goes over a network.

    make browser        or        pip install -e ".[test,browser]" && python -m pytest -m browser

A browser must be there: Chromium or Chrome from the system's packages, or Playwright's own.
"""

import os
import re
import shutil

import numpy as np
import pytest
from stepper_pages import CONTRAST, number, phase, plane, shown, until, where, whole

from minighost import ops, stepper

pytestmark = pytest.mark.browser

GET_ONE = (
    "the browser tests need Playwright (pip install -e '.[test,browser]') and a browser: apt install chromium, or "
    "python -m playwright install chromium; another one by MINIGHOST_BROWSER=/path/to/chrome"
)
NAMES = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge"


@pytest.fixture(scope="session")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        pytest.fail(f"there is no Playwright: {GET_ONE}")
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        system = [os.environ.get("MINIGHOST_BROWSER"), *map(shutil.which, NAMES)]
        paths = [path for path in system if path] + ([own] if os.path.exists(own) else [])
        if not paths:
            pytest.fail(f"there is no browser: {GET_ONE}")
        sandbox = [] if getattr(os, "geteuid", lambda: 1)() else ["--no-sandbox"]  # root has none
        browser = playwright.chromium.launch(executable_path=paths[0], args=sandbox)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for name in stepper.NAMES:
        stepper.write(folder / f"{name}.html", stepper.build(name))
    return folder


@pytest.fixture
def show(browser, files):
    """Opens a page by an operation's name or a path; at the end there must have been no request and no complaint."""
    contexts, asked, complaints = [], [], []

    def show(name, width=1280, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        path = files / f"{name}.html" if isinstance(name, str) else name
        page.goto(path.as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith("file:") and url != "data:,"] == []
    assert len([url for url in asked if url.startswith("file:")]) == len(contexts)
    assert complaints == []


def near(got, want):
    np.testing.assert_allclose(got, want, atol=5.1e-4)


# Numbers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, padding", [("conv", 1), ("pointwise", 0), ("dilated", 1)])
def test_the_numbers_shown_at_the_end_are_the_operations(show, name, padding):
    page = show(name)
    x, w = plane(shown(page, "x"), (padding, padding)), shown(page, "w")
    KH, KW = w.shape[1:]
    w = w.reshape(x.shape[3], -1, KH, KW).transpose(2, 3, 0, 1).copy()  # (C, OC, KH, KW) -> (KH, KW, C, OC)
    phase(page, "backward: dx")
    dout = plane(shown(page, "dout"))
    out, cache = ops.conv2d_forward(x, w, None, 1, padding, 2 if name == "dilated" else 1)
    dx, dw, _ = ops.conv2d_backward(dout, cache)
    page.keyboard.press("ArrowLeft")
    near(plane(shown(page, "out")), out)
    phase(page, "backward: dw")
    page.keyboard.press("ArrowLeft")
    near(plane(shown(page, "dx")), dx)
    page.keyboard.press("End")
    near(shown(page, "dw"), dw.transpose(2, 3, 0, 1).reshape(-1, KH, KW))


def test_batch_norm_shows_what_the_operation_returns(show):
    page = show("batchnorm")

    def batch(name):
        return shown(page, name).reshape(2, 2, 2, 3).transpose(1, 2, 3, 0).copy()

    x = batch("x")
    phase(page, "forward: out")
    gamma, beta = shown(page, "gamma").ravel(), shown(page, "beta").ravel()
    out, cache = ops.batch_norm_forward(x, gamma, beta, np.zeros(2), np.ones(2), True)
    phase(page, "backward: two sums")
    dx, dgamma, dbeta = ops.batch_norm_backward(batch("dout"), cache)
    page.keyboard.press("ArrowLeft")
    near(batch("out"), out)
    page.keyboard.press("End")
    near(batch("dx"), dx)
    near(shown(page, "dgamma").ravel(), dgamma)
    near(shown(page, "dbeta").ravel(), dbeta)


def test_a_contribution_is_seen_as_it_lands(show):
    page = show("depthwise")
    phase(page, "backward: dx")
    before = shown(page, "dx")
    page.keyboard.press("ArrowRight")
    equation = page.locator("#equations p").inner_text().replace("\u2212", "-").replace("\u00d7", "*")
    c, rest = re.fullmatch(r"dx\[\d,\s\d,\s(\d)\] = (.*)", equation.replace("\u00a0", " ")).groups()
    old, more, new = re.fullmatch(r"(\S+) \+ (.*) = (\S+)", rest).groups()
    a, b = more.split(" * ")
    assert float(old) + float(a) * float(b) == float(new)
    landed = page.locator("figure.array:visible td.new")
    assert landed.count() == 1 and number(landed.inner_text()) == float(new)
    after = shown(page, "dx")
    assert (after - before).sum() == float(a) * float(b) and after[int(c)].sum() == float(new) - float(old)


def test_the_window_stays_tinted_while_its_taps_go_by(show):
    page = show("conv")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        tinted = page.locator("figure.array").first.locator("td.scope, td.x")
        assert tinted.count() == 3 * 3 * 4
        assert page.locator("figure.array").first.locator("td.x").count() == 4


# Going about ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", stepper.NAMES)
def test_every_step_back_undoes_the_step(show, name):
    page = show(name)
    page.keyboard.press("End")
    count = where(page)
    target = count // 2
    page.evaluate(f"go({target - 6})")
    seen = []
    for _ in range(6):
        seen.append(whole(page))
        page.keyboard.press("ArrowRight")
    for state in reversed(seen):
        page.keyboard.press("ArrowLeft")
        assert whole(page) == state


def test_a_jump_ends_where_single_steps_end(show):
    page = show("se")
    for _ in range(70):
        page.keyboard.press("ArrowRight")
    walked = whole(page)
    page.keyboard.press("End")
    page.locator("#position").fill("71")
    assert whole(page) == walked and where(page) == 71
    page.keyboard.press("Home")
    page.evaluate("go(70)")
    assert whole(page) == walked


def test_buttons_slider_and_keys(show):
    page = show("crelu")
    first, back, forward, last = (page.locator(f"#{name}") for name in ("first", "back", "forward", "last"))
    assert where(page) == 1 and first.is_disabled() and back.is_disabled()
    forward.click()
    assert where(page) == 2
    last.click()
    assert where(page) == 50 and forward.is_disabled() and last.is_disabled()
    back.click()
    assert where(page) == 49
    page.locator("#position").press("ArrowLeft")
    assert where(page) == 48
    first.click()
    page.keyboard.press("PageDown")
    assert page.locator("#where").inner_text().endswith("backward: dx")
    page.keyboard.press("PageUp")
    assert where(page) == 1
    page.keyboard.press("Shift+ArrowRight")
    assert where(page) == 4, "the end of the first row"
    page.locator("#stops").select_option("cells")
    page.locator("h1").click()
    page.keyboard.press("ArrowRight")
    assert where(page) == 8


def test_it_plays_and_pauses_and_stops_at_the_end(show):
    page = show("crelu")
    page.locator("#speed").select_option("20")
    page.locator("h1").click()
    page.keyboard.press("Space")
    assert page.locator("#play").inner_text() == "Pause"
    assert page.locator("#words").get_attribute("aria-live") == "off"
    until(page, "position > 3")
    page.keyboard.press("Space")
    stopped = where(page)
    page.wait_for_timeout(200)
    assert where(page) == stopped and page.locator("#words").get_attribute("aria-live") == "polite"
    page.locator("#play").click()
    until(page, "position === 49 && timer === null")
    assert page.locator("#play").inner_text() == "Play"


def test_the_groups_slider_goes_from_dense_to_depthwise(show):
    page = show("conv")
    phase(page, "backward: dx")
    counted = []
    for expected in ("G = 1, dense", "G = 2, grouped", "G = 4, depthwise"):
        assert page.locator("#groups-name").inner_text() == expected
        assert page.locator("#where").inner_text().endswith("backward: dx")
        page.locator("#last").click()
        x, dout = plane(shown(page, "x"), (1, 1)), plane(shown(page, "dout"))
        phase(page, "backward: dx")
        G = int(expected[4])
        kernels = iter(shown(page, "w"))
        w = np.empty((3, 3, 4 // G, 4))
        for c, o in np.ndindex(4, 4):
            if c // (4 // G) == o // (4 // G):
                w[:, :, c % (4 // G), o] = next(kernels)
        assert next(kernels, None) is None, "nothing but the blocks on the diagonal"
        out, cache = ops.conv2d_forward(x, w, None, 1, 1, 1, G)
        page.keyboard.press("ArrowLeft")
        near(plane(shown(page, "out")), out)
        phase(page, "backward: dw")
        page.keyboard.press("ArrowLeft")
        near(plane(shown(page, "dx")), ops.conv2d_backward(dout, cache)[0])
        counted.append((page.locator("#parameters").inner_text(), page.locator("#macs").inner_text()))
        phase(page, "backward: dx")
        page.locator("#groups").press("ArrowRight")
    assert counted == [("144", "2,304"), ("72", "1,152"), ("36", "576")]
    assert page.locator("#share").inner_text() == "1/4"
    page.locator("#groups").press("Space")
    assert page.locator("#play").inner_text() == "Pause", "the slider leaves the space key to the player"


def test_the_source_line_is_marked(show):
    page = show("conv")
    page.keyboard.press("ArrowRight")
    marked = page.locator("#source li[aria-current]")
    assert "out[:, i, j, outs] +=" in marked.inner_text() and marked.count() == 1
    assert page.locator("#file").inner_text() == f"minighost/ops/conv2d.py, line {marked.locator('span').inner_text()}"


# Seen by everyone ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", stepper.NAMES)
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_scrolls_sideways(show, name, width):
    page = show(name, width=width, height=844)
    for k in range(page.locator("#phases button").count()):
        page.locator("#phases button").nth(k).click()
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_phone_the_written_cell_stays_between_caption_and_player(show):
    page = show("conv", width=390, height=844)
    for step in (300, 700, 1200):
        page.evaluate(f"go({step})")
        cell = page.locator("td.new").first.bounding_box()
        assert page.locator("#caption").bounding_box()["y"] >= 0
        top = page.locator("#caption").bounding_box()
        assert top["y"] + top["height"] <= cell["y"]
        assert cell["y"] + cell["height"] <= page.locator("#player").bounding_box()["y"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast(show, scheme):
    for name, steps in (("conv", (1, 600, 1200)), ("batchnorm", (10, 60, 130))):
        page = show(name, color_scheme=scheme)
        for step in steps:
            page.evaluate(f"go({step})")
            assert page.evaluate(CONTRAST) == []


def test_dark_follows_the_system_and_the_button_turns_it(show):
    def ground(page):
        colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)))

    page = show("crelu", color_scheme="dark")
    assert ground(page) < 150
    page.get_by_role("button", name="Switch to light colours").click()
    assert ground(page) > 600
    page.get_by_role("button", name="Switch to dark colours").click()
    assert ground(page) < 150
    assert ground(show("crelu", color_scheme="light")) > 600


def test_controls_have_names_and_are_reached_in_order(show):
    page = show("conv")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, select')].filter(e => !(e.getAttribute('aria-label')"
        " || e.labels?.length || e.textContent.trim())).map(e => e.id)"
    )
    assert unnamed == []
    page.evaluate("go(50)")
    order = []
    for _ in range(14):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    player = ["first", "back", "play", "forward", "last", "out", "dx", "dw", "position", "stops", "speed"]
    assert order == ["groups", "theme", "source", *player]


def test_a_step_is_told_in_words(show):
    page = show("conv")
    words = page.locator("#words")
    assert words.get_attribute("aria-live") == "polite"
    first = words.inner_text()
    page.keyboard.press("ArrowRight")
    second = words.inner_text().replace("\u00a0", " ")
    assert second == "Tap (1, 1) is on pixel (0, 0): 4 more products go into out[0, 0, 0]." != first
    assert page.locator("#position").get_attribute("aria-valuetext") == page.locator("#where").inner_text()


def test_nothing_moves_where_less_motion_is_wanted(show):
    def moving(page):
        """How much moves right after a step: in one call, for on a busy machine it may end between two."""
        key = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}))"
        return page.evaluate(f"() => {{ {key}; return document.getAnimations().length }}")

    assert moving(show("crelu", reduced_motion="reduce")) == 0
    assert moving(show("crelu", reduced_motion="no-preference")) > 0


def test_a_files_name_stays_text(show, tmp_path):
    path = tmp_path / "<img src=x onerror=alert(1)><b>.npy"
    np.save(path, np.ones((2, 2)))
    stepper.write(tmp_path / "page.html", stepper.build("crelu", x=path))
    page = show(tmp_path / "page.html")
    assert path.name in page.locator("#facts").inner_text()
    assert page.locator("img, #facts *").count() == 0
