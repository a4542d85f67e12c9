"""Every file that a page links to, and every "[source]" of the reference, is a page with line numbers."""

import html
import inspect
import posixpath
from importlib import import_module
from pathlib import Path

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).resolve().parents[2]
SCHEME = "source:"  # of an address that is to become one of the site
LARGEST = 400_000  # bytes of a file that is shown


class LinksToSources(SphinxTransform):
    """What would be offered for download is shown instead."""

    default_priority = 400

    def apply(self):
        """Replace references to text files of the repository; MyST takes a .py for a page, as the tutorials are."""
        folder = posixpath.dirname(self.env.docname)
        for node in list(
            self.document.findall(lambda node: isinstance(node, addnodes.pending_xref | addnodes.download_reference))
        ):
            target = node["reftarget"]
            if isinstance(node, addnodes.download_reference):
                path = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"{folder}/{target}")
            else:
                path = f"{target}.py" if node.get("refdomain") == "doc" and target not in self.env.found_docs else ""
            if shown(path):
                node.replace_self(nodes.reference("", "", *node.children, internal=True, refuri=SCHEME + path))


def shown(path):
    """Whether a path names a text file that becomes a page."""
    file = ROOT / path
    return file.is_file() and file.suffix not in (".png", ".jpg", ".md") and file.stat().st_size < LARGEST


def linkcode_resolve(domain, info):
    """Address of the lines that define an object."""
    try:
        found = import_module(info["module"])
        for name in info["fullname"].split("."):
            found = getattr(found, name)
        found = inspect.unwrap(found.fget if isinstance(found, property) else found)
        path = Path(inspect.getsourcefile(found)).resolve().relative_to(ROOT)
        return f"{SCHEME}{path.as_posix()}#L-{inspect.getsourcelines(found)[1]}"
    except (AttributeError, TypeError, OSError, ValueError):
        return None


def resolve(app, doctree, docname):
    """Turn every address of a source into one relative to this page."""
    for node in doctree.findall(nodes.reference):
        if node.get("refuri", "").startswith(SCHEME):
            path, _, anchor = node["refuri"].removeprefix(SCHEME).partition("#")
            app.env.source_pages.setdefault(path, set()).add(docname)
            node["refuri"] = app.builder.get_relative_uri(docname, f"source/{path}") + (anchor and f"#{anchor}")


def pages(app):
    """A page for each file that is linked to."""
    formatter = HtmlFormatter(linenos="inline", lineanchors="L", anchorlinenos=True, wrapcode=True)
    for path in sorted(app.env.source_pages):
        text = (ROOT / path).read_text(encoding="utf-8")
        try:
            body = highlight(text, get_lexer_for_filename(path), formatter)
        except ClassNotFound:
            body = f"<pre>{html.escape(text)}</pre>"
        yield f"source/{path}", {"title": path, "body": f"<h1>{html.escape(path)}</h1>{body}"}, "page.html"


def setup(app):
    """Called by Sphinx."""
    app.add_transform(LinksToSources)
    app.connect("builder-inited", lambda app: setattr(app.env, "source_pages", getattr(app.env, "source_pages", {})))
    app.connect("doctree-resolved", resolve)
    app.connect("html-collect-pages", pages)
    app.config.linkcode_resolve = linkcode_resolve
    return {"parallel_read_safe": True, "parallel_write_safe": False}
