"""A network, data and settings so small that a whole training run takes a fraction of a second."""

import io
import signal

from minighost import nn
from minighost.train import Config, load_checkpoint, read_log
from minighost.train.trainer import Trainer

CLOCK = ("seconds", "test_seconds", "images_per_second")


class TinyNet(nn.Sequential):
    """Convolution, batch norm, dropout, linear: one of each kind of state that a resumed run must restore."""

    def __init__(self, num_classes=10, dropout=0.25, rng=0):
        super().__init__(
            nn.Conv2d(3, 4, 3, stride=4, padding=1, bias=False, rng=rng),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.GlobalAvgPool(),
            nn.Dropout(dropout, rng=rng + 1),
            nn.Linear(4, num_classes, rng=rng + 2),
        )


def settings(out, **changes):
    """3 epochs of 6 steps; keywords are keys with __ for the dot."""
    tiny = {
        "model.name": "tinynet",
        "data.train_size": 100,
        "data.test_size": 40,
        "train.epochs": 3,
        "train.batch_size": 16,
        "train.lr": 0.05,
        "train.warmup_epochs": 0.5,
        "train.ema_decay": 0.9,
        "train.log_every": 2,
        "threads": 1,
        "out": out,
        **{key.replace("__", "."): value for key, value in changes.items()},
    }
    config = Config.resolve(overrides=tiny)
    options = {name: value for name, value in config.model.options.items() if f"model.{name}" in tiny}
    return config.replace(model=type(config.model)(config.model.name, None, options))


def outcome(folder):
    """All that must be equal, bit for bit, whichever way a run reached its end."""
    tensors, meta = load_checkpoint(folder / "checkpoints" / "last")
    lines = [{k: v for k, v in line.items() if k not in CLOCK} for line in read_log(folder / "log.jsonl")]
    sums = {k: v for k, v in meta["trainer"].pop("sums").items() if k != "seconds"}
    return {name: value.tobytes() for name, value in tensors.items()}, meta["trainer"], sums, lines


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


def at_step(monkeypatch, number, action):
    """Do something right after global step `number`."""
    train_step = Trainer.train_step

    def watched(self, x, labels):
        record = train_step(self, x, labels)
        if record["step"] == number:
            action(self)
        return record

    monkeypatch.setattr(Trainer, "train_step", watched)


def ctrl_c(_=None):
    signal.raise_signal(signal.SIGINT)
