"""Module: a layer that owns parameters, remembers what its backward needs, and can be nested.

There is no tape. `forward` keeps a cache, `backward` is the hand-written reverse of `forward`: it takes the gradient
of the loss with respect to the output, adds to every parameter's `grad`, and returns the gradient with respect to the
input. What a module contains is simply what stands in its attributes: `Parameter`, `Buffer` and other modules. Layers
in a Python list are not found there, and refused as soon as somebody asks for what it contains; `nn.ModuleList` is the
list for them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from minighost.engine.check import written_in_place
from minighost.nn import checksums
from minighost.nn.functional.calls import calls
from minighost.nn.functional.joins import add
from minighost.nn.functional.traced import Traced
from minighost.nn.functional.values import Lazy, materialize
from minighost.nn.hidden import refusal
from minighost.nn.kept_fold import answer, catch_up
from minighost.nn.parameter import Buffer, Held, Parameter
from minighost.type_aliases import Array, ArrayLike, InputGrad

__all__ = ["BY_LAYERS", "Module", "backward_onto"]

# What stands in `_cache` where a module has nothing of its own to keep:
BY_LAYERS = "its layers keep what its backward needs"

_OF_ONE_FORWARD = ("_cache", "_output", "_fingerprints", "_kept_fold")


class Module:
    """Base class of all layers and networks; PyTorch's vocabulary wherever it has a word.

    Of every layer, block and network:

    * A call of the module serves one `backward`; a second one raises RuntimeError.
    * In evaluation a call may be answered by the module's fold (`kept_fold`); a backward after it runs the layers on
      the input, so do not change x or the parameters in between.
    * `dout` has the shape and the dtype of what the module returned. Nothing is converted: another shape is a
      ValueError, another dtype or something that is not an array a TypeError, in one line.
    """

    training = True
    dx_wanted = True  # False in a first layer whose input is an image
    frozen = False  # by `nn.freeze`: it stays in evaluation mode
    is_block = True  # one line of a summary; else what is in it has lines
    macs = 0  # multiply-adds per image at the last forward; convolutions and linear layers state theirs
    output_shape: tuple[int, ...] | None = None  # of the last forward, without N
    input_shape: tuple[int, ...] | None = None  # of the last forward that began with this module, without N
    _cache: Any = None
    _output = None  # shape and dtype of what the last call returned
    _fingerprints = None  # of the arrays in `_cache`, inside ``with checking():``
    _kept_fold: Any = None  # the `KeptFold` that answers calls in evaluation
    _known_forward: Any = None  # of minighost's own classes
    _seen_through: tuple[str, ...] = _OF_ONE_FORWARD  # containers that need no warning

    _wraps_backward = False

    def __init_subclass__(cls) -> None:
        """Note the forward of a class of our own, lest somebody replaces it, and a backward around a base class's.

        Such a backward may hand that one another gradient than it got.
        """
        super().__init_subclass__()
        above: list[Any] = [base for base in cls.__mro__[1:] if base is not Module and "backward" in vars(base)]
        cls._known_forward = cls.forward if cls.__module__.startswith("minighost.") else None
        cls._wraps_backward = "backward" in vars(cls) and bool(above) or any(base._wraps_backward for base in above)

    def forward(self, x: Array) -> Array:
        """Compute the output and keep what `backward` needs."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward(x)")

    def backward(self, dout: Array) -> InputGrad:
        """Return the gradient with respect to the input and add to every `Parameter.grad`."""
        raise NotImplementedError(f"{type(self).__name__} does not define backward(dout)")

    def __call__(self, *args: Any, **kwargs: Any) -> Array:
        """Run `forward`, or in evaluation what `nn.fold` makes of it (see `kept_fold`).

        An error inside it names the path of the layer where it arose.
        """
        if args and isinstance(args[0], Traced):
            return args[0].trace(self, *args, **kwargs)
        if calls.depth == 0:
            calls.folds = not (self.training or calls.by_layers)
        inner = outer = calls.folds
        if outer and len(args) == 1 and not (kwargs or self.training):
            out, inner = answer(self, args[0])
            if out is not None:
                return out
        self._cache = self._output = self._fingerprints = None
        calls.depth, calls.folds = calls.depth + 1, inner
        try:
            out = self.forward(*args, **kwargs)
        except (TypeError, ValueError) as error:
            self._name_layer(error)
            raise
        finally:
            calls.depth, calls.folds = calls.depth - 1, outer
        if calls.depth == 0:
            out = materialize(out)
            self.input_shape = np.shape(args[0])[1:] if args else None
        if self._cache is None:
            self._cache = BY_LAYERS
        try:
            self._output = out.shape, out.dtype
        except AttributeError:
            name, got = type(self).__name__, "nothing" if out is None else type(out).__name__
            raise TypeError(f"{name}: forward must return an array, got {got}") from None
        self.output_shape = out.shape[1:]
        if checksums.is_on():
            checksums.remember(self)
        return out

    def _name_layer(self, error: Any) -> None:
        if not hasattr(error, "layer"):
            error.layer, error.rule = self, str(error)
            return
        for path, module in self.named_modules():
            if module is error.layer and path:
                error.args = (f"{path}: {error.rule}",)

    def _take_cache(self, dout: Array) -> Any:
        """Hand the cache over, once: its buffers are free again as soon as the backward is through with them."""
        if self._cache is None:
            catch_up(self)
        cache = self._cache
        if cache is None:
            raise self._nothing_kept()
        if self._output is not None and not (self._wraps_backward or "backward" in vars(self)):
            self._check_gradient(dout, *self._output)
        if self._fingerprints is not None:
            checksums.compare(self)
        self._cache = self._output = self._fingerprints = None
        return cache

    def _nothing_kept(self) -> RuntimeError:
        return RuntimeError(
            f"{type(self).__name__}: backward() needs a forward() before it - each forward serves one backward; call "
            "the module again first (to use a layer in two places of a network, make two that share their parameters)"
        )

    def _check_gradient(self, dout: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        name = type(self).__name__
        if not isinstance(dout, (np.ndarray, Lazy)):
            raise TypeError(f"{name} backward: dout must be a NumPy array, got {type(dout).__name__}")
        if dout.dtype != dtype and dout.dtype.newbyteorder("=") != dtype.newbyteorder("="):
            raise TypeError(
                f"{name} backward: dout must have the output's dtype, {dtype}, got {dout.dtype}; "
                f"convert it with dout.astype(np.{dtype})"
            )
        if dout.shape != shape:
            raise ValueError(f"{name} backward: dout must have shape {shape}, got {dout.shape}")

    def _has_own(self, method: str, kind: type) -> bool:
        """Whether a subclass of `kind`, or this very module, replaces a method of `kind`."""
        return getattr(type(self), method) is not getattr(kind, method) or method in vars(self)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle takes along: not what the last forward kept for a backward."""
        return {name: value for name, value in vars(self).items() if name not in _OF_ONE_FORWARD}

    # What it contains ------------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Yield (name, module) for the modules directly inside."""
        for name, value in list(vars(self).items()):  # a list, for another Python thread may be calling it
            if isinstance(value, Module):
                yield name, value

    def _contents(self) -> Iterable[Any]:
        """Everything that stands in it, modules and parameters among it; without names, for it is asked each step."""
        return list(vars(self).values())  # a list, for another Python thread may be calling it

    def _everything(self) -> tuple[list["Module"], list[Held]]:
        """All modules, this one first, and all parameters and buffers; each once, in no order."""
        modules: list[Module] = [self]
        values: list[Held] = []
        seen = {id(self)}
        for module in modules:
            for value in module._contents():
                if isinstance(value, (Module, Held)) and id(value) not in seen:
                    seen.add(id(value))
                    if isinstance(value, Module):
                        modules.append(value)
                    else:
                        values.append(value)
        return modules, values

    def children(self) -> Iterator["Module"]:
        """Yield the modules directly inside."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, "Module"]]:
        """Yield (path, module) for this module (path "") and all modules inside, outermost first.

        A module that stands in several places comes once, under its first path, or with ``remove_duplicate=False``
        under each.

        Raises
        ------
        ValueError
            There are modules or parameters in a list, tuple, dict or set, which would be overlooked. So do all methods
            that ask for what a module contains: `parameters`, `state_dict`, `train`, `eval`, ...
        """
        self._refuse_hidden()
        return self._walk(prefix, set() if remove_duplicate else None)

    def _walk(self, prefix: str, seen: set[int] | None) -> Iterator[tuple[str, "Module"]]:
        if seen is not None:
            if id(self) in seen:
                return
            seen.add(id(self))
        yield prefix, self
        for name, child in self.named_children():
            yield from child._walk(f"{prefix}.{name}" if prefix else name, seen)

    def modules(self) -> Iterator["Module"]:
        """Yield this module and all modules inside, each once."""
        return (module for _, module in self.named_modules())

    def _named(self, kind: Any, remove_duplicate: bool = True) -> Iterator[tuple[str, Any]]:
        seen = set()
        for path, module in self.named_modules(remove_duplicate=remove_duplicate):
            for name, value in list(vars(module).items()):
                if isinstance(value, kind) and id(value) not in seen:
                    if remove_duplicate:
                        seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def _refuse_hidden(self) -> None:
        modules, values = self._everything()
        known = {id(one) for one in (*modules, *values)}
        for module in modules:
            if words := refusal(module, known):
                raise ValueError(words)

    def named_parameters(self, remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Yield (path, Parameter), for example ("stem.conv.weight", ...); a tied one as in `named_modules`."""
        return self._named(Parameter, remove_duplicate)

    def parameters(self) -> Iterator[Parameter]:
        """Yield all parameters, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self, remove_duplicate: bool = True) -> Iterator[tuple[str, Buffer]]:
        """Yield (path, Buffer), for example ("stem.bn.running_mean", ...)."""
        return self._named(Buffer, remove_duplicate)

    def __repr__(self) -> str:
        """A tree: name and class of every module inside, and the shapes of its own parameters."""
        return "\n".join(self._tree("", 0, set()))

    def _repr_html_(self) -> str:
        """The tree in a notebook; its branches open and close."""
        from minighost.nn.html import tree

        return tree(self)

    def _tree(self, name: str, depth: int, seen: set[int]) -> Iterator[str]:
        line = "  " * depth + (f"{name}: " if name else "") + type(self).__name__
        if id(self) in seen:
            yield f"{line}, as above"
            return
        seen.add(id(self))
        own = [f"{key} {value.shape}" for key, value in vars(self).items() if isinstance(value, Parameter)]
        yield f"{line}  {', '.join(own)}" if own else line
        for key, child in self.named_children():
            yield from child._tree(key, depth + 1, seen)

    def summary(self, input_shape: Sequence[int] | None = None, layers: bool = False) -> None:
        """Print output shapes, parameters and multiply-adds, block by block, as `minighost summary` does.

        Parameters
        ----------
        input_shape : (H, W, C), optional
            Of one image. By default that of the last images on which the module was called.
        layers : bool
            One line per layer in place of one per block.

        Raises
        ------
        ValueError
            It has not been called yet and `input_shape` is missing, or it does not take such images.

        Examples
        --------
        >>> from minighost import nn
        >>> nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()).summary((8, 8, 3))
        Sequential, input 8x8x3
        <BLANKLINE>
        block  kind    output  parameters   MACs  of MACs
        -------------------------------------------------
        0      Conv2d  8x8x4          112  6,912  100.0 %
        1      ReLU    8x8x4            0      0    0.0 %
        -------------------------------------------------
        total                         112  6,912  100.0 %
        """
        from minighost.nn.summary import lines  # it knows the classes that are derived from this one

        shape = self.input_shape if input_shape is None else tuple(input_shape)
        if shape is None:
            raise ValueError(
                f"{type(self).__name__}.summary: which images? Give the shape of one, as in "
                "model.summary((32, 32, 3)), or call the model first"
            )
        print("\n".join(lines(self, shape, layers)))

    # State -----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """Copy all parameters and buffers into a dict of path -> array; a tied one is there under each of its paths."""
        return {path: value._data.copy() for path, value in self._named((Parameter, Buffer), remove_duplicate=False)}

    def load_state_dict(self, state: Mapping[str, ArrayLike], strict: bool = True) -> Self:
        """Copy arrays into the parameters and buffers of the same path.

        Parameters
        ----------
        state : dict of str -> ndarray
        strict : bool
            Every path must be present on both sides. Otherwise what is missing or extra is passed over.

        Raises
        ------
        ValueError
            If paths, shapes or dtypes differ (all differences are listed) - then nothing has been loaded.

        Notes
        -----
        Values are taken as they are, NaN and negative variances too, as in PyTorch: a state must come back as it was.
        What comes from a file is looked at where it is read (`train.load_run`, `interop.load_timm`).
        """
        own = dict(self._named((Parameter, Buffer), remove_duplicate=False))
        problems = [f"missing: {path} {own[path].data.shape}" for path in own if path not in state and strict]
        problems += [f"unknown: {path} {np.shape(state[path])}" for path in state if path not in own and strict]
        for path in own.keys() & state.keys():
            target, value = own[path].data, np.asarray(state[path])
            if value.shape != target.shape:
                problems.append(f"shape of {path}: {value.shape}, the model has {target.shape}")
            elif value.dtype.kind != "f":
                problems.append(f"dtype of {path}: {value.dtype}, the model has {target.dtype}")
        if problems:
            raise ValueError(
                f"load_state_dict: the state does not fit this {type(self).__name__}, nothing was loaded. "
                f"{len(problems)} differences:\n  " + "\n  ".join(sorted(problems))
            )
        values = {path: np.array(state[path]) for path in own.keys() & state.keys()}  # which may be views of our own
        for path in values:
            written_in_place("load_state_dict", path, own[path].data)
        for path, value in values.items():
            own[path].data[...] = value
        return self

    # Modes -----------------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Switch to training (batch statistics, dropout) or with ``mode=False`` to evaluation.

        A module that changes its mode forgets what its last forward kept for a backward: in the new mode other layers
        may do the work, and nobody would free it. What `nn.freeze` has frozen stays in evaluation.
        """
        for module in self.modules():
            if module.training != (wanted := mode and not module.frozen):
                module.training, module._cache, module._fingerprints, module._kept_fold = wanted, None, None, None
        return self

    def eval(self) -> Self:
        """Switch to evaluation: running statistics, no dropout."""
        return self.train(False)

    def skip_input_gradient(self) -> Self:
        """Spare the first layer the gradient with respect to the image; `backward` then returns None."""
        next(m for m in self.modules() if any(isinstance(v, Parameter) for v in vars(m).values())).dx_wanted = False
        return self

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for value in self._everything()[1]:
            if isinstance(value, Parameter):
                value.grad = None

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Convert parameters and buffers in place, to float64 for a gradient check, say. Gradients are forgotten."""
        for _, value in self._named((Parameter, Buffer)):
            value.replace(np.array(value.data, dtype, order="C"))
        self.zero_grad()
        return self


def backward_onto(layer: Module, dout: Array, onto: Array | None) -> InputGrad:
    """``layer.backward(dout)`` plus `onto`, a gradient that reaches the layer's input another way, or None.

    A backward that takes an argument of this name adds in passing; to the result of any other it is added here.
    """
    backward: Callable[..., InputGrad] = layer.backward
    if onto is None:
        return backward(dout)
    code = getattr(backward, "__code__", None)
    if code is not None and "onto" in code.co_varnames[: code.co_argcount]:
        return backward(dout, onto=onto)
    dx = backward(dout)
    return None if dx is None else add(dx, onto)
