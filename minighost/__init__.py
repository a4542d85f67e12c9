"""minighost: a deep-learning framework to read in a weekend and to train GhostNet with on a laptop.

``import minighost as mg`` loads nothing heavy; each room is opened when it is first used::

    model = mg.models.create("ghostnet", width=0.5, num_classes=10, stem_stride=1, rng=0)
    logits = model(x)                                            # x: (N, H, W, 3) float32
    loss, dlogits = mg.ops.softmax_cross_entropy(logits, labels)
    dx = model.backward(dlogits)                                 # fills p.grad of every parameter
    mg.train.SGD(model.parameters(), lr=0.1, momentum=0.9).step()

    history = mg.fit(model, train, test, epochs=5)               # images and labels in, curves out
    mg.load("runs/mine").predict("cat.jpg")                      # what a trained network sees
"""

from typing import TYPE_CHECKING

from minighost.lazy import lazy_names

__version__ = "0.2.0"

if TYPE_CHECKING:  # the names below once more, for type checkers, which run nothing
    from minighost import analysis as analysis
    from minighost import bench as bench
    from minighost import cli as cli
    from minighost import data as data
    from minighost import detect as detect
    from minighost import errors as errors
    from minighost import exporting as exporting
    from minighost import gradcheck as gradcheck
    from minighost import interop as interop
    from minighost import learn as learn
    from minighost import models as models
    from minighost import nn as nn
    from minighost import ops as ops
    from minighost import plots as plots
    from minighost import stepper as stepper
    from minighost import train as train
    from minighost.analysis import trace as trace
    from minighost.exporting.write import export as export
    from minighost.ops import threads as threads
    from minighost.stepper.cell import step as step
    from minighost.train.callbacks import Callback as Callback
    from minighost.train.callbacks import StopTraining as StopTraining
    from minighost.train.fitting import fit as fit
    from minighost.train.restore import load as load

else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "analysis": "",
            "bench": "",
            "cli": "",
            "data": "",
            "detect": "",
            "errors": "",
            "exporting": "",
            "gradcheck": "",
            "interop": "",
            "learn": "",
            "models": "",
            "nn": "",
            "ops": "",
            "plots": "",
            "stepper": "",
            "train": "",
            # these are used so often that they need no room's name
            "export": "exporting.write",
            "Callback": "train.callbacks",
            "StopTraining": "train.callbacks",
            "fit": "train.fitting",
            "load": "train.restore",
            "step": "stepper.cell",
            "threads": "ops",
            "trace": "analysis",
        },
    )
