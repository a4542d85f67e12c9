"""A network of PyTorch's world, run in a process of its own on weights and images from `parity_networks.py`.

    python torch_networks.py FOLDER

FOLDER holds ``request.json``, ``weights.npz`` (their names and layouts) and ``data.npz``; the answers go to
``float64.npz`` and ``float32.npz``.
"""

import importlib
import json
import sys
import types
from pathlib import Path

import numpy as np
import torch
from torch import nn


def _hard_sigmoid(x, inplace=False):
    return nn.functional.relu6(x + 3) / 6


# PyTorch's own kernels multiply by a single-precision 1/6, so that float64 agrees to 1e-8 only.
nn.functional.hardsigmoid = _hard_sigmoid
nn.functional.hardswish = lambda x, inplace=False: x * _hard_sigmoid(x)


def _torchvision():
    """torchvision's networks, which use none of its compiled operators: those may not fit the installed PyTorch."""
    name = "torchvision._meta_registrations"  # asks for these operators at import
    sys.modules.setdefault(name, types.ModuleType(name))
    return importlib.import_module("torchvision.models")


def build(peer, options):
    """The network, without dropout and stochastic depth."""
    library, _, name = peer.partition(":")
    if library == "torchvision":
        model = getattr(_torchvision(), name)(**options)
    elif library == "timm":
        _torchvision()
        form, options = options.get("form"), {key: value for key, value in options.items() if key != "form"}
        model = importlib.import_module("timm").create_model(name, **options)
        if form == "fused":
            model = importlib.import_module("timm.utils.model").reparameterize_model(model).requires_grad_()
    else:
        model = getattr(importlib.import_module("torch_twins"), name)(**options)
    for module in model.modules():
        if isinstance(module, nn.Dropout) or type(module).__name__ == "StochasticDepth":
            module.p = 0.0
        if type(module).__name__ == "DropPath":
            module.drop_prob = 0.0
        if type(module).__name__.startswith("Dropout"):
            module.p = 0.0
    for name in ("drop_rate", "drop_path_rate"):  # timm's functional dropout
        if hasattr(model, name):
            setattr(model, name, 0.0)
    return model


def load(model, weights):
    """All weights under their names, nothing missing but counters."""
    result = model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()}, strict=False)
    missing = [name for name in result.missing_keys if not name.endswith("num_batches_tracked")]
    if missing or result.unexpected_keys:
        raise SystemExit(f"missing: {missing}\nunexpected: {result.unexpected_keys}")


def answers(model, x, labels):
    """Everything that a training step computes, and logits in evaluation after it."""
    logits = model.train()(x)
    loss = nn.functional.cross_entropy(logits, labels)
    loss.backward()
    found = {"training": logits, "loss": loss}
    found |= {f"gradient {name}": p.grad for name, p in model.named_parameters() if p.grad is not None}
    found |= {name: value for name, value in model.named_buffers() if "running_" in name}
    found = {name: value.detach().clone() for name, value in found.items()}
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        model(x)
        found["evaluation"] = model.eval()(x)
    return {name: value.numpy() for name, value in found.items()}


def main(folder):
    request = json.loads((folder / "request.json").read_text())
    with np.load(folder / "weights.npz") as file:
        weights = {name: file[name] for name in file.files}
    data = np.load(folder / "data.npz")
    labels = torch.from_numpy(data["labels"])
    for dtype in request["dtypes"]:
        model = build(request["peer"], request["options"]).double()
        load(model, weights)
        model = model.to(getattr(torch, dtype))
        x = torch.from_numpy(data["x"].transpose(0, 3, 1, 2).copy()).to(getattr(torch, dtype))
        np.savez(folder / f"{dtype}.npz", **answers(model, x, labels))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
