"""Put a story into the page: one HTML file with its style, script and data, which loads nothing from a network."""

import base64
import hashlib
import html
import json
import re
from importlib.resources import files

from minighost.files import write_atomic
from minighost.stepper.frames import Source

__all__ = ["page", "write"]


def page(story):
    """The page as a string.

    Parameters
    ----------
    story : Story

    Returns
    -------
    str
        HTML in ASCII and UTF-8. Data stands in a ``<script type="application/json">`` with every ``<`` escaped, so
        that nothing in it can end the element; the page's own script only ever shows it as text.
    """
    texts: list[str] = []
    sources: list[Source] = []
    scripts = [script.as_json(texts, sources) for script in story.scripts]
    data = {
        "title": story.title,
        "lead": story.lead,
        "facts": story.facts,
        "chosen": story.chosen,
        "texts": texts,
        "sources": [{"name": s.name, "file": s.file, "first": s.first, "lines": s.lines} for s in sources],
        "scripts": scripts,
    }
    code = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    style, script = _read("page.css"), _read("page.js")
    parts = {
        "title": html.escape(f"{story.title}, step by step"),
        "style": style,
        "script": script,
        "script_hash": _hash(script),
        "style_hash": _hash(style),
        "data": re.sub("<", "\\\\u003c", code),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _read("page.html"))


def write(path, story):
    """Write the page to `path` and return its size in bytes."""
    text = page(story).encode("utf-8")
    write_atomic(path, text)
    return len(text)


def _read(name):
    return files("minighost.stepper").joinpath(name).read_text(encoding="utf-8")


def _hash(text):
    """For the page's content security policy: only this script and this style may act."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()
