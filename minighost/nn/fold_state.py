"""What a fold was made of, and whether it still is so: modules, their attributes, their classes' forwards, numbers.

All of it is compared at every call, so the comparison has to be quick: of lists and dictionaries, by Python itself,
whose members are nearly all the same objects.
"""

import sys

import numpy as np

from minighost.nn.parameter import Buffer, stamps

__all__ = ["CALLED", "QUIET", "State"]

QUIET, CALLED = "nothing has happened", "layers have been called, and that is all"
_OF_CALLS = {"_cache", "_output", "_fingerprints", "_kept_fold", "output_shape", "input_shape"}


class State:
    """Of a model, at one time.

    Attributes
    ----------
    modules : list of Module
        All inside; not the model itself, lest it hold itself.
    """

    @classmethod
    def of(cls, model):
        """The state of a model, which forgets what its last forward kept; None of one that cannot be folded."""
        modules, values = model._everything()
        if not all(map(_is_known, modules)):
            return None
        for module in modules:
            _forget(module)
        dtypes = {value._data.dtype for value in values}
        return cls(model, modules[1:], values) if dtypes in ({np.dtype("f4")}, {np.dtype("f8")}) else None

    def __init__(self, model, modules, values):
        self.modules = modules
        self._kind, self._kinds = type(model), [type(m) for m in modules]
        self._forwards = [(kind, _forwards_of(kind)) for kind in {self._kind, *self._kinds}]
        self._attributes = [vars(m) for m in modules]
        self._remember(model)
        self._seen = stamps.latest
        self._values, self._stamps = values, [value.stamp for value in values]
        self._held = [(array, array.copy()) for array in _held(values)]

    def _remember(self, model):
        self._own = _copy(_attributes_of(model))
        self._kept = [_copy(attributes) for attributes in self._attributes]

    def record(self, model, shapes):
        """Have the modules forget what they keep for a backward, and say what their outputs' shapes would be."""
        for module, shape in zip((model, *self.modules), shapes, strict=True):
            _forget(module)
            module.output_shape = shape
        self._remember(model)

    def compare(self, model):
        """What has happened since, QUIET or CALLED; None if a fold would not be right any more."""
        if type(model) is not self._kind or list(map(type, self.modules)) != self._kinds:
            return None
        if any(_forwards_of(kind) != forwards for kind, forwards in self._forwards):
            return None
        happened = self._happened(_attributes_of(model))
        return happened if happened and self._has_its_numbers() else None

    def _happened(self, own):
        try:
            if self._attributes == self._kept and own == self._own:
                return QUIET
            now, then = [own, *self._attributes], [self._own, *self._kept]
            return CALLED if list(map(_lasting, now)) == list(map(_lasting, then)) else None
        except (ValueError, RuntimeError):  # there are arrays among them; another Python thread is changing them
            return None

    def _has_its_numbers(self):
        latest = stamps.latest
        if latest != self._seen:
            if [value.stamp for value in self._values] != self._stamps:
                return False
            self._seen = latest
        return all(np.array_equal(_bits(array), _bits(copy)) for array, copy in self._held)


def _is_known(module):
    """Whether its forward is one of ours, and nothing but numbers, modules and parameters can have a say in it."""
    kind = type(module)
    return (
        kind._known_forward is kind.forward is not None
        and not module.training
        and not any(
            isinstance(value, np.ndarray) or callable(getattr(kind, name, None))
            for name, value in vars(module).copy().items()
            if name not in _OF_CALLS
        )
    )


def _forwards_of(kind):
    """What a class does; of the simple layers `forward` is the same, and `_forward` their function."""
    return kind.forward, getattr(kind, "_forward", None)


def _attributes_of(model):
    attributes = vars(model).copy()
    attributes.pop("_kept_fold", None)
    return attributes


def _lasting(attributes):
    """Without what each call sets."""
    return {name: value for name, value in attributes.copy().items() if name not in _OF_CALLS}


def _copy(attributes):
    copy = attributes.copy()
    for name, value in copy.items():
        if isinstance(value, (list, dict, set, tuple)):
            copy[name] = _frozen(value)
    return copy


def _frozen(value):
    """A copy of what may change."""
    if isinstance(value, list):
        return [_frozen(one) for one in value]
    if isinstance(value, dict):
        return {key: _frozen(one) for key, one in value.items()}
    if type(value) is tuple:
        return tuple([_frozen(one) for one in value])
    return set(value) if isinstance(value, set) else value


def _forget(module):
    """Drop what a call left, so that the class says that there is nothing, and there is less to compare."""
    for name in ("_cache", "_output", "_fingerprints"):
        vars(module).pop(name, None)


def _held(values):
    """What others may write to: arrays that they have, or whose memory they may have; of a `Flat` its whole row."""
    held = [value for value in values if value._data.base is not None or _references(value) != _ALONE]
    rows = {id(value.place.flat): value.place.flat.data for value in held if value.place is not None}
    return [*rows.values(), *(value._data for value in held if value.place is None)]


def _bits(array):
    """As whole numbers, for NaN is not equal to itself."""
    return array.view(f"i{array.itemsize}")


def _references(value):
    return sys.getrefcount(value._data)


_ALONE = _references(Buffer(np.zeros(1)))
