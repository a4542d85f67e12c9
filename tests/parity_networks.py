"""A network here and the same network in PyTorch: the same weights, the same images; are they the same function?

`compare` sends our weights over under their names, has a process of its own (`torch_networks.py`) run theirs, and
holds everything that a training step computes against it: logits in training and in evaluation, loss, the gradient of
every parameter, running statistics.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.testing import assert_allclose

from minighost import interop, models, nn, ops

__all__ = ["CLOSE", "Case", "compare"]

# How far numbers may be apart, relative to the largest of the array, and of gradients also to the largest of all.
CLOSE = {"float64": 1e-9, "float32": 1e-4}


class Case(NamedTuple):
    """What is compared with what.

    Attributes
    ----------
    name, options
        For `models.create`.
    peer : str
        "torchvision:resnet18", "timm:ghostnet_100", or "twins:alexnet" for a network of ``tests/torch_twins.py``.
    peer_options : dict
        For the peer's constructor; ``num_classes`` is passed on by itself.
    side : int
        Of the images.
    names : str, optional
        The table of names, by default the peer's library; of twins "pytorch".
    images : int
        In training every channel needs a few numbers, or its deviation is near 0.
    """

    name: str
    options: dict[str, Any]
    peer: str
    peer_options: dict[str, Any] = {}
    side: int = 64
    names: str = ""
    images: int = 4

    @property
    def table(self):
        library = self.peer.partition(":")[0]
        return self.names or ("pytorch" if library == "twins" else library)


def compare(case, folder, classes=7):
    """Raise AssertionError, naming the array, where the two differ."""
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(case.images, case.side, case.side, 3)), rng.integers(0, classes, case.images)
    model = _without_chance(models.create(case.name, **case.options, num_classes=classes, rng=0)).astype(np.float64)
    _make_uneven(model, rng)
    start = model.state_dict()
    request = {"peer": case.peer, "options": {**case.peer_options, "num_classes": classes}, "dtypes": list(CLOSE)}
    np.savez(folder / "weights.npz", **interop.state_dict(model, case.table))
    np.savez(folder / "data.npz", x=x, labels=labels)
    (folder / "request.json").write_text(json.dumps(request))
    script = Path(__file__).with_name("torch_networks.py")
    subprocess.run([sys.executable, script, folder], check=True, timeout=600)
    for dtype, tolerance in CLOSE.items():
        model.load_state_dict(start)
        ours = _answers(model.astype(dtype), x.astype(dtype), labels, case.table)
        with np.load(folder / f"{dtype}.npz") as theirs:
            _hold(ours, {key: theirs[key] for key in theirs.files}, tolerance, f"{case.name}, {dtype}")
        model.astype(np.float64)


def _hold(ours, theirs, tolerance, where):
    assert ours.keys() == theirs.keys(), f"{where}: {sorted(ours.keys() ^ theirs.keys())}"
    largest = max(np.abs(value).max() for key, value in theirs.items() if key.startswith("gradient"))
    for key, value in theirs.items():
        scale = largest if key.startswith("gradient") else np.abs(value).max()
        assert_allclose(ours[key], value, rtol=0, atol=tolerance * max(scale, 1e-3), err_msg=f"{where}: {key}")


def _answers(model, x, labels, table):
    model.train().zero_grad()
    logits = model(x)
    loss, dlogits = ops.softmax_cross_entropy(logits, labels)
    model.backward(dlogits)
    found = {"training": logits, "loss": np.array(loss)}
    found |= {f"gradient {name}": grad for name, grad in interop.gradients(model, table).items()}
    moving = [name for name in interop.state_dict(model, table) if "running_" in name]
    found |= {name: interop.state_dict(model, table)[name] for name in moving}
    return {**found, "evaluation": model.eval()(x)}


def _without_chance(model):
    for module in model.modules():
        if isinstance(module, (nn.Dropout, nn.StochasticDepth)):
            module.p = 0.0
    return model


def _make_uneven(model, rng):
    """With scale 1 and shift 0 an exchange of two batch norms could not be seen; zero biases would hide theirs."""
    for path, value in [*model.named_parameters(), *model.named_buffers()]:
        if value.data.ndim == 1:
            low, high = (-0.2, 0.2) if path.endswith(("bias", "running_mean")) else (0.8, 1.2)
            value.data[...] = rng.uniform(low, high, value.data.shape)
