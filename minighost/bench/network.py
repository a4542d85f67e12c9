"""A whole network on the clock: a training step, and inference."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minighost import models, nn, ops, own_code
from minighost.bench.cost import inference_cost, training_cost
from minighost.bench.memory import peak_memory
from minighost.bench.profile import profile
from minighost.bench.timing import measure
from minighost.train import SGD, parameter_groups

__all__ = ["MODES", "Measured", "NetworkBench", "TrainingStep", "bench_network", "inference_of"]

MODES = {"train": ("training step",), "infer": ("inference",), "both": ("training step", "inference")}


def inference_of(model):
    """The network as a callable ``f(x) -> logits`` for inference; its weights are copied."""
    return nn.fold(model)


class TrainingStep:
    """Forward, loss, backward, optimizer on one fixed batch, as a callable without arguments that returns the loss.

    Parameters
    ----------
    model : Module
    x : ndarray, shape (N, H, W, C)
    labels : ndarray, shape (N,), integers
    lr : float
        Learning rate.
    """

    def __init__(self, model, x, labels, lr=0.01):
        self.model, self.x, self.labels = model.train().skip_input_gradient(), x, labels
        nn.flatten(self.model)  # as the trainer does
        self.optimizer = SGD(parameter_groups(model, 5e-4), lr=lr, momentum=0.9, nesterov=True)

    def __call__(self):
        """One step."""
        logits = self.model(self.x)
        loss, dlogits = ops.softmax_cross_entropy(logits, self.labels)
        self.optimizer.zero_grad()
        self.model.backward(dlogits)
        self.optimizer.step()
        return loss


@dataclass(frozen=True)
class Measured:
    """One thing that was timed.

    Its name, its `Timing`, the pieces it consists of (`cost.Piece`), images per call, and its `Profile` if wanted.
    """

    name: str
    timing: object
    pieces: list
    images: int
    profile: object = None


@dataclass(frozen=True)
class NetworkBench:
    """What `bench_network` found; peaks in bytes, None where the system does not tell."""

    parameters: int
    results: list
    peak_before: int | None
    peak_after: int | None


def bench_network(name, options, batch=128, size=32, mode="both", repeats=10, warmup=2, profiled=False):
    """Time one network on random images.

    Parameters
    ----------
    name : str
        One of `models.names()`, or ``FILE.py:NAME``.
    options : dict
        For `models.create`; ``num_classes`` must be among them.
    batch, size : int
        Images per step, and their side in pixels.
    mode : str
        "train", "infer" or "both".
    repeats, warmup : int
        As for `measure`.
    profiled : bool
        Take a `Profile` as well, in further calls.

    Returns
    -------
    NetworkBench

    Raises
    ------
    ValueError
        An unknown network or option, or images that do not fit.
    """
    if options.get("features_only", False) is not False:
        raise ValueError("features_only: a network without logits has no training step to time; leave it out")
    model = models.create(name, **{"rng": 0, **options})
    if own_code.parse(name) is not None:
        models.try_out(model, name, (size, size, 3), options["num_classes"])
    x = np.random.default_rng(0).normal(size=(batch, size, size, 3)).astype(np.float32)
    before, results = peak_memory(), []
    call: Callable[[], object]
    for part in MODES[mode]:
        if part == "inference":
            pieces, call = inference_cost(model, x.shape[1:], batch), functools.partial(inference_of(model), x)
        else:
            pieces = training_cost(model, x.shape[1:], batch)
            call = TrainingStep(model, x, np.arange(batch) % options["num_classes"])
        timing = measure(call, repeats, warmup)
        results.append(Measured(part, timing, pieces, batch, profile(call, repeats, 1) if profiled else None))
    return NetworkBench(sum(p.size for p in model.parameters()), results, before, peak_memory())
