"""Exponential moving average of the weights (Polyak & Juditsky 1992; the warm-up follows TensorFlow's).

    shadow <- d * shadow + (1 - d) * weight,     d = min(decay, (1 + t) / (10 + t)),   t = updates so far

The average is what is evaluated: near the end of a run it is a flatter, calmer point than the last weights.
Batch norm's running statistics are averaged with the same ``d``, not copied: the averaged weights belong to an earlier
moment than the latest ones, and so must the statistics that normalise their activations. Integer buffers are copied.
"""

from contextlib import contextmanager

import numpy as np

from minighost.arguments import number
from minighost.train.optim import blend

__all__ = ["EMA"]

BLOCK = 1 << 15


class EMA:
    """Average of a model's parameters and buffers.

    Parameters
    ----------
    model : Module
        Its weights at this moment are the first average.
    decay : float
        Limit of ``d``, in [0, 1).
    """

    def __init__(self, model, decay):
        self.model, self.decay, self.updates = model, number("EMA", "decay", decay, least=0, below=1), 0
        self._live = dict(model.named_parameters(False)) | dict(model.named_buffers(False))  # the names of its state
        self.shadow = {name: np.array(value.data, order="C") for name, value in self._live.items()}
        self._scratch = {}

    def update(self):
        """Draw the average towards the model's present weights."""
        d = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, value in self._live.items():
            shadow = self.shadow[name]
            if shadow.dtype.kind == "f":
                self._blend(shadow.reshape(-1), np.asarray(value.data).reshape(-1), d)
            else:
                shadow[...] = value.data

    def _blend(self, shadow, value, d):
        if shadow.dtype not in self._scratch:
            self._scratch[shadow.dtype] = np.empty(BLOCK, shadow.dtype)
        for lo in range(0, shadow.size, BLOCK):
            s = shadow[lo : lo + BLOCK]
            blend(s, value[lo : lo + BLOCK], d, self._scratch[shadow.dtype][: s.size])

    @contextmanager
    def swapped(self):
        """Within the block the model has the averaged weights; afterwards its own again, bit for bit."""
        own = self.model.state_dict()
        self.model.load_state_dict(self.shadow)
        try:
            yield self.model
        finally:
            self.model.load_state_dict(own)

    def state_dict(self):
        """Copies of the averages under the model's names, and ``"ema.updates"`` (0-d int64)."""
        return {
            **{name: value.copy() for name, value in self.shadow.items()},
            "ema.updates": np.array(self.updates, np.int64),
        }

    def load_state_dict(self, state):
        """Take over what `state_dict` gave; ValueError names what differs and nothing is loaded."""
        expected = {**{name: value.shape for name, value in self.shadow.items()}, "ema.updates": ()}
        problems = [f"missing {name!r}" for name in expected if name not in state]
        problems += [f"unexpected {name!r}" for name in state if name not in expected]
        problems += [
            f"{name!r} has shape {np.shape(state[name])}, expected {shape}"
            for name, shape in expected.items()
            if name in state and np.shape(state[name]) != shape
        ]
        if problems:
            raise ValueError("EMA: this state belongs to another model: " + "; ".join(problems))
        for name, value in self.shadow.items():
            value[...] = state[name]
        self.updates = int(state["ema.updates"])
