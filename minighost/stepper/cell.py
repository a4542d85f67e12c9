"""The stepper from Python: its page below the cell of a notebook, a file from a script."""

import html

from minighost import notebook
from minighost.stepper.operations import build
from minighost.stepper.webpage import page, write

__all__ = ["step"]

TALL = 760  # pixels of the frame


def step(op, *, x=None, w=None, seed=0, out=None, **options):
    """Step through an operation, forward and backward, number by number.

    Parameters
    ----------
    op : str
        One of `minighost.stepper.NAMES`, as "conv", "depthwise", "batchnorm", "ghost".
    x, w : ndarray or path, optional
        Input, (H, W) or (H, W, C), and weights, (KH, KW) or (KH, KW, C/G, OC); by default drawn. Files are .npy, or
        .csv and .txt for one channel.
    seed : int
        Of all arrays that are drawn.
    out : path, optional
        Write the page to this file, in a notebook, too. By default it appears below the cell in a notebook, and
        elsewhere goes to ``step-OP.html``, which is said.
    **options
        Those of `minighost step OP --help`: height, width, channels, out_channels, kernel, stride, padding, dilation,
        groups, block, hidden.

    Raises
    ------
    ValueError
        No such operation or option; an option or array that is too large for a page, or contradicts another.

    Examples
    --------
    ::

        mg.step("depthwise", height=5, stride=2)
        mg.step("conv", x=np.eye(4), w=np.array([[0, 1], [2, 3]]))
    """
    story = build(op, x=x, w=w, seed=seed, **options)
    if out is None and notebook.running():
        source = html.escape(page(story), quote=True)
        frame = (
            f'<iframe srcdoc="{source}" style="width:100%;height:{TALL}px;border:0" sandbox="allow-scripts"></iframe>'
        )
        notebook.show_html(frame, f"{story.title}, step by step: a page for a browser")
        return
    path = f"step-{op}.html" if out is None else out
    write(path, story)
    print(f"wrote {path}: {len(story.scripts[story.chosen].frames):,} steps; open it in a browser")
