"""Methods of single modules replaced for a while: how a trace, a count or a search listens in."""

import contextlib

__all__ = ["replaced"]


@contextlib.contextmanager
def replaced(methods):
    """Give modules other methods for a block of code; afterwards each has its own again, also one set on the object.

    Parameters
    ----------
    methods : list of (Module, str, callable)
        Whose, the method's name, what to call instead.
    """
    before = []
    try:
        for module, name, function in methods:
            before.append((module, name, vars(module).get(name)))
            setattr(module, name, function)
        yield
    finally:
        for module, name, own in reversed(before):
            if own is None:
                delattr(module, name)
            else:
                setattr(module, name, own)
