"""The documents as programs: their blocks of code in order, their links, their headings.

A block of Python whose first line is a comment that names a file is that file: ``# mine.py``. What follows ``# PATH,
before TEXT`` is inserted before the first line of that file that begins so. Any other block of Python is run, and a
block of ``sh`` line by line.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

__all__ = [
    "DOCS",
    "ROOT",
    "Block",
    "anchors",
    "blocks",
    "documents",
    "draw_photos",
    "links",
    "play",
    "programs",
    "sections",
]

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FILE = re.compile(r"# ([\w/.-]+\.\w+)(?:, before (.+))?\n")


class Block(NamedTuple):
    """A fenced block of code."""

    language: str
    text: str


def documents():
    """Paths of all pages that people read; not of those that the site's build writes."""
    found = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    return sorted(path for path in found if "generated" not in path.relative_to(ROOT).parts)


def blocks(text):
    """All fenced blocks of a page or a section."""
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)]


def sections(text):
    """From each heading of the second level to what is under it."""
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def prose(text):
    """A page without its blocks of code and its code in the line, in which a bracket is no link."""
    return re.sub(r"^( *)```.*?^\1```$|`[^`\n]+`", "`code`", text, flags=re.DOTALL | re.MULTILINE)


def links(text):
    """Targets of all links and pictures that lead to no other machine."""
    return re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", prose(text))


def anchors(text):
    """The anchors of a page: its headings as GitHub and the site spell them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)|`", r"\1", title) for title in titles)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


def programs(folder, home=ROOT, **environ):
    """The environment in which `python` and `minighost` are those of a checkout, installed or not."""
    tools = folder / ".tools"
    tools.mkdir(exist_ok=True)
    for name, command in (("python", ""), ("minighost", " -m minighost")):
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{command} "$@"\n')
        (tools / name).chmod(0o755)
    path = os.pathsep.join([str(tools), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(home), "COLUMNS": "80", **environ}


def play(text, folder, environ):
    """Do what a page says, in a folder; returns what was printed.

    Raises
    ------
    AssertionError
        A command failed; with its output.
    """
    printed = []
    for language, code in blocks(text):
        file = FILE.match(code) if language in ("python", "toml") else None
        if file:
            write(folder / file[1], code if file[2] is None else code[file.end() :], file[2])
        elif language == "python":
            printed.append(shell(f"{sys.executable} -", folder, environ, code))
        elif language == "sh":
            commands = re.sub(r"\\\n", "", code).splitlines()
            printed += [shell(line, folder, environ) for line in commands if line.partition("#")[0].strip()]
    return "".join(printed)


def write(path, text, before):
    """Write a file, or insert a text into it before the first line that begins so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if before is not None:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        places = [n for n, line in enumerate(lines) if line.lstrip().startswith(before)]
        assert places, f"{path.name} has no line that begins with {before!r}"
        lines.insert(places[0], text)
        text = "".join(lines)
    path.write_text(text, encoding="utf-8")


def shell(command, folder, environ, given=""):
    """Run a command; returns its output, and fails with it if the command does."""
    done = subprocess.run(command, shell=True, cwd=folder, env=environ, input=given, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def draw_photos(folder):
    """Sixty pictures of three classes, told apart by their colour."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(("birds", "cats", "dogs")):
        (folder / name).mkdir(parents=True)
        for picture in range(20):
            pixels = rng.integers(0, 160, (40, 48, 3))
            pixels[..., number] += 90
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{picture}.png")
