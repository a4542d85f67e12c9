"""Which parameters are trained, at what rate, and which of them decay."""

import copy
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from minighost.nn.freezing import freeze, head_of, layers_of
from minighost.nn.layers import Conv2d
from minighost.nn.module import Module
from minighost.nn.parameter import Parameter
from minighost.nn.whitening import PatchWhitening

if TYPE_CHECKING:
    from minighost.train.restore import LoadedRun

__all__ = ["parameter_groups", "provenance", "trained", "whitening_stem"]


def parameter_groups(
    model: Module,
    weight_decay: float,
    body_lr: float = 1.0,
    *,
    head_lr: float = 1.0,
    decay_depthwise: bool = True,
    apart: Iterable[Parameter] = (),
) -> list[dict[str, Any]]:
    """Groups for an optimizer: matrices and kernels decay; biases and batch norm's vectors (ndim <= 1) do not.

    Decaying a scale or a shift restrains no function that the network computes, it only hurts (He et al. 2019, §3.1).

    Parameters
    ----------
    model : Module
        What is frozen in it (`nn.freeze`) is in no group.
    weight_decay : float
    body_lr : float
        Multiple of the learning rate at which all layers but the head learn: pretrained ones need smaller steps than
        one that begins at random (Howard & Ruder 2018, "Universal language model fine-tuning", §3.2, with two rates).
    head_lr : float
        Multiple of the learning rate at which the head learns.
    decay_depthwise : bool
        With False the kernels of depthwise convolutions do not decay either: they have few weights, and MobileNet
        trains with little or no decay on them (Howard et al. 2017, arXiv 1704.04861, §3.2).
    apart : iterable of Parameter
        A group of their own, the last, without decay.

    Returns
    -------
    list of dict
        Those that decay, and those that do not; if `body_lr` and `head_lr` are not both 1, first of the head, then of
        the body; and those `apart`. Empty groups are left out.
    """
    alone = {id(p) for p in apart}
    free = [p for p in model.parameters() if not p.frozen]
    last = {"params": [p for p in free if id(p) in alone], "weight_decay": 0.0}
    free = [p for p in free if id(p) not in alone]
    spared = set() if decay_depthwise else {id(kernel) for kernel in _depthwise_kernels(model)}
    if body_lr == head_lr == 1:
        groups = _by_rank(free, weight_decay, spared)
    else:
        head = {id(p) for layer in head_of(model).values() for p in vars(layer).values() if isinstance(p, Parameter)}
        own, body = ([p for p in free if (id(p) in head) is wanted] for wanted in (True, False))
        groups = [
            {**group, "lr_factor": factor}
            for parameters, factor in ((own, head_lr), (body, body_lr))
            for group in _by_rank(parameters, weight_decay, spared)
        ]
    return [group for group in (*groups, last) if group["params"]]


def whitening_stem(model: Module) -> dict[str, PatchWhitening]:
    """The layers whose filters are computed from the images, by path."""
    return {path: layer for path, layer in model.named_modules() if isinstance(layer, PatchWhitening)}


def _depthwise_kernels(model):
    """Of convolutions in which every filter sees one of several channels."""
    convolutions = (module for module in model.modules() if isinstance(module, Conv2d))
    return [conv.weight for conv in convolutions if conv.groups > 1 and conv.weight.shape[2] == 1]


def _by_rank(parameters, weight_decay, spared):
    decayed = [p for p in parameters if p.data.ndim > 1 and id(p) not in spared]
    others = [p for p in parameters if p.data.ndim <= 1 or id(p) in spared]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def provenance(loaded: "LoadedRun") -> list[str]:
    """Where a fine-tuned run comes from and what of it was trained, as lines; none of another run."""
    start, layer = loaded.config.train.start, loaded.config.train.freeze
    lines = [] if start is None else [f"started from {start}"]
    if layer is not None:
        model = copy.deepcopy(loaded.model)
        freeze(model, layer)
        lines.append(f"trained {trained(model)}")
    return lines


def trained(model: Module) -> str:
    """What of a model is trained, in words: ``"3 of 158 layers, 30,723 of 1,319,102 parameters"``; "" if all is."""
    layers, parameters = layers_of(model).values(), list(model.parameters())
    moving = [layer for layer in layers if not layer.frozen]
    free = sum(p.size for p in parameters if not p.frozen)
    if len(moving) == len(layers):
        return ""
    return f"{len(moving)} of {len(layers)} layers, {free:,} of {sum(p.size for p in parameters):,} parameters"
