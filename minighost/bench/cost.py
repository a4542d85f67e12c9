"""What a step of a network costs at the very least: operations and bytes, layer by layer.

Operations are twice the multiply-adds of `analysis.count` - convolutions and linear layers only; batch norm,
activations, pooling and sums are not counted. A backward pass is two products of the size of the forward one (one gives
dx, one dw).

Bytes are those of an engine that works layer by layer, keeps nothing in cache between two layers, and does everything
but convolutions and linear layers in passing:

    forward      read x and the parameters, write y
    backward     read dy, x and the parameters, write dx and the parameters' gradients
    optimizer    read parameter, gradient and momentum, write parameter and momentum

It is a yardstick: an engine that fuses two layers can stay below it, and one that gives batch norm its own passes
moves several times as much.
"""

import math
from dataclasses import dataclass

from minighost import analysis
from minighost.nn import Conv2d, Hook, Linear, hooked

__all__ = ["Piece", "inference_cost", "training_cost"]


@dataclass(frozen=True)
class Piece:
    """A part of the work that must be done on its own.

    Attributes
    ----------
    name : str
    flops, bytes : int
        Floating-point operations (a multiply-add is two) and bytes to and from memory.
    """

    name: str
    flops: int
    bytes: int


def inference_cost(model, input_shape, batch, itemsize=4):
    """Pieces of one forward pass, one per convolution or linear layer.

    Parameters
    ----------
    model : Module
    input_shape : tuple of int
        (H, W, C) of one image.
    batch : int
    itemsize : int
        Bytes of a number.

    Returns
    -------
    list of Piece

    Examples
    --------
    >>> from minighost.nn import Conv2d, Sequential
    >>> inference_cost(Sequential(Conv2d(3, 8, 1, bias=False)), (4, 4, 3), batch=2)
    [Piece(name='0', flops=1536, bytes=1504)]
    """
    return [
        Piece(path, 2 * macs * batch, itemsize * (batch * (taken + given) + weights))
        for path, macs, taken, given, weights in _layers(model, input_shape)
    ]


def training_cost(model, input_shape, batch, itemsize=4):
    """Pieces of one training step with SGD and momentum: forward, backward, optimizer; parameters as above."""
    backward = [
        Piece(f"{path} backward", 4 * macs * batch, itemsize * (batch * (2 * taken + given) + 2 * weights))
        for path, macs, taken, given, weights in _layers(model, input_shape)
    ]
    update = Piece("optimizer", 0, 5 * itemsize * analysis.total_parameters(model))
    return [*inference_cost(model, input_shape, batch, itemsize), *reversed(backward), update]


def _layers(model, input_shape):
    """(path, multiply-adds, numbers in, numbers out, parameters) of each layer that counts, the first three an image's.

    Batch norm's vectors count as parameters of the layer before it.
    """
    inputs = _Inputs(model)
    with hooked(inputs.places, inputs):
        rows = analysis.count(model, input_shape)
    taken, layers = inputs.taken, []
    for row in rows:
        if row.path in taken:
            layers.append([row.path, row.macs, taken[row.path], math.prod(row.output_shape), row.params])
        elif layers:
            layers[-1][-1] += row.params
    return layers


class _Inputs(Hook):
    """Notes how many numbers per image each convolution and linear layer takes in; a module states only its output."""

    def __init__(self, model):
        self.taken: dict = {}
        self.places: dict = {}
        for path, module in model.named_modules(remove_duplicate=False):
            if isinstance(module, (Conv2d, Linear)):
                self.places.setdefault(module, []).append(path)

    def before_forward(self, module, x):
        self.taken.update(dict.fromkeys(self.places[module], math.prod(x.shape[1:])))
