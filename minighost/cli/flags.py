"""Flags that several commands share, and the way from a flag to a key of the configuration.

A flag's value stays a string here: `train.Config` knows every key's type and bounds, so that ``--lr x``,
``--set train.lr=x`` and a line in a TOML file are judged by one rule and in the same words.
"""

from minighost.data.sets import SETS

__all__ = ["add_config_flags", "add_run_flags", "add_weights_flags", "image_size", "options", "overrides", "shape"]

_SETS = ", ".join(name if about.reads_files else f"{name} (built in)" for name, about in SETS.items())
KEYS = {  # flag: (key, metavar, help)
    "--model": ("model.name", "NAME", "the network (ghostnet), or FILE.py:NAME for your own"),
    "--width": ("model.width", "W", "width multiplier of the network"),
    "--stem-stride": ("model.stem_stride", "S", "stride of the first convolution (1 suits small images)"),
    "--data": (
        "data.name",
        "SOURCE",
        f"{_SETS}, or your own images: a folder with a folder for each class, an .npz, .safetensors or idx file, or "
        "FILE.py:function; to detect, a folder in COCO's format",
    ),
    "--size": ("data.size", "S", "height and width to which images are cut and scaled: a side or HxW"),
    "--split": (
        "data.split",
        "SHARE",
        "share of your images kept for testing (0.2), if they are not divided",
    ),
    "--data-dir": ("data.dir", "DIR", "folder that holds the data set"),
    "--data-archive": ("data.archive", "FILE", "archive of the data set, read without unpacking it"),
    "--task": ("task", "TASK", "classify images; or detect: find things in pictures, with boxes (docs/detection.md)"),
    "--epochs": ("train.epochs", "N", "passes over the training images"),
    "--batch-size": ("train.batch_size", "N", "images per step (batch size)"),
    "--lr": ("train.lr", "LR", "peak learning rate"),
    "--from": ("train.start", "WEIGHTS", "start from a run's folder or a .safetensors file; see docs/fine-tuning.md"),
    "--freeze": ("train.freeze", "LAYER", "keep the layers up to this one as they are; body: all but the head"),
    "--seed": ("seed", "N", "random seed"),
    "--threads": ("threads", "N", "number of threads (0: one per core); results do not depend on it"),
    "--out": ("out", "RUN", "folder of the run"),
}


def add_config_flags(parser, flags):
    """Add the named flags of `KEYS`, then ``--config`` and ``--set``."""
    for flag in flags:
        key, metavar, text = KEYS[flag]
        parser.add_argument(flag, dest=key, metavar=metavar, help=text)
    parser.add_argument("--config", metavar="FILE.toml", help="settings from a file; flags and --set override it")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="any setting, e.g. train.momentum=0.8; may be repeated; an unknown KEY lists all keys",
    )


def overrides(args):
    """What the flags and ``--set`` change, as a dict from key to string; ``--set`` wins over a flag."""
    found = {key: value for key, _, _ in KEYS.values() if (value := getattr(args, key, None)) is not None}
    for setting in args.set:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"--set {setting}: must read KEY=VALUE, e.g. --set train.epochs=3")
        found[key.strip()] = value.strip()
    return found


def options(settings):
    """Options of a network from ``--set KEY=VALUE``, with or without ``model.``, the spelling of other commands."""
    from minighost.train.values import Free

    found = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        key = key.strip().removeprefix("model.")
        if not equals or not key:
            raise ValueError(f"--set {setting}: must read KEY=VALUE, e.g. --set stem_stride=1")
        found[key] = Free().read(f"--set {key}", value.strip())
    return found


def shape(flag, text):
    """The shape of one input, ``8x8x4`` or ``16``."""
    try:
        found = tuple(int(side) for side in text.lower().split("x"))
    except ValueError:
        found = ()
    if len(found) not in (1, 3) or min(found) < 1:
        raise ValueError(f"{flag} {text}: must be HxWxC or C in whole numbers of at least 1, e.g. 8x8x4")
    return found


def add_run_flags(parser):
    """Add what every command that reads a finished run takes."""
    parser.add_argument("--checkpoint", metavar="RUN", required=True, help="run folder written by `minighost train`")
    add_weights_flags(parser)


def add_weights_flags(parser):
    """Which of a run's weights, in which network, on how many threads."""
    parser.add_argument(
        "--best", action="store_true", help="use the weights with the best test accuracy instead of the last ones"
    )
    parser.add_argument(
        "--model", metavar="FILE.py:NAME", help="where the network is defined now, if the run's own file has moved"
    )
    parser.add_argument("--threads", metavar="N", type=int, help=KEYS["--threads"][2])


def image_size(text, flag="--input"):
    """(H, W) of ``--input`` or another flag: one side, or HxW."""
    try:
        sides = [int(side) for side in text.lower().split("x")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2) or min(sides) < 1:
        raise ValueError(f"{flag} {text}: must be one side or HxW in whole pixels, e.g. 224 or 224x192")
    return sides[0], sides[-1]
