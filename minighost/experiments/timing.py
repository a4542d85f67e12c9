"""The arms of an experiment on the clock: a training step and inference, all arms in turns, so that what else the
machine does meets each of them alike. What was measured is kept in the folder, and not measured again unasked.
"""

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from minighost import bench, ops
from minighost.bench.network import TrainingStep, inference_of
from minighost.files import write_atomic
from minighost.inputs import read_regular
from minighost.train.restore import create_model

__all__ = ["FILE", "PARTS", "measure", "median", "read", "scatter"]

FILE = "milliseconds.json"
PARTS = "train", "inference"
BATCH, ROUNDS, WARMUP = 64, 7, 2
LARGEST = 1 << 20


def measure(configs, shapes, folder) -> dict[str, Any]:
    """Time every arm on one thread, a call each in every round, and write the file.

    Parameters
    ----------
    configs : dict of str to Config
        By arm.
    shapes : dict of str to tuple of int
        Images of each arm, (H, W, C).
    folder : path

    Returns
    -------
    dict
        ``batch``, ``threads``, and ``milliseconds``: for each arm its samples by `PARTS`.
    """
    calls = {}
    for name, config in configs.items():
        x = np.random.default_rng(0).normal(size=(BATCH, *shapes[name])).astype(np.float32)
        model = create_model(config, 10)
        folded, step = inference_of(model), TrainingStep(create_model(config, 10), x, np.arange(BATCH) % 10)
        calls[name] = {"train": step, "inference": lambda folded=folded, x=x: folded(x)}
    samples: dict[str, dict[str, list[float]]] = {name: {part: [] for part in PARTS} for name in calls}
    with ops.threads(1):
        for each in calls.values():
            for part in PARTS:
                bench.measure(each[part], 1, WARMUP)
        for _ in range(ROUNDS):
            for name, each in calls.items():
                for part in PARTS:
                    samples[name][part].append(round(1e3 * bench.measure(each[part], 1, 1).samples[0], 4))
    found = {"batch": BATCH, "threads": 1, "milliseconds": samples}
    write_atomic(Path(folder) / FILE, json.dumps(found, indent=1) + "\n")
    return found


def read(folder) -> dict[str, Any]:
    """What `measure` wrote; empty if it wrote nothing, or if the file is damaged."""
    try:
        found = json.loads(read_regular(Path(folder) / FILE, LARGEST))
        for parts in found["milliseconds"].values():
            for part in PARTS:
                statistics.median(map(float, parts[part]))
        return found
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def median(found, arm, part) -> float | None:
    """Milliseconds of a call, as `read` returned them."""
    samples = found.get("milliseconds", {}).get(arm, {}).get(part)
    return None if samples is None else statistics.median(samples)


def scatter(found) -> float:
    """The largest interquartile range of an arm's samples, as a share of their median: what else the machine did."""
    samples = [np.array(parts[part]) for parts in found["milliseconds"].values() for part in PARTS]
    return max(float(np.subtract(*np.percentile(one, [75, 25])) / np.median(one)) for one in samples)
