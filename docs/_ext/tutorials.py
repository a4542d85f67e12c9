"""A tutorial as a notebook: a script in the percent format, with what a notebook knows of its language."""

import re

import jupytext

__all__ = ["escaped", "read"]

CODE = re.compile(r"(`[^`]*`|^    .*$)", re.MULTILINE)
PRODUCT = re.compile(r"(?<=[\w)\]])\*(?=[\w(])")  # N*H*W, which Markdown would take for emphasis


def escaped(markdown):
    """Markdown in which a product is no emphasis, and "less than" no element."""
    parts = CODE.split(markdown)  # text and code, in turn
    parts[::2] = [PRODUCT.sub(r"\*", text).replace("<", "&lt;") for text in parts[::2]]
    return "".join(parts)


def read(text):
    """The notebook of a script.

    Parameters
    ----------
    text : str

    Returns
    -------
    nbformat.NotebookNode
    """
    notebook = jupytext.reads(text, fmt="py:percent")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = escaped(cell.source)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    return notebook
