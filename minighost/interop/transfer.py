"""Weights in and out under other people's names and layouts.

A convolution weight is (out, in/groups, KH, KW) in PyTorch and (KH, KW, in/groups, out) here; a fully connected layer,
which some write as a 1x1 convolution, is (out, in) there and (in, out) here. After a flattened plane its inputs are in
another order, too.
"""

import re
from typing import Any, NamedTuple

import numpy as np

from minighost.files import write_atomic
from minighost.finite import unusable
from minighost.interop.tables import Table, table, tables_of
from minighost.interop.weights import read_weights
from minighost.nn.freezing import head_of

__all__ = ["Match", "gradients", "load", "load_timm", "match", "save", "state_dict", "to_timm"]

OURS = "minighost"


class Match(NamedTuple):
    """Weights that fit a model.

    Attributes
    ----------
    state : dict of str to ndarray
        For `Module.load_state_dict`: the model's names, layouts and precision.
    names : str
        Whose names they were.
    new_head : list of str
        The model's arrays that are not among them, because they were of other classes.
    classes : int
        How many classes they were of, if `new_head` names any.
    """

    state: dict[str, Any]
    names: str
    new_head: list[str]
    classes: int = 0


def load(model, weights, names=None, new_head=False):
    """Load weights of torchvision, timm or minighost.

    Parameters
    ----------
    model : Module
        One of `models`, of the same size; float32 or float64.
    weights : dict of str -> ndarray, or path of a .safetensors file
        PyTorch layouts; what is wrapped around them is taken off, see `read_weights`. Counters
        (``num_batches_tracked``) are passed over.
    names : str, optional
        Whose names they are: "torchvision", "timm", "pytorch" (our names, PyTorch's layouts) or "minighost" (our names
        and layouts). By default those that most of the file's names belong to, and in the same layouts.
    new_head : bool
        Weights of another number of classes fit, too: the layers that are as wide as there are classes
        (`nn.freezing.head_of`) keep the numbers that they have in the model.

    Returns
    -------
    Module
        The model itself.

    Raises
    ------
    ValueError
        A name is missing or unknown, a shape is not exactly that of the layer, a value is not finite (in the model's
        precision), a running variance is negative; all of it is listed and nothing is loaded. Or there is no table of
        such names for this network.
    FormatError
        See `read_weights`.

    Examples
    --------
    >>> from minighost import models
    >>> one, two = (models.create("ghostnet", width=0.1, num_classes=10, rng=rng) for rng in (1, 2))
    >>> load(one, state_dict(two, "timm")) is one
    True
    >>> three = models.create("ghostnet", width=0.1, num_classes=3)
    >>> load(three, state_dict(two, "timm"), new_head=True) is three
    True
    """
    return _load("load", model, read_weights(weights), names, new_head)


def _load(asker, model, theirs, names, new_head=False):
    return model.load_state_dict(match(asker, model, theirs, names, new_head).state)


def match(asker, model, theirs, names=None, new_head=False):
    """What `load` would load, as a `Match`; arguments and errors are those of `load`.

    Parameters
    ----------
    asker : str
        For messages.
    theirs : dict of str to ndarray
        As `read_weights` returns it.
    """
    own = model.state_dict()
    theirs = {name: value for name, value in theirs.items() if not name.endswith("num_batches_tracked")}
    naming = _naming(asker, model, own, theirs, names)
    ours = {naming.name(path): path for path in own}
    head, classes = _other_head(model, own, theirs, naming) if new_head else ([], 0)
    problems = [
        f"missing: {name} {naming.shapes(path, own[path])[0]}" for name, path in ours.items() if name not in theirs
    ]
    problems += [
        f"unknown: {name} {value.shape}"
        for name, value in theirs.items()
        if name not in ours and not re.search(naming.table.absent, name)
    ]
    converted = {path: own[path] for path in head}
    for name in ours.keys() & theirs.keys():
        path, value = ours[name], theirs[name]
        shapes = naming.shapes(path, own[path])
        if path in head:
            continue
        if value.shape not in shapes:
            problems.append(f"shape of {name}: {value.shape}, the model needs {' or '.join(map(str, shapes))}")
        elif value.dtype.kind != "f":
            problems.append(f"dtype of {name}: {value.dtype}, the model has {own[path].dtype}")
        else:
            converted[path] = naming.to_ours(path, value, own[path])
            problems += unusable({name: converted[path]})
    if problems:
        raise ValueError(
            f"{asker}: these weights do not fit this {type(model).__name__}; nothing was loaded. "
            f"{len(problems)} differences:\n  " + "\n  ".join(sorted(problems))
        )
    return Match(converted, naming.source, head, classes)


def _other_head(model, own, theirs, naming):
    """The arrays of the head, if those of the file differ from them in the number of classes alone; and that number."""
    head = [path for path in own if path.rpartition(".")[0] in head_of(model)]
    numbers = {
        naming.classes(path, own[path], theirs[naming.name(path)]) for path in head if naming.name(path) in theirs
    }
    ours = {own[path].shape[-1] for path in head}
    if len(numbers) != 1 or len(ours) != 1 or numbers == ours or None in numbers:
        return [], 0
    return head, numbers.pop()


def state_dict(model, names):
    """The model's weights as a dict of arrays under other people's names and in their layouts; the inverse of `load`.

    Parameters
    ----------
    model : Module
    names : str
        "torchvision", "timm", "pytorch" or "minighost"; see `load`.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    ValueError
        There is no table of such names for this network.
    """
    return _exported(model, names, model.state_dict())


def gradients(model, names):
    """The gradients of all parameters that have one, under other people's names and in their layouts.

    Parameters and errors are those of `state_dict`.
    """
    return _exported(model, names, {path: p.grad for path, p in model.named_parameters() if p.grad is not None})


def _exported(model, names, arrays):
    naming = _Ours() if names == OURS else _Theirs(names, table("interop", model, names))
    return {naming.name(path): naming.to_theirs(path, value) for path, value in arrays.items()}


def save(model, path, names):
    """Write the model's weights as a .safetensors file that PyTorch's users can load; `names` as in `state_dict`.

    The file is complete or not there.
    """
    from safetensors.numpy import save as to_bytes

    write_atomic(path, to_bytes(state_dict(model, names)))


def load_timm(model, weights):
    """`load` of weights under timm's names, which for GhostNet are the authors'."""
    return _load("load_timm", model, read_weights(weights), "timm")


def to_timm(model):
    """`state_dict` under timm's names."""
    return state_dict(model, "timm")


def _naming(asker, model, own, theirs, names):
    if names == OURS:
        return _Ours()
    if names is not None:
        return _Theirs(names, table(asker, model, names))
    candidates: list[Any] = [_Ours(), *(_Theirs(*one) for one in tables_of(model).items())]

    def fitting(naming):
        known = [path for path in own if naming.name(path) in theirs]
        return len(known), sum(theirs[naming.name(path)].shape in naming.shapes(path, own[path]) for path in known)

    return max(candidates, key=fitting)


class _Ours:
    """Our own names and layouts."""

    source, table = OURS, Table(())

    def name(self, path):
        return path

    def shapes(self, path, ours):
        return [ours.shape]

    def classes(self, path, ours, value):
        """The last axis of `value`, an array of the head; None if it differs in others, too."""
        return value.shape[-1] if value.ndim and value.shape[:-1] == ours.shape[:-1] else None

    def to_ours(self, path, value, ours):
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(value, ours.dtype)

    def to_theirs(self, path, value):
        return value


class _Theirs:
    """Names of a table, layouts of PyTorch."""

    def __init__(self, source, table):
        self.source, self.table = source, table
        self.name = table.name

    def shapes(self, path, ours):
        """Shapes that one of our arrays may have there; the official one comes first."""
        if ours.ndim == 4:
            KH, KW, C, OC = ours.shape
            return [(OC, C, KH, KW)]
        if ours.ndim == 2:
            shapes = [(*ours.shape[::-1], 1, 1), ours.shape[::-1]]
            return shapes if self._is_convolution(path) else shapes[1:]
        return [ours.shape]

    def classes(self, path, ours, value):
        """The first axis of `value`, an array of the head; None if it differs in others, too."""
        others = [shape[1:] for shape in self.shapes(path, ours)]
        return value.shape[0] if value.ndim and value.shape[1:] in others else None

    def to_ours(self, path, value, ours):
        """`value`, of one of `shapes`, in the layout and precision of `ours`."""
        if ours.ndim == 4:
            value = value.transpose(2, 3, 1, 0)
        if ours.ndim == 2:
            value = value.reshape(value.shape[:2]).T
            if C := self._flattened(path):  # rows in the order (C, pixels) become (pixels, C)
                value = value.reshape(C, -1, value.shape[1]).swapaxes(0, 1).reshape(value.shape)
        with np.errstate(over="ignore"):  # too large for float32 becomes an infinity, which is looked for
            return np.ascontiguousarray(value, ours.dtype)

    def to_theirs(self, path, value):
        """The inverse of `to_ours`, in the official shape."""
        if value.ndim == 4:
            return np.ascontiguousarray(value.transpose(3, 2, 0, 1))
        if value.ndim == 2:
            if C := self._flattened(path):
                value = value.reshape(-1, C, value.shape[1]).swapaxes(0, 1).reshape(value.shape)
            value = np.ascontiguousarray(value.T)
            return value[:, :, None, None] if self._is_convolution(path) else value
        return value

    def _is_convolution(self, path):
        return re.search(self.table.convolutions, path) is not None

    def _flattened(self, path):
        return self.table.flattened.get(path.rpartition(".")[0], 0)
