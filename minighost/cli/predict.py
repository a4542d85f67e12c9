"""Show pictures to a trained network.

Takes any image file: its centre square is cut out and scaled to the size the
network was trained on. Prints what the network then sees, with its three most
probable classes.
"""

import shutil
import sys

from minighost.cli import flags

HELP = "what a trained network sees in your pictures"

EXAMPLES = """\
examples:
  minighost predict cat.jpg dog.png --checkpoint runs/cifar
  minighost predict cat.jpg --checkpoint runs/cifar --save answer.png
"""


def add_arguments(parser):
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="PNG, JPEG or whatever Pillow reads")
    flags.add_run_flags(parser)
    parser.add_argument("--save", metavar="FILE.png", help="draw images and answers as a picture")


def run(args):
    from minighost import ops, train
    from minighost.cli import pictures, sheets
    from minighost.data.records import SIDE

    loaded = train.load_run(args.checkpoint, "best" if args.best else "last")
    images, notes = zip(*[pictures.read(path, SIDE) for path in args.images], strict=True)
    with ops.threads(args.threads):
        rankings = _rank(loaded, images)
    if args.save is not None:
        sheets.predictions(list(zip(args.images, images, rankings, strict=True)), args.save)
    for path, image, note, ranking in zip(args.images, images, notes, rankings, strict=True):
        print("\n".join([f"{path}: {note}", "", *_beside(image, ranking), ""]))
    if args.save is not None:
        print(f"picture: {args.save}")


def _rank(loaded, images, top=3):
    """The `top` most probable classes of each image, with their probabilities."""
    import numpy as np

    from minighost import data
    from minighost.train import evaluate

    unknown = data.Dataset(np.stack(images), np.zeros(len(images), np.int64), loaded.classes, "your images")
    loader = data.Loader(unknown, min(len(images), 250), shuffle=False, mean=loaded.mean, std=loaded.std)
    shares = evaluate(loaded.model, loader, views=loaded.config.train.views).probabilities
    return [[(loaded.classes[k], float(row[k])) for k in np.argsort(-row, kind="stable")[:top]] for row in shares]


def _beside(image, ranking):
    """The image as letters with the answers to its right, or under it where the terminal is narrow."""
    from minighost.cli import terminal

    colours = terminal.colours(sys.stdout)
    picture = terminal.picture(image, colours)
    name_width = max(len(name) for name, _ in ranking)
    room = shutil.get_terminal_size().columns - name_width - 12  # 12: gaps and the percentage
    beside = room - image.shape[1] - 3
    narrow = beside < 10
    width = min(40, max(5, room if narrow else beside))
    answers = [
        f"{name:{name_width}}  {terminal.bar(share, width, colours)} {100 * share:5.1f} %" for name, share in ranking
    ]
    if narrow:
        return [*(line.rstrip() for line in picture), "", *answers]
    top = (len(picture) - 2 * len(answers) + 1) // 2
    right = {top + 2 * k: answer for k, answer in enumerate(answers)}
    return [f"{line}   {right.get(k, '')}".rstrip() for k, line in enumerate(picture)]
