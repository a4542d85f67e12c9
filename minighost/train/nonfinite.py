"""Where a NaN came from: the first tensor that is not finite, in the order in which a step computes them."""

import numpy as np

from minighost.errors import NonFiniteError
from minighost.finite import count
from minighost.nn import Hook, fusing, hooked

__all__ = ["explain"]

ADVICE = "Lower train.lr, lengthen train.warmup_epochs or set train.clip_norm"


def explain(model, x, where, what, out, kept):
    """The error that stops a training run, naming step, layer and tensor.

    Parameters
    ----------
    model : Module
        As the failed step left it; the forward pass is run once more to see each layer's output.
    x : ndarray
        The batch.
    where, what : str
        The step, and what was found not to be finite.
    out : ndarray or tuple of ndarray
        Of the network in the failed step.
    kept : str
        What is left of the run, in words.

    Returns
    -------
    NonFiniteError
    """
    spoilt = _in_weights(model)
    culprit = _in_input(x) or spoilt
    if not culprit and not all(np.isfinite(one).all() for one in (out if isinstance(out, tuple) else (out,))):
        culprit = _in_outputs(model, x)
    culprit = culprit or _in_gradients(model) or "no single tensor shows it; the loss itself overflowed"
    fate = "An earlier step corrupted it" if spoilt else "No weight was changed"
    return NonFiniteError(f"{where}: {what}; {culprit}. {fate}; {kept}. {ADVICE}")


def _in_input(x):
    return None if np.isfinite(x).all() else f"the batch of images: {count(x)}"


def _in_weights(model):
    for name, p in model.named_parameters():
        if not np.isfinite(p.data).all():
            return f"weight {name!r}: {count(p.data)}"
    return None  # running statistics take no part in a training step, and this one has already moved them


def _in_outputs(model, x):
    """First layer whose output is not finite; an inner layer ends before the one around it, so it is named first."""
    names = {module: name for name, module in model.named_modules() if name}
    watch = _Watch(names)
    with hooked(names, watch), fusing(False):
        model(x)
    return watch.found


class _Watch(Hook):
    """Notes the first output that is not finite."""

    def __init__(self, names):
        self.names, self.found = names, None

    def after_forward(self, module, x, out):
        if self.found is None and isinstance(out, np.ndarray) and not np.isfinite(out).all():
            self.found = f"output of layer {self.names[module]!r} ({type(module).__name__}): {count(out)}"


def _in_gradients(model):
    """The backward pass runs from the end: the last parameter in forward order got its gradient first."""
    bad = [
        (name, p.grad) for name, p in model.named_parameters() if p.grad is not None and not np.isfinite(p.grad).all()
    ]
    if not bad:
        return None
    name, grad = bad[-1]
    return f"gradient of {name!r} (and {len(bad) - 1} more towards the input): {count(grad)}"
