"""Every picture that minighost draws, one subject per file: `run`, `sheets`, `gradient`, `trace`.

`figure` makes the figure and writes the file, `style` has the colours, and `inline` puts a figure below the cell of a
notebook. Nothing here knows who asks for a picture, and matplotlib, which takes a second to import, is imported when
the first one is drawn.
"""

from typing import TYPE_CHECKING

from minighost.lazy import lazy_names

if TYPE_CHECKING:  # the name below once more, for type checkers, which run nothing
    from minighost.plots.inline import show as show
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__, {"show": "inline"})
