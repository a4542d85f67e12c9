"""Whether this program runs in a notebook, and what it shows there.

A notebook is a kernel of IPython's: Jupyter, JupyterLab, VS Code, Colab. IPython is never imported here unless it runs
already.
"""

import base64
import html
import sys

__all__ = ["image", "running", "show_html", "show_image", "table"]


def running():
    """Whether a notebook shows what this program displays."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None


def show_html(content, text, handle=None):
    """Show HTML below the cell, or `text` where no HTML is shown.

    Parameters
    ----------
    content, text : str
    handle : DisplayHandle, optional
        Of an earlier call: what that one shows is replaced.

    Returns
    -------
    DisplayHandle
    """
    from IPython.display import display

    bundle = {"text/html": content, "text/plain": text}
    if handle is None:
        return display(bundle, raw=True, display_id=True)
    handle.update(bundle, raw=True)
    return handle


def show_image(png, text):
    """Show the bytes of a PNG below the cell."""
    from IPython.display import display

    display({"image/png": base64.b64encode(png).decode(), "text/plain": text}, raw=True)


def image(png, text):
    """A PNG as an element of an HTML form, `text` its description."""
    code = base64.b64encode(png).decode()
    return f'<img src="data:image/png;base64,{code}" alt="{html.escape(text)}" style="max-width:100%">'


def table(rows, header, align):
    """Rows of strings as an HTML table; the arguments are those of `terminal.text.table`."""
    sides = {"<": "left", ">": "right"}

    def row(cells, tag):
        inside = "".join(
            f'<{tag} style="text-align:{sides[side]}">{html.escape(cell)}</{tag}>'
            for cell, side in zip(cells, align, strict=True)
        )
        return f"<tr>{inside}</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f"<table><thead>{row(header, 'th')}</thead><tbody>{body}</tbody></table>"
