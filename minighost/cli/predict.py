"""Classify your own pictures with a trained network, or find things in them.

Takes any image file: its centre is cut out and scaled to the size that the
network was trained on. Prints what the network then sees, with the three most
probable classes. A run of --task detect sees all of a picture, and prints what
it finds where, in pixels from the upper left corner. If some of several files
cannot be read, they are listed on stderr, the others are answered, and the exit
status is 2.
"""

import sys

from minighost.cli import flags

HELP = "classify your own pictures with a trained network"

EXAMPLES = """\
examples:
  minighost predict cat.jpg dog.png --checkpoint runs/cifar
  minighost predict cat.jpg --checkpoint runs/cifar --save answer.png
  magick cat.heic png:- | minighost predict - --checkpoint runs/cifar
"""


def add_arguments(parser):
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", help="PNG, JPEG, GIF, BMP, TIFF, WebP or PPM; - is standard input"
    )
    flags.add_run_flags(parser)
    parser.add_argument("--score", metavar="S", type=float, help="to detect: tell what is at least so sure (0.3)")
    parser.add_argument("--save", metavar="FILE.png", help="draw images and predictions as a picture")


def run(args):
    import numpy as np

    from minighost import ops, train
    from minighost.errors import printable
    from minighost.plots import sheets
    from minighost.plots.figure import check_picture
    from minighost.train.groups import provenance

    check_picture("--save", args.save)
    loaded = train.load_run(args.checkpoint, "best" if args.best else "last", args.model)
    if loaded.config.task == "detect":
        return _detect(args, loaded)
    if args.score is not None:
        raise ValueError(f"--score: {args.checkpoint} classifies whole images; leave it out")
    names, images, notes = _read(args.images, loaded.size, loaded.channels)
    if not images:
        return 2
    with ops.threads(args.threads or None):
        rankings = [
            [(printable(name), share) for name, share in ranking] for ranking in loaded.rank(np.stack(images), 3)
        ]
    if args.save is not None:
        sheets.predictions(list(zip(names, images, rankings, strict=True)), args.save)
    if lines := provenance(loaded):
        print(f"{args.checkpoint}: {', '.join(lines)}\n")
    for name, image, note, ranking in zip(names, images, notes, rankings, strict=True):
        print("\n".join([f"{name}: {note}", "", *_beside(image, ranking), ""]))
    if args.save is not None:
        print(f"picture: {args.save}")
    return 0 if len(images) == len(args.images) else 2


def _detect(args, loaded):
    from minighost import ops
    from minighost.errors import printable
    from minighost.plots.boxes import on_picture
    from minighost.terminal import text

    score = 0.3 if args.score is None else args.score
    if not 0 <= score < 1:
        raise ValueError(f"--score {score:g}: must be at least 0 and below 1, e.g. 0.3")
    with ops.threads(args.threads or None):
        found = _each(args.images, lambda path: loaded.find(path, score))
    if args.save is not None and found:
        on_picture([(name, whole, one) for name, (one, whole) in found], loaded.classes, args.save)
    for name, (one, whole) in found:
        height, width = whole.shape[:2]
        rows = [
            (text.clipped(printable(loaded.classes[k]), 40), f"{100 * sure:.1f} %", *(f"{v:.0f}" for v in box))
            for k, sure, box in zip(one.labels, one.scores, one.boxes, strict=True)
        ]
        head = ("found", "score", "left", "top", "right", "bottom")
        words = text.table(rows, head, "<>>>>>") if rows else [f"nothing found with a score of {score:g} or more"]
        print("\n".join([f"{name}: {width}x{height}", "", *words, ""]))
    if args.save is not None and found:
        print(f"picture: {args.save}")
    return 0 if len(found) == len(args.images) else 2


def _read(paths, size, channels):
    """Names, images and notes of the pictures that can be read. The others are reported; a single one is raised."""
    from minighost.data import pictures

    found = [(name, *read) for name, read in _each(paths, lambda path: pictures.read(path, size, channels))]
    return zip(*found, strict=True) if found else ([], [], [])


def _each(paths, work):
    """Names, and what ``work(path)`` makes of each picture that can be read."""
    from minighost.cli.main import complain
    from minighost.data import pictures

    found = []
    for path in paths:
        try:
            found.append(("standard input" if path == pictures.STANDARD_INPUT else path, work(path)))
        except (OSError, ValueError) as error:
            if len(paths) == 1:
                raise
            complain(error)
    return found


def _beside(image, ranking):
    """The image as characters, with the answers to its right, or below it where the terminal is narrow."""
    from minighost.terminal import text

    colours = text.colours(sys.stdout)
    picture = text.picture(image, colours)
    name_width = max(len(name) for name, _ in ranking)
    room = text.width() - name_width - 12  # 12: gaps and the percentage
    beside = room - image.shape[1] - 3
    narrow = beside < 10
    width = min(40, max(5, room if narrow else beside))
    answers = [
        f"{name:{name_width}}  {text.bar(share, width, colours)} {100 * share:5.1f} %" for name, share in ranking
    ]
    if narrow:
        return [*(line.rstrip() for line in picture), "", *answers]
    top = (len(picture) - 2 * len(answers) + 1) // 2
    right = {top + 2 * k: answer for k, answer in enumerate(answers)}
    return [f"{line}   {right.get(k, '')}".rstrip() for k, line in enumerate(picture)]
