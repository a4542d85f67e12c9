"""Look at a data set: is it complete, how many images per class, how bright.

SOURCE is a data set's name or where your own images are: a folder with a folder
for each class, an .npz, .safetensors or idx file, or FILE.py:function. Every
image is read and checked; unreadable files, uneven classes and equal images are
named. --out draws the first images of each class. With --task detect, SOURCE is
a folder in COCO's format, and --out draws the first pictures with their boxes.
CIFAR-10 and CIFAR-100 are looked for in --data-dir, in --data-archive, or else
in the download folder.
"""

from minighost.cli import flags
from minighost.wording import counted

HELP = "inspect, verify or download a data set, or look at your own images"

EXAMPLES = """\
examples:
  minighost data --out shapes.png
  minighost data photos --size 64 --out sheet.png
  minighost data cifar10 --data-dir ~/data
  minighost data cifar100 --download
  minighost data shapes-detect --write-coco shapes
  minighost data shapes --task detect --size 64 --out boxes.png
"""


def add_arguments(parser):
    parser.add_argument("source", metavar="SOURCE", nargs="?", help="the same as --data")
    flags.add_config_flags(parser, ["--data", "--task", "--size", "--split", "--data-dir", "--data-archive"])
    parser.add_argument("--download", action="store_true", help="download CIFAR (170 MB) if it is not there yet")
    parser.add_argument(
        "--write-coco", metavar="DIR", help="write pictures with boxes in COCO's format, in a new folder"
    )
    parser.add_argument("--out", dest="sheet", metavar="FILE.png", help="write a contact sheet of the images")


def run(args):
    from minighost.data.sources import has_boxes
    from minighost.plots.boxes import box_sheet
    from minighost.plots.figure import check_picture
    from minighost.plots.sheets import contact_sheet
    from minighost.train import Config

    check_picture("--out", args.sheet)
    changes = flags.overrides(args)
    if args.source is not None:
        if changes.setdefault("data.name", args.source) != args.source:
            raise ValueError(f"{args.source} and --data {changes['data.name']}: name one data set")
    config = Config.resolve(toml_path=args.config, overrides=changes, check=False)
    opened = _open(config.data, args.download, config.task)
    boxes = has_boxes(opened)
    if args.write_coco is not None:
        _write(opened, args.write_coco, boxes)
    print("\n".join(_lines(opened, boxes)))
    if args.sheet is not None:
        (box_sheet if boxes else contact_sheet)(opened.train, args.sheet)
        print(f"\ncontact sheet: {args.sheet}")


def _write(opened, folder, boxes):
    from minighost.data.coco import write_coco

    if not boxes:
        raise ValueError(
            f"--write-coco {folder}: {opened.train.name} has no boxes; give --task detect or shapes-detect"
        )
    print("\n".join(f"wrote {file}" for file in write_coco(folder, opened.train, opened.test)) + "\n")


def _open(config, download, task):
    from dataclasses import replace

    from minighost.data.download import data_directory
    from minighost.data.sets import SETS
    from minighost.train.images import open_images

    about = SETS.get(config.name)
    here_only = about is not None and about.reads_files and not (config.dir or config.archive or download)
    if here_only:
        config = replace(config, dir=str(data_directory()))
    try:
        return open_images(config, task=task)
    except FileNotFoundError as error:
        if not here_only:
            raise
        title = config.name.upper().replace("CIFAR", "CIFAR-")
        ways = "--download fetches it (170 MB), --data-dir DIR or --data-archive FILE reads your copy"
        raise FileNotFoundError(f"no {title} in {config.dir}; {ways}") from error


def _lines(opened, boxes):
    import numpy as np

    from minighost.data import channel_statistics
    from minighost.errors import printable
    from minighost.terminal.text import clipped, table

    train, test = opened.train, opened.test
    (H, W), kind = train.size, "grey" if train.channels == 1 else "RGB"
    counts = [
        part.counts() if boxes else np.bincount(part.labels, minlength=len(part.classes)) for part in (train, test)
    ]
    rows = [
        (clipped(printable(name), 50), f"{a:,}", f"{b:,}") for name, a, b in zip(train.classes, *counts, strict=True)
    ]
    what = "boxes" if boxes else "class"
    mean, std = channel_statistics(train.images)
    valid = "" if opened.faults else "; all valid"
    colours = ("grey",) if train.channels == 1 else ("red", "green", "blue")
    return [
        f"{printable(train.name)}: {len(train):,} training and {counted(len(test), 'test', 'image')}, "
        f"{H}x{W} {kind}{valid}",
        *_wrapped(_sizes(opened)),
        *(line for note in opened.notes for line in _wrapped(f"note: {note}")),
        "",
        *table([*rows, ("all", *(f"{part.sum():,}" for part in counts))], (what, "training", "test"), "<>>"),
        "",
        "training images, 0..1   " + "  ".join(f"{colour:6}" for colour in colours).rstrip(),
        "mean                    " + "  ".join(f"{v:.4f}" for v in mean),
        "standard deviation      " + "  ".join(f"{v:.4f}" for v in std),
    ]


def _sizes(opened):
    """What sizes the pictures have in their files."""
    import numpy as np

    if opened.sizes is None:
        return ""
    (h, w), (H, W) = opened.sizes.min(axis=0), opened.sizes.max(axis=0)
    if (h, w) == (H, W):
        return f"pictures: all {H}x{W} (height x width)"
    middle = np.median(opened.sizes, axis=0).astype(int)
    return f"pictures: height {h:,} to {H:,}, median {middle[0]:,}; width {w:,} to {W:,}, median {middle[1]:,}"


def _wrapped(text):
    import textwrap

    return textwrap.wrap(text, 80, subsequent_indent="  ", break_on_hyphens=False)
