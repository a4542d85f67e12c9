"""Exponential moving average of the weights (Polyak & Juditsky 1992; the warm-up follows TensorFlow's).

    shadow <- d * shadow + (1 - d) * weight,     d = min(decay, (1 + t) / (10 + t)),   t = updates so far

The average is what is evaluated: near the end of a run it is a flatter, calmer point than the last weights.
Batch norm's running statistics are averaged with the same ``d``, not copied: the averaged weights belong to an earlier
moment than the latest ones, and so must the statistics that normalise their activations. Integer buffers are copied.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minighost.arguments import number
from minighost.engine.updates import average_update
from minighost.nn.flat import Place, neighbours
from minighost.nn.module import Module
from minighost.train.rows import row
from minighost.type_aliases import Array, State

__all__ = ["EMA"]


class EMA:
    """Average of a model's parameters and buffers.

    Parameters
    ----------
    model : Module
        Its weights at this moment are the first average.
    decay : float
        Limit of ``d``, in [0, 1).
    """

    def __init__(self, model: Module, decay: float) -> None:
        self.model, self.decay, self.updates = model, number("EMA", "decay", decay, least=0, below=1), 0
        self._live = dict(model.named_parameters(False)) | dict(model.named_buffers(False))  # the names of its state
        self.shadow = {name: _copy(value.data) for name, value in self._live.items()}
        self._places: list[Place | bool | None] | None = None
        self._pairs: list[tuple[Array, Any]] = []

    def __getstate__(self):
        """What a copy takes along: its weights lie in no row."""
        return {**vars(self), "_places": None, "_pairs": []}

    def update(self) -> None:
        """Draw the average towards the model's current weights."""
        d = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        places = [value.frozen or value.place for value in self._live.values()]
        if places != self._places:
            self._places, self._pairs = places, self._lay_out()
        for average, value in self._pairs:
            value = value if isinstance(value, np.ndarray) else value.data
            if average.dtype.kind == "f":
                average_update(average.reshape(-1), row(value, average.dtype), d)
            else:
                average[...] = value

    def take_frozen(self) -> None:
        """What has been frozen since is its own average from now on."""
        for name, value in self._live.items():
            if value.frozen:
                self.shadow[name][...] = value.data

    def _lay_out(self):
        """Lay the averages out as the weights lie; pairs of an average, and a row of weights or a single one of them.

        A tied weight has several names, but one average. What is frozen is left out: it is its own average.
        """
        names: dict[int, list[str]] = {}
        for name, value in self._live.items():
            if not value.frozen:
                names.setdefault(id(value), []).append(name)
        pairs = []
        for run in neighbours({id(value): value for value in self._live.values() if not value.frozen}.values()):
            first, last = run[0].place, run[-1].place
            if first is None:
                average = self.shadow[names[id(run[0])][0]]
                self.shadow.update(dict.fromkeys(names[id(run[0])], average))
                pairs.append((average, run[0]))
                continue
            averages = np.zeros(last.end - first.start, first.flat.data.dtype)
            for value in run:
                lo = value.place.start - first.start
                average = averages[lo : lo + value.size].reshape(value.shape)
                average[...] = self.shadow[names[id(value)][0]]
                self.shadow.update(dict.fromkeys(names[id(value)], average))
            pairs.append((averages, first.flat.data[first.start : last.end]))
        return pairs

    @contextmanager
    def swapped(self) -> Iterator[Module]:
        """Within the block the model has the averaged weights; afterwards its own again, bit for bit."""
        own = self.model.state_dict()
        self.model.load_state_dict(self.shadow)
        try:
            yield self.model
        finally:
            self.model.load_state_dict(own)

    def state_dict(self) -> State:
        """Copies of the averages under the model's names, and ``"ema.updates"`` (0-d int64)."""
        return {
            **{name: value.copy() for name, value in self.shadow.items()},
            "ema.updates": np.array(self.updates, np.int64),
        }

    def load_state_dict(self, state: State) -> None:
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


def _copy(x):
    """A copy that a kernel can average; halves are averaged as single precision."""
    dtype = np.result_type(x.dtype, np.float32) if x.dtype.kind == "f" else x.dtype
    return np.array(x, dtype.newbyteorder("="), order="C")
