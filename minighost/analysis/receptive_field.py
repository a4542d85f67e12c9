"""How many pixels of the image one number of a map can depend on.

Along a chain of windows of k taps, dilation d and stride s the field grows by ``d*(k - 1)`` times the distance between
neighbours, which each stride multiplies (Araujo et al. 2019, "Computing receptive fields of convolutional neural
networks", eq. 2). Where branches meet the largest field counts. The network is run once on a value that is nothing but
such a field.

After squeeze-and-excitation every number depends on the whole image, by way of the gates. That is said apart, for the
gates know only means.
"""

from typing import NamedTuple

from minighost.nn import CReLU, Module, PatchWhitening
from minighost.nn.fold_nodes import Gate
from minighost.nn.folding import evaluating
from minighost.nn.functional.traced import Traced, Unreadable
from minighost.nn.parameter import Held

__all__ = ["Field", "receptive_field", "receptive_fields"]

WHOLE = ("Global", "Adaptive", "Flatten")  # what layers and nodes begin with whose output depends on the whole plane


class Field(NamedTuple):
    """The receptive field of one number of a map.

    Attributes
    ----------
    size : (int, int)
        Height and width in pixels of the image; it may be larger than the image.
    stride : (int, int)
        Pixels from the field of one number to that of the next.
    gated : bool
        Gates that know the whole image have come before, which `size` leaves out.
    pooled : bool
        The plane is gone: every number depends on the whole image. `size` is that of the last map.
    """

    size: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    gated: bool = False
    pooled: bool = False


def receptive_field(model: Module) -> Field:
    """The field of one number of the last map, before the plane is pooled or flattened.

    Parameters
    ----------
    model : Module
        It is not modified.

    Raises
    ------
    ValueError
        A module reads the numbers of its input outside of its layers; the message names it.

    Examples
    --------
    >>> from minighost import nn
    >>> receptive_field(nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), nn.Conv2d(1, 1, 3, dilation=2))).size
    (11, 11)
    """
    return receptive_fields(model)[""]._replace(pooled=False)


def receptive_fields(model: Module) -> dict[str, Field]:
    """The `Field` of the output of every module, from its path; the network itself has the path "" and is the last."""
    trace = _Trace(model)
    try:
        trace.hollow(_Value(trace, Field()))
    except Unreadable as error:
        raise ValueError(f"receptive field: {trace.where}: {error}") from None
    return trace.fields


class _Value(Traced):
    """A value of which only the field is known."""

    def __init__(self, trace, field, channels=None):
        super().__init__(trace, channels=channels)
        self.field = field

    def then(self, node, *others, layers=(), channels=None):
        """What a sum, a concatenation or another function of the values sees."""
        fields = [self.field, *(other.field for other in others)]
        if isinstance(node, Gate) and fields[1].pooled:
            return _Value(self.trace, self.field._replace(gated=True), channels)
        both = list(zip(*fields, strict=True))
        size, stride = (
            tuple(map(most, zip(*pairs, strict=True))) for most, pairs in zip((max, min), both, strict=False)
        )
        return _Value(self.trace, Field(size, stride, any(both[2]), any(both[3]) or _sees_all(node)), channels)


class _Trace:
    """Calls modules with a `_Value`, and notes what they return."""

    def __init__(self, model):
        self.hollow, self.fields, self.where = evaluating(model, hollow=True), {}, ""
        self.paths = {id(module): path for path, module in self.hollow.named_modules()}

    def __call__(self, module, x, *args, **kwargs):
        path = self.paths.get(id(module), type(module).__name__)
        if list(module.children()) and not any(isinstance(value, Held) for value in vars(module).values()):
            try:
                out = module.forward(x, *args, **kwargs)
            except Unreadable:
                self.where = self.where or path or type(module).__name__  # the innermost
                raise
        else:
            out = _Value(self, _through(module, x.field), _channels(module, x.channels))
        if not isinstance(out, _Value):
            self.where = self.where or path or type(module).__name__
            raise Unreadable("its result does not depend on its input alone")
        self.fields.pop(path, None)  # the last call counts, and its place in the order
        self.fields[path] = out.field
        return out


def _through(layer, field):
    """The field after one layer: its windows, if it has any."""
    if _sees_all(layer):
        return field._replace(pooled=True)
    options = {**vars(layer), **getattr(layer, "_options", {})}
    weight = options.get("weight")
    windows = weight.shape[:2] if weight is not None and len(weight.shape) == 4 else 1
    taps, stride, dilation = (
        _pair(options.get(name, otherwise))
        for name, otherwise in (("kernel_size", windows), ("stride", 1), ("dilation", 1))
    )
    size = [r + d * (k - 1) * s for r, d, k, s in zip(field.size, dilation, taps, field.stride, strict=True)]
    step = [s * t for s, t in zip(field.stride, stride, strict=True)]
    return field._replace(size=(size[0], size[1]), stride=(step[0], step[1]))


def _channels(layer, before):
    if isinstance(layer, (CReLU, PatchWhitening)):
        return None  # twice as many, and no network slices those
    weight = getattr(layer, "weight", None)
    return before if weight is None or len(weight.shape) == 1 else weight.shape[-1]


def _pair(value):
    return value if isinstance(value, tuple) else (value, value)


def _sees_all(thing):
    return type(thing).__name__.startswith(WHOLE)
