"""What a layer is given while a network is only being looked at: no numbers, but where they would come from."""

from minighost.nn.functional.values import Lazy

__all__ = ["Traced", "Unreadable", "is_traced", "known_channels"]


class Unreadable(BaseException):
    """A layer wants numbers, or their shape, where there are none; no ``except Exception`` in it may stop this."""


class Traced(Lazy):
    """A value of a network that is being traced.

    Attributes
    ----------
    trace : callable
        ``trace(module, *args, **kwargs)`` is what a call of a module with this value leads to.
    node : object
        What it is the result of; None of the network's input.
    sources : tuple of Traced
        What that is applied to.
    layers : tuple of str
        Paths of the layers that stand for it.
    channels : int or None
        If they are known.
    """

    def __init__(self, trace, node=None, sources=(), layers=(), channels=None):
        self.trace, self.node, self.sources, self.layers, self.channels = trace, node, sources, layers, channels

    def then(self, node, *others, layers=(), channels=None):
        """The result of a node that is applied to this value, and to others."""
        return type(self)(self.trace, node, (self, *others), layers, channels)

    def materialize(self):
        """There is no array."""
        raise Unreadable("it reads the numbers")

    @property
    def shape(self):  # type: ignore[override]  # other lazy values are given theirs, this one refuses
        """There is none."""
        raise Unreadable("it reads the shape")

    dtype = size = ndim = shape


def is_traced(*values):
    """Whether they are, all of them or none."""
    found = [isinstance(value, Traced) for value in values]
    if any(found) and not all(found):
        raise Unreadable("it joins its input with numbers of its own")
    return found[0]


def known_channels(x):
    """How many channels a `Traced` value has; only a layer before it can say so."""
    if x.channels is None:
        raise Unreadable("it needs to know how many channels there are")
    return x.channels
