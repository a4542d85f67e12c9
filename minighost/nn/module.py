"""Module: a layer that owns parameters, remembers what its backward needs, and can be nested.

There is no tape. `forward` keeps a cache, `backward` is the hand-written reverse of `forward`: it takes the gradient
of the loss with respect to the output, adds to every parameter's `grad`, and returns the gradient with respect to the
input. What a module contains is simply what stands in its attributes: `Parameter`, `Buffer` and other modules.
"""

import numpy as np

from minighost.ops.check import written_in_place

__all__ = ["Buffer", "Module", "Parameter"]


class Parameter:
    """An array that is learnt.

    Attributes
    ----------
    data : ndarray
    grad : ndarray or None
        Gradient of the loss, summed over all backward passes since `Module.zero_grad`.
    """

    def __init__(self, data):
        self.data = data
        self.grad = None

    @property
    def shape(self):
        """Shape of the data."""
        return self.data.shape

    @property
    def size(self):
        """Number of scalars."""
        return self.data.size

    def accumulate(self, grad):
        """Add `grad` to what is there; None (a parameter without gradient) is passed over."""
        if grad is not None:
            self.grad = grad if self.grad is None else self.grad + grad

    def __repr__(self):
        return f"Parameter(shape={self.shape}, dtype={self.data.dtype})"


class Buffer:
    """An array that belongs to the state but is not learnt, such as a running mean; `data` holds it."""

    def __init__(self, data):
        self.data = data


class Module:
    """Base class of all layers and networks; PyTorch's vocabulary wherever it has a word."""

    training = True
    dx_wanted = True  # False in a first layer whose input is an image
    macs = 0  # multiply-adds per image at the last forward; convolutions and linear layers state theirs
    output_shape: tuple[int, ...] | None = None  # of the last forward, without N
    _cache = None

    def forward(self, x):
        """Compute the output and keep what `backward` needs."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward(x)")

    def backward(self, dout):
        """Return the gradient with respect to the input and add to every `Parameter.grad`."""
        raise NotImplementedError(f"{type(self).__name__} does not define backward(dout)")

    def chain(self):
        """The layers that `forward` runs one after the other and nothing else, or None; `nn.fold` goes by it."""
        return None

    def __call__(self, *args, **kwargs):
        """Run `forward`; an error inside it names the path of the layer where it arose."""
        try:
            out = self.forward(*args, **kwargs)
        except (TypeError, ValueError) as error:
            self._name_layer(error)
            raise
        self.output_shape = out.shape[1:]
        return out

    def _name_layer(self, error):
        if not hasattr(error, "layer"):
            error.layer, error.rule = self, str(error)
            return
        for path, module in self.named_modules():
            if module is error.layer and path:
                error.args = (f"{path}: {error.rule}",)

    def _take_cache(self):
        """Hand the cache over, once: its buffers are free again as soon as the backward is through with them."""
        if self._cache is None:
            raise RuntimeError(
                f"{type(self).__name__}: backward() needs a forward() before it - each forward serves one backward; "
                "call the module again first"
            )
        cache, self._cache = self._cache, None
        return cache

    # What it contains ------------------------------------------------------------------------------------------

    def named_children(self):
        """Yield (name, module) for the modules directly inside."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def children(self):
        """Yield the modules directly inside."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix=""):
        """Yield (path, module) for this module (path "") and all modules inside, outermost first."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self):
        """Yield this module and all modules inside."""
        return (module for _, module in self.named_modules())

    def _named(self, kind):
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, kind):
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(self):
        """Yield (path, Parameter), for example ("stem.conv.weight", ...)."""
        return self._named(Parameter)

    def parameters(self):
        """Yield all parameters."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self):
        """Yield (path, Buffer), for example ("stem.bn.running_mean", ...)."""
        return self._named(Buffer)

    # State -----------------------------------------------------------------------------------------------------

    def state_dict(self):
        """Copy all parameters and buffers into a dict of path -> array."""
        return {path: value.data.copy() for path, value in self._named((Parameter, Buffer))}

    def load_state_dict(self, state, strict=True):
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
        own = dict(self._named((Parameter, Buffer)))
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

    def train(self, mode=True):
        """Switch to training (batch statistics, dropout) or with ``mode=False`` to evaluation.

        A module that changes its mode forgets what its last forward kept for a backward: in the new mode other layers
        may do the work, and nobody would free it.
        """
        for module in self.modules():
            if module.training != mode:
                module.training, module._cache = mode, None
        return self

    def eval(self):
        """Switch to evaluation: running statistics, no dropout."""
        return self.train(False)

    def skip_input_gradient(self):
        """Spare the first layer the gradient with respect to the image; `backward` then returns None."""
        next(m for m in self.modules() if any(isinstance(v, Parameter) for v in vars(m).values())).dx_wanted = False
        return self

    def zero_grad(self):
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def astype(self, dtype):
        """Convert parameters and buffers in place, to float64 for a gradient check, say. Gradients are forgotten."""
        for _, value in self._named((Parameter, Buffer)):
            value.data = np.array(value.data, dtype, order="C")
        self.zero_grad()
        return self
