"""Operations step by step, forward and backward, as one page for a browser or as text.

    story = mg.stepper.build("conv", channels=2)
    mg.stepper.write("step-conv.html", story)

Every step is one addition, one product, one number that lands; it shows the line of the reference twin that does it.
The numbers are computed step by step and compared with what the operation returns before anything is written.
"""

from minighost.stepper.frames import Story
from minighost.stepper.operations import NAMES, build
from minighost.stepper.page import page, write
from minighost.stepper.text import lines

__all__ = ["NAMES", "Story", "build", "lines", "page", "write"]
