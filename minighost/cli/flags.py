"""Flags that several commands share, and the way from a flag to a key of the configuration.

A flag's value stays a string here: `train.Config` knows every key's type and bounds, so that ``--lr x``,
``--set train.lr=x`` and a line in a TOML file are judged by one rule and in the same words.
"""

__all__ = ["add_config_flags", "add_run_flags", "overrides"]

KEYS = {  # flag: (key, metavar, help)
    "--model": ("model.name", "NAME", "the network (ghostnet)"),
    "--width": ("model.width", "W", "width multiplier of the network"),
    "--stem-stride": ("model.stem_stride", "S", "stride of the first convolution (1 suits small images)"),
    "--data": ("data.name", "NAME", "shapes10 (embedded) or cifar10"),
    "--data-dir": ("data.dir", "DIR", "folder that holds the data set"),
    "--data-archive": ("data.archive", "FILE", "the data set's archive, read without unpacking"),
    "--epochs": ("train.epochs", "N", "passes over the training images"),
    "--batch-size": ("train.batch_size", "N", "images a step"),
    "--lr": ("train.lr", "LR", "peak learning rate"),
    "--seed": ("seed", "N", "the one number all randomness comes from"),
    "--threads": ("threads", "N", "threads of the kernels (0: every core); the results do not depend on it"),
    "--out": ("out", "RUN", "folder of the run"),
}


def add_config_flags(parser, flags):
    """Add the named flags of `KEYS`, then ``--config`` and ``--set``."""
    for flag in flags:
        key, metavar, text = KEYS[flag]
        parser.add_argument(flag, dest=key, metavar=metavar, help=text)
    parser.add_argument("--config", metavar="FILE.toml", help="settings from a file; flags and --set win over it")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[],
                        help="any setting, as in train.momentum=0.8; may be repeated; a wrong KEY lists them all")


def overrides(args):
    """What the flags and ``--set`` change, as a dict from key to string; ``--set`` wins over a flag."""
    found = {key: value for key, _, _ in KEYS.values() if (value := getattr(args, key, None)) is not None}
    for setting in args.set:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"--set {setting}: must read KEY=VALUE, as in --set train.epochs=3")
        found[key.strip()] = value.strip()
    return found


def add_run_flags(parser):
    """Add what every command that reads a finished run takes."""
    parser.add_argument("--checkpoint", metavar="RUN", required=True, help="folder of a run of `minighost train`")
    parser.add_argument("--best", action="store_true",
                        help="the weights that did best on the test images instead of the last ones")
    parser.add_argument("--threads", metavar="N", type=int, help=KEYS["--threads"][2])
