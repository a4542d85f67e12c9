"""Inference: a network as a list of steps, which a kernel carries out on a few images at a time.

Without batch statistics images have nothing to do with one another. So instead of one step on all images after the
other, a thread takes a few images through many steps, and what lies between two steps stays in its core's cache. Read
`step` for what there is to do, `machine` for how it is done and `program` for how it is listed; `nn.fold` makes the
list from a model.
"""

from minighost.engine.inference.machine import run
from minighost.engine.inference.program import Part, Program, Value
from minighost.engine.inference.step import INPUT, row_pitch
from minighost.engine.inference.winograd import transformed

__all__ = [
    "INPUT",
    "Part",
    "Program",
    "Value",
    "row_pitch",
    "run",
    "transformed",
]
