"""Functions that become part of their callers in a kernel, and method calls on NamedTuples."""

from numba.extending import overload

from minighost.engine.launch import OPTIONS

__all__ = ["inlined", "method"]

_INLINE = {**OPTIONS, "forceinline": True}


def method(name):
    """A function that calls the method of this name of its first argument, a NamedTuple.

    Inside kernels the argument's class decides at compile time, and the method becomes part of the caller.
    """

    def call(first, *others):
        return getattr(first, name)(*others)

    @overload(call, jit_options=_INLINE, strict=False)
    def compiled(first, *others):
        return getattr(first.instance_class, name)

    return call


def inlined(function):
    """A function of numbers or registers, as part of its callers in kernels."""

    def call(*args):
        return function(*args)

    @overload(call, jit_options=_INLINE, strict=False)
    def compiled(*args):
        return function

    return call
