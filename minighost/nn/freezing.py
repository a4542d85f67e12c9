"""Layers that training leaves as they are: the first ones of a network, up to one that is named.

What a pretrained network has learnt of edges and textures serves other images, too (Yosinski et al. 2014, "How
transferable are features in deep neural networks?"). A frozen layer's parameters get no gradient, and it stays in
evaluation mode whatever `Module.train` says: batch norm keeps its running statistics and normalises with them, dropout
does nothing.
"""

from collections.abc import Iterator

from minighost.nn.containers import Chain
from minighost.nn.module import Module
from minighost.nn.parameter import Buffer, Parameter
from minighost.registry import nearest

__all__ = ["freeze", "frozen_units", "head_of", "layers_of", "unfreeze"]

BODY = "body"


def freeze(model: Module, layer: str) -> list[str]:
    """Keep a network's layers up to and including one as they are.

    Parameters
    ----------
    model : Module
        Its layers count in the order in which its attributes were set, which is that of a `Chain`'s computation.
    layer : str
        The path of a layer or block, such as "stem" or "stages.3.0"; or "body" for all but the head (`head_of`).
        A parameter that a later layer shares is frozen there, too.

    Returns
    -------
    list of str
        Paths of the layers with parameters that are frozen now.

    Raises
    ------
    ValueError
        There is no such layer, or none with parameters is left to train.

    Examples
    --------
    >>> from minighost import nn
    >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GlobalAvgPool(), nn.Linear(4, 2))
    >>> freeze(model, "body")
    ['0', '1']
    >>> model.train()[1].training, model[3].training
    (False, True)
    """
    last = _last_of(model, layer)
    layers, first = layers_of(model), _paths_up_to(model, last)
    frozen = [path for path in layers if path in first]
    if len(frozen) == len(layers):
        raise ValueError(f"freeze {layer!r}: no layer with parameters would be left to train; name an earlier one")
    modules = dict(model.named_modules())
    for path in first:
        module = modules[path]
        module.frozen = True
        for value in vars(module).values():
            if isinstance(value, (Parameter, Buffer)):
                value.frozen = True
                if isinstance(value, Parameter):
                    value.grad = None
    model.train(model.training)
    return frozen


def unfreeze(model: Module) -> None:
    """Let all layers be trained again; those that were frozen go into the mode of the model."""
    for module in model.modules():
        vars(module).pop("frozen", None)
        for value in vars(module).values():
            if isinstance(value, (Parameter, Buffer)):
                value.frozen = False
    model.train(model.training)


def layers_of(model: Module) -> dict[str, Module]:
    """The layers that own parameters, by path, in order."""
    return {
        path: module
        for path, module in model.named_modules()
        if any(isinstance(value, Parameter) for value in vars(module).values())
    }


def head_of(model: Module) -> dict[str, Module]:
    """The layers whose size is the number of classes: the last one with a kernel or matrix, and what comes after it.

    Returns
    -------
    dict of str to Module
        By path, as in `layers_of`.
    """
    layers = layers_of(model)
    products = [
        k
        for k, layer in enumerate(layers.values())
        if any(isinstance(value, Parameter) and len(value.shape) > 1 for value in vars(layer).values())
    ]
    start = products[-1] if products else len(layers) - 1
    return dict(list(layers.items())[max(start, 0) :])


def frozen_units(model: Module) -> tuple[list[Module], list[Module]]:
    """What a chain begins with and is frozen whole, and what comes after it.

    Returns
    -------
    frozen, rest : list of Module
        Layers and blocks in the order of their computation; chains are opened. Of a module that is no chain nothing
        is known: then `frozen` is empty and `rest` holds the model alone.
    """
    units = list(_opened(model))
    count = next((k for k, unit in enumerate(units) if not all(m.frozen for m in unit.modules())), len(units))
    return (units[:count], units[count:]) if count else ([], [model])


def _last_of(model, layer):
    """The path up to which, itself included, is to be frozen."""
    if layer == BODY:
        body = [path for path in layers_of(model) if path not in head_of(model)]
        if not body:
            raise ValueError(f"freeze 'body': {type(model).__name__} has no layer with parameters before its head")
        return body[-1]
    paths = [path for path, _ in model.named_modules() if path]
    if layer not in paths:
        upper = [path for path in paths if path.count(".") < 2]
        shown = ", ".join(upper[:40]) + ", ..." * (len(upper) > 40)
        raise ValueError(
            f"freeze: {type(model).__name__} has no layer {layer!r}{nearest(layer, paths)}; "
            f"it has 'body', all but the head, and {shown}"
        )
    return layer


def _paths_up_to(model, last):
    """Of the modules that are through when the one at `last` is.

    What it lies in is not, unless it is the last layer with parameters there.
    """
    paths, layers = [path for path, _ in model.named_modules()], layers_of(model)

    def end(path):
        return 1 + max(k for k, other in enumerate(paths) if f"{other}.".startswith(f"{path}."))

    around = [last[:k] for k, letter in enumerate(last) if letter == "."]
    whole = next((one for one in around if not layers.keys() & paths[end(last) : end(one)]), last)
    return {path for path in paths[: end(whole)] if path and not whole.startswith(f"{path}.")}


def _opened(module: Module) -> Iterator[Module]:
    if _is_chain(module):
        for child in module.children():
            yield from _opened(child)
    else:
        yield module


def _is_chain(module):
    """Whether it computes what its attributes do one after the other, and no more."""
    kind = type(module)
    return (
        isinstance(module, Chain)
        and kind.backward is Chain.backward
        and (kind.forward is Chain.forward or kind.forward is kind._known_forward)
        and not {"forward", "backward"} & vars(module).keys()
    )
