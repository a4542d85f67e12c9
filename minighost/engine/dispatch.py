"""One name for several functions: the class of the first argument, a NamedTuple, decides which of them is meant."""

from numba.extending import overload

from minighost.engine.launch import OPTIONS

__all__ = ["by_type"]


def by_type(functions):
    """A function that calls the one of its first argument's class; inside kernels that is decided at compile time.

    Parameters
    ----------
    functions : dict of class to function
        Not compiled; each becomes part of its callers.
    """

    def chosen(first, *others):
        return functions[type(first)](first, *others)

    @overload(chosen, jit_options={**OPTIONS, "forceinline": True}, strict=False)
    def compiled(first, *others):
        return functions[first.instance_class]

    return chosen
