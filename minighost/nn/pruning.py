"""Filters that hardly matter are taken out (Li et al. 2017, "Pruning filters for efficient ConvNets", §3.1 and §3.3).

A filter whose weights are small makes a small map, so its sum of absolute weights says how much it matters. In a
residual block the first convolution's filters can go without anybody else noticing: with a filter go its batch norm's
entries and what the second convolution makes of its map. (The second one's filters cannot: their maps are added to the
shortcut's.) What is left is an ordinary network with fewer channels; it is trained on, to win back what it lost.
"""

from collections.abc import Iterator

import numpy as np

from minighost.nn.blocks import ConvBNAct
from minighost.nn.module import Module
from minighost.nn.residual import ResidualBlock
from minighost.type_aliases import IntArray, State

__all__ = ["prune", "strongest_filters"]


def strongest_filters(block: ResidualBlock, n: int) -> IntArray:
    """The `n` filters of a block's first convolution with the largest sum of absolute weights, in ascending order."""
    weight = block.first.conv.weight.data  # type: ignore[attr-defined]
    sums = np.abs(weight, dtype=np.float64).sum(axis=(0, 1, 2))
    return np.sort(np.argsort(-sums, kind="stable")[:n])


def prune(model: Module, smaller: Module) -> Module:
    """Give a network the weights of one with more filters, without those filters that matter least.

    Parameters
    ----------
    model : Module
        With `ResidualBlock` in it, made of `ConvBNAct`.
    smaller : Module
        The same network but for fewer filters in the first convolutions of its blocks:
        ``models.create("resnet_cifar", inner=0.5)``.

    Returns
    -------
    Module
        `smaller`, which computes what `model` would if its other filters gave zeros.

    Raises
    ------
    ValueError
        The networks differ in something else, or `model` has no such block.

    Examples
    --------
    >>> from minighost import models, nn
    >>> trained, half = (models.create("resnet_cifar", inner=inner, rng=0) for inner in (1.0, 0.5))
    >>> sum(p.size for p in nn.prune(trained, half).parameters())
    135754
    """
    state = model.state_dict()
    blocks = dict(_blocks(model))
    if not blocks:
        raise ValueError(
            f"prune: {type(model).__name__} has no residual block of plain convolutions to take filters of"
        )
    for path, small in _blocks(smaller):
        if path in blocks:
            _cut(state, path, blocks[path], small)
    try:
        smaller.load_state_dict(state)
    except ValueError as error:
        where = str(error).splitlines()[-1].strip()  # of the places that do not fit the last
        raise ValueError(f"prune: the smaller network must be the same but for a smaller inner=; {where}") from error
    return smaller


def _blocks(model: Module) -> Iterator[tuple[str, ResidualBlock]]:
    for path, module in model.named_modules():
        if isinstance(module, ResidualBlock) and isinstance(module.first, ConvBNAct):
            yield path, module


def _cut(state: State, path: str, block: ResidualBlock, small: ResidualBlock) -> None:
    """Leave of a block's arrays in `state` what belongs to its strongest filters."""
    keep = strongest_filters(block, small.first.conv.weight.shape[3])  # type: ignore[attr-defined]
    for name, array in list(state.items()):
        if name.startswith(f"{path}.first."):
            state[name] = array[..., keep]
    second = f"{path}.second.conv.weight"
    state[second] = state[second][:, :, keep]
