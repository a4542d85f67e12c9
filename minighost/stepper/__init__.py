"""Operations step by step, forward and backward, as one page for a browser or as text.

    story = mg.stepper.build("conv", channels=2)
    mg.stepper.write("step-conv.html", story)

Every step is one addition, one product, one number that lands; it shows the line of the reference twin that does it.
The numbers are computed step by step and compared with what the operation returns before anything is written.

Names are looked up on first use: to know which operations there are takes no time.
"""

from minighost.lazy import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "NAMES": "pages",
        "PAGES": "pages",
        "Story": "frames",
        "build": "operations",
        "lines": "text",
        "page": "webpage",
        "step": "cell",
        "write": "webpage",
    },
)
