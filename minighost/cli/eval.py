"""Measure a trained network on images it has not seen.

Prints accuracy, loss and, for each class, how many images were classified
correctly and what it is most often confused with. Of a run of --task detect it
is the mean average precision, as COCO measures it. The data are those of the
run; --data or --data-dir says where they are now. --data may also name other
images of the same classes.
"""

import textwrap

from minighost.cli import flags
from minighost.wording import counted

HELP = "measure the accuracy of a run, class by class"

EXAMPLES = """\
examples:
  minighost eval --checkpoint runs/shapes10-ghostnet
  minighost eval --checkpoint runs/photos --data more_photos
  minighost eval --checkpoint runs/cifar --data-dir ~/data --out confusion.png
"""


LONGEST_NAME = 20  # characters of a class's name in the table
FIGURES = 30  # columns of the figures in it, and the gaps


def add_arguments(parser):
    flags.add_run_flags(parser)
    parser.add_argument(
        "--data", dest="data.name", metavar="SOURCE", help="where the run's images are now, or others of its classes"
    )
    for flag in ("--data-dir", "--data-archive"):
        key, metavar, text = flags.KEYS[flag]
        parser.add_argument(flag, dest=key, metavar=metavar, help=text)
    parser.add_argument("--batch-size", metavar="N", type=int, default=250, help="images per batch (250)")
    parser.add_argument("--split", choices=("test", "train"), default="test", help="which images (test)")
    parser.add_argument("--out", metavar="FILE.png", help="draw the confusion matrix, or what was found")
    parser.add_argument("--results", metavar="FILE.json", help="to detect: write all that was found as COCO's results")


def run(args):
    from minighost import data, ops, train
    from minighost.plots.figure import check_picture
    from minighost.plots.run import confusion

    check_picture("--out", args.out)
    loaded = train.load_run(args.checkpoint, "best" if args.best else "last", args.model)
    if loaded.config.task == "detect":
        return _detect(loaded, args)
    if args.results is not None:
        raise ValueError(f"--results: {args.checkpoint} classifies whole images; leave it out")
    dataset, which = _dataset(loaded, args)
    loader = data.Loader(dataset, min(args.batch_size, len(dataset)), shuffle=False, mean=loaded.mean, std=loaded.std)
    with ops.threads(args.threads or None):
        result = _evaluate(loaded, loader)
    print("\n".join(_lines(args, loaded, dataset, which, result)))
    if args.out is not None:
        confusion(result, dataset.classes, args.out, f"{loaded.config.model.title} on {dataset.name}")
        print(f"\nconfusion matrix: {args.out}")


def _detect(loaded, args):
    import json

    from minighost import ops
    from minighost.data.box_loader import BoxLoader
    from minighost.data.coco import results
    from minighost.files import check_target, write_atomic
    from minighost.plots.boxes import found_sheet
    from minighost.train.detection import Detection

    check_target("--results", args.results)
    dataset, which = _dataset(loaded, args)
    size = min(args.batch_size, len(dataset), 50)  # the maps of a pyramid take room
    loader = BoxLoader(dataset, size, shuffle=False, mean=loaded.mean, std=loaded.std)
    with ops.threads(args.threads or None):
        bar = _bar(loader)
        try:
            task = Detection(loaded.model, dataset.size)
            result = task.evaluate(loaded.model, loader, True, lambda: bar.step(""))
        finally:
            bar.close()
    print("\n".join(_precision_lines(args, loaded, dataset, which, result.precision)))
    if args.out is not None:
        found_sheet(result.found, dataset, args.out, f"{loaded.config.model.title} on {dataset.name}")
        print(f"\npicture: {args.out}")
    if args.results is not None:
        write_atomic(args.results, json.dumps(results(result.found, dataset)))
        print(f"\nresults: {args.results}")


def _precision_lines(args, loaded, dataset, which, precision):
    import numpy as np

    from minighost.terminal import text

    share = lambda value: "-" if np.isnan(value) else f"{100 * value:.1f} %"  # noqa: E731
    each = zip(dataset.classes, precision.boxes, precision.table, strict=True)
    rows = [
        (text.clipped(name, LONGEST_NAME), f"{count:,}", share(line[0]), share(line.mean()))
        for name, count, line in each
    ]
    epochs, images = counted(loaded.epoch, "epoch"), f"{len(dataset):,} {which}"
    return [
        f"{args.checkpoint}: {loaded.config.model.title} after {epochs} of {dataset.name}",
        *textwrap.wrap(
            f"mAP@0.5 {share(precision.at_50)}, mAP@0.5:0.95 {share(precision.mean)} on {images} with "
            f"{counted(int(precision.boxes.sum()), 'box')}",
            text.width(),
        ),
        "",
        *text.table(rows, ("class", "boxes", "AP@0.5", "AP@0.5:0.95"), "<>>>"),
    ]


def _dataset(loaded, args):
    """The images of the run, from where they are now, and what they are."""
    from minighost.train.images import images_to_measure
    from minighost.train.runfolder import RunFolder

    given, known = vars(args), RunFolder(args.checkpoint).meta().data
    source, directory, archive = (given[f"data.{key}"] for key in ("name", "dir", "archive"))
    return images_to_measure(loaded, known, args.split, source, directory, archive, args.checkpoint)


def _evaluate(loaded, loader):
    from minighost.train import evaluate

    bar = _bar(loader)
    try:
        return evaluate(loaded.model, loader, views=loaded.config.train.views, tick=lambda: bar.step(""))
    finally:
        bar.close()


def _bar(loader):
    import sys

    from minighost.terminal.console import Console

    return Console(sys.stderr).bar("test", len(loader))


def _lines(args, loaded, dataset, which, result):
    import sys

    from minighost.terminal import text
    from minighost.train.groups import provenance

    confusion, colours = result.confusion, text.colours(sys.stdout)
    names = [text.clipped(name, LONGEST_NAME) for name in dataset.classes]
    mistaken = [_mistaken(row, k, names) for k, row in enumerate(confusion)]
    free = text.width() - FIGURES - max(map(len, names)) - max(len("most often confused with"), *map(len, mistaken))
    rows = []
    for k, name in enumerate(names):
        right, all_ = int(confusion[k, k]), int(confusion[k].sum())
        share = right / max(all_, 1)
        bar = text.bar(share, min(20, max(5, free)), colours)
        rows.append((name, f"{right:,}", f"{all_:,}", f"{100 * share:.1f} %", bar, mistaken[k]))
    views = {"mirror": ", each with its mirror image", "shift": ", each with its mirror image and shifted by one pixel"}
    looked = views.get(loaded.config.train.views, "")
    right = int(confusion.trace())
    which = which.replace("images", "image", 1) if len(dataset) == 1 else which
    return [
        f"{args.checkpoint}: {loaded.config.model.title} after {counted(loaded.epoch, 'epoch')} of {dataset.name}",
        *provenance(loaded),
        *textwrap.wrap(
            f"{100 * result.accuracy:.2f} % correct: {right:,} of {len(dataset):,} {which}{looked}; "
            f"loss {result.loss:.4f}",
            text.width(),
        ),
        "",
        *text.table(rows, ("class", "correct", "of", "share", "", "most often confused with"), "<>>><<"),
    ]


def _mistaken(row, k, names):
    """What class `k` is most often confused with."""
    wrong = row.copy()
    wrong[k] = 0
    return f"{names[wrong.argmax()]} ({wrong.max()})" if wrong.any() else ""
