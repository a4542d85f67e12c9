"""Reading the stepper's pages: what their data says, and what a browser shows of it."""

import json
import re

import numpy as np

__all__ = ["CONTRAST", "data_of", "number", "phase", "plane", "shown", "until", "where", "whole"]


def data_of(html):
    """The data inside a page."""
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', html, re.DOTALL)[1])


def plane(panels, border=(0, 0)):
    """(1, H, W, C) of the panels (C, H, W) of an array with a border."""
    PH, PW = border
    _, H, W = panels.shape
    return panels[:, PH : H - PH, PW : W - PW].transpose(1, 2, 0)[None].copy()


# In a browser --------------------------------------------------------------------------------------------------


def number(text):
    """A cell's text as a number."""
    return np.nan if text == "\u00b7" else float(text.replace("\u2212", "-"))


def shown(page, name):
    """The panels (P, rows, columns) of the array of that name that is in view, as a reader sees them."""
    figure = page.locator("figure.array:visible").filter(has=page.locator(f"figcaption b:text-is('{name}')"))
    rows = "[...t.tBodies[0].rows].map(row => [...row.querySelectorAll('td')].map(cell => cell.textContent))"
    tables = figure.locator("table").evaluate_all(f"tables => tables.map(t => {rows})")
    return np.array([[[number(cell) for cell in row] for row in table] for table in tables])


def where(page):
    """The number of the step that is shown."""
    return int(re.match(r"Step ([\d,]+) of", page.locator("#where").inner_text())[1].replace(",", ""))


def whole(page):
    """All that is seen of the present step."""
    return page.evaluate(
        "[...document.querySelectorAll('.array:not([hidden]) td, #where, #words, #equations, #file, li[aria-current]')]"
        ".map(e => e.className + '|' + e.textContent).join('\\n')"
    )


def until(page, condition):
    """The page's own policy forbids Playwright's way of waiting, which evaluates a string inside the page."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"waited ten seconds for {condition}")


def phase(page, name):
    """Jump to a phase, by its button."""
    page.get_by_role("button", name=name, exact=True).click()


# Text that has less contrast with its ground than 4.5 (WCAG 2.2, 1.4.3).
CONTRAST = """
() => {
  const parse = text => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = v => v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length && (c.length < 4 || c[3] > 0)) return c;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.matches('script, option, :disabled')) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) low.push(`${e.tagName}.${e.className} ${e.textContent.slice(0, 20)} ${ratio.toFixed(2)}`);
  }
  return low;
}
"""
