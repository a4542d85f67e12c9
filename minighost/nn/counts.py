"""What each layer costs: output shape, parameters, multiply-adds.

Counted are trainable scalars (weights, biases, BN gamma and beta, not the running statistics), and the multiply-adds of
convolutions and fully connected layers including those of squeeze-and-excite, not those of biases, BN, activations,
pooling and sums. It is the convention of the papers' tables, so that GhostNet 1.0x at 224 x 224 counts 5.2 M and 141 M.
"""

from dataclasses import dataclass

import numpy as np

from minighost.nn.containers import ModuleList
from minighost.nn.module import Module

__all__ = ["Row", "blocks", "count", "total_parameters"]


@dataclass(frozen=True)
class Row:
    """One layer, or one block of layers.

    Attributes
    ----------
    path : str
        Its name in the model, as in ``stages.2.ghost1.cheap``.
    kind : str
        Its class.
    output_shape : tuple of int
        Without the batch axis: (H, W, C) or (C,).
    params, macs : int
        MACs for one image.
    """

    path: str
    kind: str
    output_shape: tuple[int, ...]
    params: int
    macs: int


def count(model: Module, input_shape: tuple[int, ...]) -> list[Row]:
    """Cost of each layer.

    The shapes come from the model itself, run in evaluation mode on a batch of no images: nothing is computed, so it is
    quick for any size.

    Parameters
    ----------
    model : Module
        Its mode is put back; its parameters and statistics are not touched.
    input_shape : tuple of int
        (H, W, C) of one image.

    Returns
    -------
    list of Row
        One per leaf module, in the model's order. A layer that is in two places has a row for each; parameters,
        also tied ones, are counted where they are met first.

    Raises
    ------
    ValueError
        The model does not take that input; the message names the layer.
    """
    _forward_nothing(model, input_shape)
    params = _own_parameters(model)
    return [
        Row(path, type(module).__name__, module.output_shape or (), params.get(path, 0), module.macs)
        for path, module in model.named_modules(remove_duplicate=False)
        if path in params or not (list(module.children()) or isinstance(module, ModuleList))
    ]


def blocks(model: Module, rows: list[Row]) -> list[Row]:
    """Rows of `count` summed block by block, with the block's own output shape.

    A `Sequential` or `ModuleList` is opened, and whatever says that it is no block; the first thing inside that is one
    has a row.
    """
    found = []
    modules = dict(model.named_modules(remove_duplicate=False))
    for path, module in modules.items():
        above = [modules[outer] for outer in _outer(path) if outer in modules]
        if path and module.is_block and not any(outer.is_block for outer in above):
            inside = [row for row in rows if row.path == path or row.path.startswith(path + ".")]
            total = sum(row.params for row in inside), sum(row.macs for row in inside)
            found.append(Row(path, type(module).__name__, module.output_shape or (), *total))
    return found


def total_parameters(model: Module) -> int:
    """Number of trainable scalars."""
    return sum(parameter.size for parameter in model.parameters())


def _forward_nothing(model, input_shape):
    parameter = next(model.parameters(), None)
    dtype = np.float32 if parameter is None else parameter.data.dtype
    training = model.training
    model.eval()
    try:
        model(np.empty((0, *input_shape), dtype))
    finally:
        model.train(training)


def _own_parameters(model):
    """Parameters of each module without those of the modules in it, by path."""
    found: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        owner = name.rpartition(".")[0]
        found[owner] = found.get(owner, 0) + parameter.size
    return found


def _outer(path):
    """``a.b.c`` -> ``a``, ``a.b``."""
    names = path.split(".")
    return [".".join(names[:k]) for k in range(1, len(names))]
