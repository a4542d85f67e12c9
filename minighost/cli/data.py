"""Look at a data set: is it complete, how many images per class, how bright.

Every record is read and checked. --out draws the first images of each class.
CIFAR-10 is looked for in --data-dir, in --data-archive, or else in the download
folder.
"""

from minighost.cli import flags

HELP = "inspect, verify or download a data set"

EXAMPLES = """\
examples:
  minighost data --out shapes.png
  minighost data --data cifar10 --data-dir ~/data
  minighost data --data cifar10 --download
"""


def add_arguments(parser):
    flags.add_config_flags(parser, ["--data", "--data-dir", "--data-archive"])
    parser.add_argument("--download", action="store_true", help="download CIFAR-10 (170 MB) if it is not there yet")
    parser.add_argument("--out", dest="sheet", metavar="FILE.png", help="write a contact sheet of the images")


def run(args):
    from minighost.plots.figure import check_picture
    from minighost.plots.sheets import contact_sheet
    from minighost.train import Config

    check_picture("--out", args.sheet)
    config = Config.resolve(toml_path=args.config, overrides=flags.overrides(args))
    train, test = (_load(config, split, args.download) for split in ("train", "test"))
    print("\n".join(_lines(train, test)))
    if args.sheet is not None:
        contact_sheet(train, args.sheet)
        print(f"\ncontact sheet: {args.sheet}")


def _load(config, split, download):
    from minighost import data
    from minighost.data.download import data_directory

    chosen = config.data
    here_only = data.describe(chosen.name).reads_files and not (chosen.dir or chosen.archive or download)
    directory = data_directory() if here_only else chosen.dir
    size = chosen.train_size if split == "train" else chosen.test_size
    try:
        return data.load(chosen.name, split, directory=directory, archive=chosen.archive, n=size)
    except FileNotFoundError as error:
        if not here_only:
            raise
        ways = "--download fetches it (170 MB), --data-dir DIR or --data-archive FILE reads your copy"
        raise FileNotFoundError(f"no CIFAR-10 in {directory}; {ways}") from error


def _lines(train, test):
    import numpy as np

    from minighost.data import channel_statistics
    from minighost.terminal.text import table

    height, width = train.images.shape[1:3]
    counts = [np.bincount(part.labels, minlength=len(part.classes)) for part in (train, test)]
    rows = [(name, f"{a:,}", f"{b:,}") for name, a, b in zip(train.classes, *counts, strict=True)]
    mean, std = channel_statistics(train.images)
    return [
        f"{train.name}: {len(train):,} training and {len(test):,} test images, {height}x{width} RGB; all valid",
        "",
        *table([*rows, ("all", f"{len(train):,}", f"{len(test):,}")], ("class", "training", "test"), "<>>"),
        "",
        "training images, 0..1   red     green   blue",
        "mean                    " + "  ".join(f"{v:.4f}" for v in mean),
        "standard deviation      " + "  ".join(f"{v:.4f}" for v in std),
    ]
