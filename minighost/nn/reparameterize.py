"""Re-parameterisation: parallel branches become the one convolution that computes the same in evaluation.

Ding et al. 2021, "RepVGG: Making VGG-style ConvNets great again", §3.3. All branches are linear, so kernels and biases
may be added instead of results:

    batch norm    scale = gamma / sqrt(var + eps),  w -> w * scale,  b -> b * scale + beta - mean * scale
    1x1 kernel    is a larger one that is 0 except at its centre
    identity      is a 1x1 kernel of which output channel o reads input channel o alone

`merge_branches` does this to the modules of a network and gives a smaller network; `fold` does the same sum to
whatever it finds beside one another (`fold_graph`).
"""

import copy
from typing import Any

import numpy as np

from minighost.nn.blocks import ConvBNAct
from minighost.nn.branches import ConvAct, ConvBranches
from minighost.nn.containers import ModuleList
from minighost.nn.layers import BatchNorm2d, Conv2d
from minighost.nn.module import Module
from minighost.type_aliases import Array

__all__ = ["at_centre", "identity_kernel", "merge_branches"]


def merge_branches(model: Module) -> Module:
    """Replace every `ConvBranches` by the `ConvAct` that computes the same in evaluation.

    Parameters
    ----------
    model : Module
        It is not modified. Its running statistics become part of the weights, so train it before.

    Returns
    -------
    Module
        A copy, of the same mode and dtype; the sums are taken in float64. Its state fits the network that is built
        with ``form="fused"``. A model without branches is only copied.

    Raises
    ------
    ValueError
        A branch is something else than a convolution with batch norm, or batch norm alone; or it does not have the
        geometry of the others. The message names it.

    Examples
    --------
    >>> from minighost import nn
    >>> unit = nn.ConvBranches(3, 4, 3, rng=0)
    >>> sum(p.size for p in unit.parameters()), sum(p.size for p in nn.merge_branches(unit).parameters())
    (136, 112)
    """
    if not isinstance(model, Module):
        raise TypeError(f"merge_branches: model must be a Module, got {type(model).__name__}")
    model, merged = copy.deepcopy(model), {}
    for path, unit in model.named_modules():
        if isinstance(unit, ConvBranches):
            merged[id(unit)] = _merged(unit, path or type(unit).__name__)
    for owner in list(model.modules()):
        for name, child in list(owner.named_children()):
            if id(child) in merged and isinstance(owner, ModuleList) and name.isdecimal():
                owner[int(name)] = merged[id(child)]
            elif id(child) in merged:
                setattr(owner, name, merged[id(child)])
    return merged.get(id(model), model)


def at_centre(w: Array, KH: int, KW: int) -> Array:
    """A kernel (kh, kw, C/G, OC) at the centre of one of KH x KW taps that is 0 elsewhere."""
    top, left = (KH - w.shape[0]) // 2, (KW - w.shape[1]) // 2
    return np.pad(w, ((top, top), (left, left), (0, 0), (0, 0)))


def identity_kernel(channels: int, groups: int) -> Array:
    """The 1x1 kernel (1, 1, C/G, C) that changes nothing: channel o is number o mod C/G of its group.

    Examples
    --------
    >>> identity_kernel(4, 2)[0, 0]
    array([[1., 0., 1., 0.],
           [0., 1., 0., 1.]])
    """
    w, o = np.zeros((1, 1, channels // groups, channels)), np.arange(channels)
    w[0, 0, o % (channels // groups), o] = 1
    return w


def _merged(unit: ConvBranches, path: str) -> ConvAct:
    """The `ConvAct` of one unit; squeeze-and-excitation and activation move over as they are."""
    if type(unit).forward is not ConvBranches.forward or "forward" in vars(unit):
        raise ValueError(f"merge_branches: {path} has a forward of its own, which may be no sum of branches")
    names = {id(module): name for name, module in unit.named_modules(path)}
    first = _convolution(unit.kernels[0], f"{path}.kernels.0")
    KH, KW, channels, out_channels = first.weight.shape
    w, b = np.zeros((KH, KW, channels, out_channels)), np.zeros(out_channels)
    branch: Any
    for branch in unit.branches():
        name = names[id(branch)]
        conv = None if type(branch) is BatchNorm2d else _convolution(branch, name)
        if conv is not None and _geometry(conv) != _geometry(first):
            raise ValueError(
                f"merge_branches: {name} has stride, dilation, groups and centre {_geometry(conv)}, "
                f"{path}.kernels.0 has {_geometry(first)}; they must be equal"
            )
        kernel = identity_kernel(out_channels, first.groups) if conv is None else _double(conv.weight)
        bias: Any = 0.0 if conv is None or conv.bias is None else _double(conv.bias)
        bn: Any = branch if conv is None else branch.bn
        scale = _double(bn.weight) / np.sqrt(_double(bn.running_var) + bn.eps)
        w += at_centre(kernel * scale, KH, KW)
        b += (bias - _double(bn.running_mean)) * scale + _double(bn.bias)
    out = ConvAct(channels * first.groups, out_channels, (KH, KW), first.stride, first.groups, act=None)
    out.conv.padding, out.conv.dilation = first.padding, first.dilation
    parameters: Any = (out.conv.weight, w), (out.conv.bias, b)
    for parameter, value in parameters:
        parameter.replace(value.astype(first.weight.data.dtype))
    out.se, out.act = unit.se, unit.act
    return out.train(unit.training)


def _convolution(branch: Module, name: str) -> Conv2d:
    """Of a branch that is linear in evaluation."""
    if type(branch) is not ConvBNAct or branch.act or branch.pool or branch.bn.relu or type(branch.conv) is not Conv2d:
        found = type(branch).__name__
        raise ValueError(f"merge_branches: {name} must be a convolution with batch norm and nothing else, got {found}")
    return branch.conv


def _geometry(conv: Conv2d) -> tuple:
    """What parallel convolutions share: stride, dilation, groups, and which pixel a kernel's centre sees."""
    padding: Any = conv.padding
    if any(not isinstance(P, int) for P in padding):
        raise ValueError(f"merge_branches: padding={padding} must be the same on opposite sides")
    axes = zip(conv.weight.shape[:2], padding, conv.dilation, strict=True)
    return conv.stride, conv.dilation, conv.groups, tuple(D * (K - 1) // 2 - P for K, P, D in axes)


def _double(value: Any) -> Array:
    return value.data.astype(np.float64)
