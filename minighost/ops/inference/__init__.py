"""Inference: a network as a list of steps, which a kernel carries out on a few images at a time.

Without batch statistics images have nothing to do with one another. So instead of one step on all images after the
other, a thread takes a few images through many steps, and what lies between two steps never leaves its cache. Read
`machine` for the steps and `program` for how they are listed; `nn.fold` makes the list from a model.
"""

from minighost.ops.inference.program import CLIP, HARD_SIGMOID, HARD_SWISH, NONE, RELU, RELU6, Part, Program, Value

__all__ = ["CLIP", "HARD_SIGMOID", "HARD_SWISH", "NONE", "Part", "Program", "RELU", "RELU6", "Value"]
