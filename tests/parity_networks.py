"""A network here and the same network in PyTorch: the same weights, the same images; are they the same function?

`compare` sends our weights over under their names, has a process of its own (`torch_networks.py`) run theirs, and
holds everything that a training step computes against it: logits in training and in evaluation, loss, the gradient of
every parameter, running statistics.

What PyTorch said can be kept: `digest` makes a few numbers of it, which the default suite compares with, without
PyTorch (`test_parity_kept`). So weights and images come from a hash, not from a generator whose numbers may change.
"""

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.testing import assert_allclose

from minighost import interop, models, nn, ops

__all__ = ["CLOSE", "Case", "answers", "compare", "digest", "hold", "numbers", "subject"]

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
    shift : float
        How far batch norms move even channels up and odd ones down, in deviations. At a kink such as that of ReLU the
        gradient jumps, and of a million activations one is so close to it that in float32 it may fall on either side;
        2.5 keeps all but a few hundred away, which are still on both sides. Hard swish's kinks are at -3 and 3: what
        goes into it stays about 0.
    damped : str, optional
        Pattern of weights that begin ten times smaller: of the batch norms that end residual branches. A deep network
        in training makes of the rounding of single precision more than is allowed, and less if the branches are weak.
    dtypes : tuple of str
        "float64" alone for a network without such branches that does so.
    lift : float
        As `shift`, but all channels up, for networks in which depthwise convolutions follow ReLU: one of a channel that
        is nearly always 0 leaves batch norm no deviation to divide by.
    steady : str, optional
        Pattern of batch norms that do not move: no kink follows a linear bottleneck, and a large mean takes digits from
        the deviation.
    """

    name: str
    options: dict[str, Any]
    peer: str
    peer_options: dict[str, Any] = {}
    side: int = 64
    names: str = ""
    images: int = 8
    shift: float = 0.0
    damped: str = r"(?!)"
    dtypes: tuple[str, ...] = ("float64", "float32")
    lift: float = 0.0
    steady: str = r"(?!)"

    @property
    def table(self):
        library = self.peer.partition(":")[0]
        return self.names or ("pytorch" if library == "twins" else library)


def subject(case, classes=7):
    """Our network in float64, without dropout, images and labels."""
    x, labels = numbers((case.images, case.side, case.side, 3), 0) * 2, np.arange(case.images) % classes
    model = models.create(case.name, **case.options, num_classes=classes, rng=0).astype(np.float64)
    for module in model.modules():
        if isinstance(module, (nn.Dropout, nn.StochasticDepth)):
            module.p = 0.0
    for k, (path, value) in enumerate([*model.named_parameters(), *model.named_buffers()]):
        value.data[...] = _start(path, value.shape, k + 1) * (0.1 if re.search(case.damped, path) else 1)
    units = [module for module in model.modules() if isinstance(module, nn.ConvBNAct)]
    spared = {unit.bn for unit in units if isinstance(unit.act, nn.HardSwish)}
    for path, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d) and module not in spared and not re.search(case.steady, path):
            module.bias.data += case.lift + case.shift * (1 - np.arange(module.bias.size) % 2 * 2)
    return model, x, labels


def numbers(shape, seed):
    """Numbers from -1 to 1 that look random: splitmix64 of their places (Steele, Lea & Flood 2014)."""
    with np.errstate(over="ignore"):
        z = np.arange(math.prod(shape), dtype=np.uint64) + np.uint64(seed << 40)
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) / 2.0**63 - 1).reshape(shape)


def _start(path, shape, seed):
    """Weights as large as He's; batch norms that differ, for of equal ones an exchange could not be seen."""
    if len(shape) > 1:
        return numbers(shape, seed) * np.sqrt(6 / math.prod(shape[:-1]))
    return 0.2 * numbers(shape, seed) + (0 if path.endswith(("bias", "running_mean")) else 1)


def compare(case, folder, classes=7):
    """Raise AssertionError, naming the array, where the two differ; returns PyTorch's answers in float64."""
    model, x, labels = subject(case, classes)
    start = model.state_dict()
    request = {"peer": case.peer, "options": {**case.peer_options, "num_classes": classes}, "dtypes": case.dtypes}
    np.savez(folder / "weights.npz", **interop.state_dict(model, case.table))
    np.savez(folder / "data.npz", x=x, labels=labels)
    (folder / "request.json").write_text(json.dumps(request))
    script = Path(__file__).with_name("torch_networks.py")
    subprocess.run([sys.executable, script, folder], check=True, timeout=600)
    kept = {}
    for dtype in case.dtypes:
        model.load_state_dict(start)
        ours = answers(model.astype(dtype), x.astype(dtype), labels, case.table)
        with np.load(folder / f"{dtype}.npz") as theirs:
            kept[dtype] = {key: theirs[key] for key in theirs.files}
        hold(ours, kept[dtype], CLOSE[dtype], f"{case.name}, {dtype}")
        model.astype(np.float64)
    return kept["float64"]


def digest(found):
    """Of answers a few numbers: logits and loss as they are, of every other array its product with a random one."""
    whole = "training", "evaluation", "loss"
    return {
        key: np.asarray(value) if key in whole else np.vdot(value, numbers(value.shape, 1))
        for key, value in found.items()
    }


def hold(ours, theirs, tolerance, where):
    assert ours.keys() == theirs.keys(), f"{where}: {sorted(ours.keys() ^ theirs.keys())}"
    largest = max(np.abs(value).max() for key, value in theirs.items() if key.startswith("gradient"))
    for key, value in theirs.items():
        scale = largest if key.startswith("gradient") else np.abs(value).max()
        assert_allclose(ours[key], value, rtol=0, atol=tolerance * max(scale, 1e-3), err_msg=f"{where}: {key}")


def answers(model, x, labels, table):
    """Everything that a training step of ours computes, under the table's names."""
    model.train().zero_grad()
    logits = model(x)
    loss, dlogits = ops.softmax_cross_entropy(logits, labels)
    model.backward(dlogits)
    found = {"training": logits, "loss": np.array(loss)}
    found |= {f"gradient {name}": grad for name, grad in interop.gradients(model, table).items()}
    moving = [name for name in interop.state_dict(model, table) if "running_" in name]
    found |= {name: interop.state_dict(model, table)[name] for name in moving}
    norms = {module: module.momentum for module in model.modules() if isinstance(module, nn.BatchNorm2d)}
    for module in norms:
        module.momentum = 1.0
    model(x)  # statistics that fit, for evaluation: else the gates of GhostNetV2 see huge numbers and lose five digits
    for module, momentum in norms.items():
        module.momentum = momentum
    return {**found, "evaluation": model.eval()(x)}
