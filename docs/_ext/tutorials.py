"""A tutorial as a notebook: a script in the percent format, with what a notebook knows of its language."""

import jupytext

__all__ = ["read"]


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
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    return notebook
