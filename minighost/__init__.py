"""minighost: a deep-learning framework to read in a weekend and to train GhostNet with on a laptop.

``import minighost as mg`` loads nothing heavy; each room is opened when it is first used::

    model = mg.models.create("ghostnet", width=0.5, num_classes=10, stem_stride=1, rng=0)
    logits = model(x)                                            # x: (N, H, W, 3) float32
    loss, dlogits = mg.ops.softmax_cross_entropy(logits, labels)
    dx = model.backward(dlogits)                                 # fills p.grad of every parameter
    mg.train.SGD(model.parameters(), lr=0.1, momentum=0.9).step()
"""

import importlib

__version__ = "0.1.0"
__all__ = [
    "analysis",
    "bench",
    "cli",
    "data",
    "errors",
    "gradcheck",
    "interop",
    "learn",
    "models",
    "nn",
    "ops",
    "stepper",
    "threads",
    "trace",
    "train",
]

FUNCTIONS = {"threads": "ops", "trace": "analysis"}  # the two that are used so often that they need no room's name


def __getattr__(name):
    if name in FUNCTIONS:
        return getattr(importlib.import_module(f"minighost.{FUNCTIONS[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"minighost.{name}")
    raise AttributeError(f"module 'minighost' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return __all__
