"""A network under a magnifying glass: the statistics of everything that passes through every layer.

    with mg.trace(model) as trace:
        loss, dlogits = mg.ops.softmax_cross_entropy(model(x), labels)
        model.backward(dlogits)
    print(trace)
    trace.draw("trace.png")

Most of what goes wrong in training shows here before it shows in the loss: activations whose spread shrinks or grows
from layer to layer, units that are zero for every image, gradients that vanish on their way down.
"""

import contextlib
import html
from dataclasses import dataclass

import numpy as np

from minighost import notebook
from minighost.nn import Hook, Parameter, fusing, hooked

__all__ = ["Layer", "Statistics", "Trace", "trace"]

BINS = 48


@dataclass(frozen=True)
class Statistics:
    """Of one array.

    Attributes
    ----------
    shape : tuple of int
    mean, std, low, high : float
        Over all finite numbers; nan if there are none.
    rms : float
        Root of the mean square, the size of a gradient.
    zeros : float
        Share of exact zeros.
    dead : int
        Channels (last axis) that are zero everywhere.
    bad : int
        Numbers that are infinite or not a number.
    counts, edges : ndarray, shape (48,) and (49,)
        Histogram between `low` and `high`, or a little beyond them where they are too close for this number of bins.
    """

    shape: tuple
    mean: float
    std: float
    low: float
    high: float
    rms: float
    zeros: float
    dead: int
    bad: int
    counts: np.ndarray
    edges: np.ndarray

    @classmethod
    def of(cls, x):
        """Statistics of an array of at least one axis."""
        finite = x[np.isfinite(x)].astype(np.float64)
        low, high = (finite.min(), finite.max()) if finite.size else (np.nan, np.nan)
        counts, edges = np.histogram(finite, BINS, _range(low, high) if finite.size else None)
        return cls(
            shape=x.shape,
            mean=finite.mean() if finite.size else np.nan,
            std=finite.std() if finite.size else np.nan,
            low=low,
            high=high,
            rms=np.sqrt(np.mean(finite**2)) if finite.size else np.nan,
            zeros=float(np.mean(x == 0)) if x.size else np.nan,
            dead=int(np.all(x == 0, axis=tuple(range(x.ndim - 1))).sum()) if x.size else 0,
            bad=x.size - finite.size,
            counts=counts,
            edges=edges,
        )


def _range(low, high):
    """`low` to `high`, widened if bins would have no width: numbers far from zero may have no others between them."""
    room = 2 * BINS * np.spacing(max(-low, high))
    if low == high:
        room = max(0.5, room)
    return (low, high) if high - low > room else (low - room, high + room)


@dataclass
class Layer:
    """One layer at its last forward and backward.

    Attributes
    ----------
    path, kind : str
        Its name in the model, as in ``stages.2.ghost1.cheap.bn``, and its class.
    input, output : Statistics
    dout, dx : Statistics or None
        The gradients of output and input; None before a backward, and where a layer is spared its dx.
    """

    path: str
    kind: str
    input: Statistics
    output: Statistics
    dout: Statistics | None = None
    dx: Statistics | None = None


class Trace:
    """What `trace` has recorded: a `Layer` for each path, in the order of their first forward.

    ``trace["stem.bn"]`` is one layer, iteration gives all, `str` a table, `draw` a picture.
    """

    def __init__(self):
        self.layers = {}

    def __getitem__(self, path):
        if path not in self.layers:
            raise KeyError(f"trace: no layer {path!r} was run; available: {', '.join(self.layers) or 'none'}")
        return self.layers[path]

    def __iter__(self):
        return iter(self.layers.values())

    def __len__(self):
        return len(self.layers)

    def __str__(self):
        width = max([len("layer"), *(len(layer.path) for layer in self)])
        head = f"{'mean':>8}  {'std':>8}  {'zeros':>6}  {'dead':>9}  {'rms of dout':>11}"
        return "\n".join([f"{'layer':{width}}  {'output':>12}  {head}", *(_row(layer, width) for layer in self)])

    def _repr_html_(self):
        from minighost.plots.figure import png
        from minighost.plots.trace import save

        if not self.layers:
            return "<p>trace: no layer ran inside the with block</p>"
        picture = notebook.image(png(lambda path: save(list(self), path)), "the layers from top to bottom")
        return f"{picture}<details><summary>as a table</summary><pre>{html.escape(str(self))}</pre></details>"

    def draw(self, path):
        """Draw spread, dead units, gradients and histograms through the depth as a picture; returns its path."""
        from minighost.plots.trace import save  # matplotlib takes a second to import

        if not self.layers:
            raise ValueError("trace: nothing to draw: no layer ran inside the with block")
        return save(list(self), path)


@contextlib.contextmanager
def trace(model):
    """Record every layer of a model while it runs.

    Inside the block training goes layer by layer (``nn.fusing(False)``), so that there is something to see between a
    convolution and its batch norm; results are those of the fused kernels up to rounding. The arrays themselves are not
    kept.

    Parameters
    ----------
    model : Module

    Yields
    ------
    Trace
        Filled by each forward and backward; a later one replaces an earlier one.

    Raises
    ------
    TypeError
        `model` is not a Module.
    RuntimeError
        It is being traced already.

    Examples
    --------
    >>> import minighost as mg
    >>> layer = mg.nn.Sequential(mg.nn.Conv2d(1, 2, 1, rng=0), mg.nn.ReLU())
    >>> with mg.trace(layer) as seen:
    ...     out = layer(np.ones((1, 2, 2, 1), np.float32))
    >>> [(one.path, one.kind, one.output.shape) for one in seen]
    [('0', 'Conv2d', (1, 2, 2, 2)), ('1', 'ReLU', (1, 2, 2, 2))]
    """
    if not hasattr(model, "named_modules"):
        raise TypeError(f"trace: model is a {type(model).__name__}, must be a Module")
    found, paths = Trace(), {}
    for path, module in model.named_modules():
        if isinstance(getattr(module.forward, "hook", None), _Recorder):
            raise RuntimeError(f"trace: {path} is being traced already; leave the outer `with mg.trace(...)` first")
        if not list(module.children()) or any(isinstance(value, Parameter) for value in vars(module).values()):
            paths[module] = path or type(module).__name__
    with hooked(paths, _Recorder(found, paths)), fusing(False):
        yield found


class _Recorder(Hook):
    """Takes the statistics of what passes."""

    def __init__(self, found, paths):
        self.layers, self.paths, self.inputs = found.layers, paths, []  # innermost last

    def before_forward(self, module, x):
        self.inputs.append(Statistics.of(x))  # at once: the layer may be allowed to work in place

    def after_forward(self, module, x, out):
        path = self.paths[module]
        self.layers[path] = Layer(path, type(module).__name__, self.inputs.pop(), Statistics.of(out))

    def before_backward(self, module, dout):
        self.inputs.append(Statistics.of(dout))

    def after_backward(self, module, dout, dx):
        layer, above = self.layers.get(self.paths[module]), self.inputs.pop()
        if layer is not None:  # otherwise its forward ran before the block
            layer.dout, layer.dx = above, Statistics.of(dx) if dx is not None else None


def _row(layer, width):
    out = layer.output
    shape = "x".join(map(str, out.shape[1:]))
    dead = f"{out.dead}/{out.shape[-1]}" if out.dead else "-"
    gradient = f"{layer.dout.rms:11.2e}" if layer.dout else f"{'-':>11}"
    bad = sum(s.bad for s in (out, layer.dout) if s)
    note = f"   {bad:,} numbers are infinite or NaN" if bad else ""
    numbers = f"{out.mean:8.3g}  {out.std:8.3g}  {out.zeros:6.1%}  {dead:>9}  {gradient}{note}"
    return f"{layer.path:{width}}  {shape:>12}  {numbers}"
