"""What tests of folding share: networks whose batch norms do something, and the law that a fold computes the same."""

import numpy as np
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import minighost as mg
from minighost import nn
from minighost.engine.inference.step import Step

__all__ = [
    "NETWORKS",
    "SEEDS",
    "TOLERANCE",
    "Doubled",
    "assert_folds",
    "calibrated",
    "network",
    "nodes_of",
    "perturbed",
    "steps_of",
]

# Networks that tests of all kinds try; those of the other families are tried in tests of their own (tests/networks.py).
NETWORKS = "ghostnet", "ghostnet_cifar", "ghostnet_cifar_fast", "ghostnet_short", "quicknet", "resnet20"
SEEDS = st.integers(0, 2**32 - 1)
TOLERANCE = {np.float32: 1e-4, np.float64: 1e-10}
SMALL = {"ghostnet": {"stem_stride": 1}}


def perturbed(model, dtype=np.float64, seed=0):
    """Statistics and parameters as after some training, so that no batch norm is the identity."""
    rng = np.random.default_rng(seed)
    for p in model.parameters():
        if p.data.ndim == 1:
            p.data += 0.3 * rng.normal(size=p.shape)
    for path, b in model.named_buffers():
        b.data[...] = rng.uniform(0.5, 2, b.data.shape) if path.endswith("var") else 0.3 * rng.normal(size=b.data.shape)
    return model.astype(dtype)


def assert_folds(model, x):
    """Folding changes nothing but the rounding."""
    f = nn.fold(model)
    out = f(x)
    with nn.fusing(False):  # the layers themselves
        expected = model.eval()(x)
    assert out.shape == expected.shape and out.dtype == expected.dtype
    scale = np.abs(expected).max() if expected.size else 1
    assert_allclose(out, expected, rtol=0, atol=TOLERANCE[x.dtype.type] * max(scale, 1e-3))
    return f


def nodes_of(f):
    """What it consists of, in order."""
    return [op.node for segment in f.segments for op in segment.ops]


def steps_of(f):
    """The steps of the last plan's only stage."""
    *_, (stages,) = f._plans.values()
    ((_, run),) = stages.written[1]
    return [Step(*step) for step in run.args[0]]


def network(name, dtype=np.float64):
    return perturbed(mg.models.create(name, width=0.25, num_classes=7, rng=0, **SMALL.get(name, {})), dtype)


def calibrated(model, x):
    """With the statistics of these images: activations keep their size, so that rounding errors do not grow."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    model.train()(x)
    return model


class Doubled(nn.Module):
    """A layer that nobody has a rule for; it remembers its last input, like any layer."""

    def __init__(self, C):
        self.norm = nn.BatchNorm2d(C)

    def forward(self, x):
        self._cache = x
        return 2 * self.norm(x)
