"""One measured job: a few steps on however many ranks mpirun has started, as one line of JSON from rank 0.

``mpirun -n 2 python -m versus.scaling_worker MODEL WIDTH BATCH STEPS SYNC``; without mpirun: one process.
"""

import json
import os
import statistics
import sys
import time

import numpy as np

from minighost import data, models, ops
from minighost.data import Augment, Loader, shapes10
from minighost.nn import BatchNorm2d
from minighost.train import Config
from minighost.train.parallel import Single, start
from minighost.train.trainer import Trainer

__all__ = ["main"]

WARM, ROWS = 3, 20  # steps before the clock counts, and reductions that are timed
PROBE = (1 << 10, 1 << 18, 1 << 21)  # float32 numbers of a row


def main(argv):
    model, width, batch, steps, sync = argv[0], float(argv[1]), int(argv[2]), int(argv[3]), argv[4] == "1"
    ranks = start() if {"PMI_SIZE", "OMPI_COMM_WORLD_SIZE"} & os.environ.keys() else Single()
    with ranks, ops.threads(1):
        result = _steps(ranks, model, width, batch, steps, sync)
        if ranks.count > 1:
            result |= {"mean_s": {n: _timed(ranks, n, _ours) for n in PROBE}}
            result |= {"allreduce_s": {n: _timed(ranks, n, _allreduce) for n in PROBE}}
            result |= {"gather_s": _timed(ranks, 64, lambda ranks, row: ranks.gather(row))}
        if ranks.first:
            print(json.dumps(result), flush=True)


def _steps(ranks, name, width, batch, steps, sync):
    overrides = {"train.batch_size": batch, "train.sync_batch_norm": sync, "train.lr": 0.01, "train.flip": True}
    config = Config.resolve(overrides=overrides).train
    images = shapes10(batch * (WARM + steps))
    mean, std = data.channel_statistics(images.images)
    options = {"mean": mean, "std": std, "share": (ranks.rank, ranks.count), "drop_last": True}
    loader = Loader(images, batch, augment=Augment(), **options)
    net = models.create(name, width=width, num_classes=10, rng=0)
    trainer, seconds = Trainer(net, loader, None, config, ranks=ranks), []
    net.train()
    before = time.perf_counter()
    for k, (x, labels) in enumerate(loader.epoch(0)):
        trainer.train_step(x, labels)
        now = time.perf_counter()
        if k >= WARM:
            seconds.append(now - before)
        before = now
    channels = [m.weight.size for m in net.modules() if isinstance(m, BatchNorm2d)]
    return {
        "step_s": statistics.median(seconds),
        "numbers": sum(p.size for p in net.parameters()),
        "batch_norms": len(channels),
        "channels": sum(channels),
    }


def _timed(ranks, numbers, reduce):
    """Seconds of one reduction, the median; all begin together."""
    row, seconds = np.ones(numbers, np.float32), []
    for _ in range(ROWS):
        ranks.any(False)
        before = time.perf_counter()
        reduce(ranks, row)
        seconds.append(time.perf_counter() - before)
    return statistics.median(seconds)


def _ours(ranks, row):
    ranks.mean(row)


def _allreduce(ranks, row):
    from mpi4py import MPI

    MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, row)


if __name__ == "__main__":
    main(sys.argv[1:])
