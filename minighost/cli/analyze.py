"""Look into a network: what its filters and maps have in common, what it costs.

WHAT is a run's folder or the name of a network (untrained, which shows what
chance alone does). --show takes any of

  pairs       do filters come in opposite pairs? (CReLU, Shang et al. 2016)
  maps        which maps of a layer are alike, and how well a small kernel
              predicts one from the other (GhostNet, figure 1 and table 1)
  ghosts      intrinsic maps and their ghosts
  groups      are two layers' channels correlated in blocks? (grouped
              convolutions, Ioannou et al. 2017)
  field       which pixels matter to a place of a map (Luo et al. 2016)
  cost        milliseconds of each block, and what a ghost module saves

Each prints a table and draws a picture into the folder --out.
"""

import textwrap
from pathlib import Path
from typing import NamedTuple

from minighost.cli import flags
from minighost.registry import unknown

HELP = "look into a network: filters, maps, ghosts, fields, cost"

EXAMPLES = """\
examples:
  minighost analyze runs/cifar
  minighost analyze runs/cifar --show maps,ghosts --picture cat.jpg
  minighost analyze runs/cifar --show maps --layer stages.0
  minighost analyze ghostnet_cifar --show cost --threads 1
"""

GROUPS = 12  # at most as many pairs of layers, or fields, in one picture
MODULES = 6  # at most as many ghost modules in one
SIZES = (1, 3, 5, 7)


class _Subject(NamedTuple):
    """What is looked into: a network, images to show it, and the picture that maps are drawn of."""

    name: str
    model: object
    x: object  # (N, H, W, C), normalised
    out: Path


def add_arguments(parser):
    parser.add_argument("what", metavar="WHAT", help="folder of a run, name of a network, or FILE.py:NAME")
    parser.add_argument("--show", metavar="ANALYSIS,...", help=f"any of {', '.join(ANALYSES)} (all that apply)")
    parser.add_argument("--layer", metavar="PATH", help="with maps: the layer, as in stages.0 (the first block)")
    parser.add_argument("--picture", metavar="IMAGE", help="maps are drawn of this picture (the first test image)")
    parser.add_argument("--images", metavar="N", type=int, default=64, help="test images that are looked at (64)")
    parser.add_argument("--out", metavar="DIR", help="folder of the pictures (analysis in the run's; or analysis-NAME)")
    flags.add_weights_flags(parser)


def run(args):
    from minighost import ops

    if args.images < 2:
        raise ValueError(f"--images {args.images}: must be at least 2, for correlations are taken over them")
    wanted = [name.strip() for name in args.show.split(",") if name.strip()] if args.show else list(ANALYSES)
    for name in wanted:
        if name not in ANALYSES:
            raise unknown("--show", "analysis", name, ANALYSES)
    subject = _subject(args)
    subject.out.mkdir(parents=True, exist_ok=True)
    with ops.threads(args.threads or None):
        for name in wanted:
            print("\n".join([*ANALYSES[name](subject, args), ""]))


def _subject(args):
    """The network and its images."""
    import numpy as np

    from minighost import data
    from minighost.data import pictures

    if Path(args.what).is_dir():
        model, dataset, mean, std = _trained(args)
        name, out = Path(args.what).name, Path(args.what) / "analysis"
    else:
        model, dataset, mean, std = _untrained(args)
        name, out = args.what, Path(f"analysis-{args.what.rpartition(':')[2]}")
    images = dataset.images[: args.images]
    if args.picture is not None:
        image, note = pictures.read(args.picture, dataset.size, dataset.channels)
        print(f"{args.picture}: {note}\n")
        images = np.concatenate([image[None], images])
    return _Subject(name, model, data.normalize(images, mean, std), Path(args.out) if args.out else out)


def _trained(args):
    """A run's network, its test images, and their mean and standard deviation."""
    from minighost import train
    from minighost.train.images import images_to_measure
    from minighost.train.runfolder import RunFolder

    run = train.load_run(args.what, "best" if args.best else "last", args.model)
    run.must("classify", "analyze")
    if run.floats:
        raise ValueError(f"{args.what}: was trained on floats of your own; its maps can be had with mg.analysis")
    dataset, _ = images_to_measure(run, RunFolder(args.what).meta().data, "test", folder=args.what)
    return run.model, dataset, run.mean, run.std


def _untrained(args):
    """A network as it is drawn, and images of shapes10."""
    from minighost import data, models

    model = models.create(args.what, num_classes=10, rng=0).eval()
    dataset = data.load("shapes10", "test", n=max(100, args.images))
    return model, dataset, *data.channel_statistics(dataset.images)


def _said(text):
    return textwrap.wrap(text, 80)


def _pairs(subject, args):
    from minighost import analysis
    from minighost.plots import analysis as plots
    from minighost.terminal.text import table

    layers = analysis.pairing(subject.model)
    if not layers:
        return ["pairs: no ungrouped convolution with two filters or more"]
    file = subject.out / "pairs.png"
    plots.pairing(layers, file, f"{subject.name}: does each filter have an opposite?")
    rows = [
        (
            one.path,
            f"{len(one.cosines)}",
            f"{one.weights}",
            f"{one.cosines.mean():.3f}",
            f"{one.random.mean():.3f}",
            f"{one.excess:+.3f}",
            f"{one.spread:.3f}",
            f"{one.largest.mean():.3f}",
        )
        for one in layers
    ]
    heads = ("layer", "n", "d", "min", "random", "excess", "+-", "max")
    return [
        *_said(
            "pairs: means of each filter's smallest cosine with another of its layer's n filters of d weights (min), "
            "of that of random filters, and of the largest (max). Where min is far below random, filters come in "
            "opposite pairs - unless max is as far above zero: then they share few directions, of either sign."
        ),
        "",
        *table(rows, heads, "<>>>>>>>"),
        "",
        f"picture: {file}",
    ]


def _maps(subject, args):
    from minighost import analysis
    from minighost.plots import analysis as plots
    from minighost.terminal.text import table

    path = args.layer or _first_block(subject)
    maps = analysis.layer_maps(subject.model, subject.x, [path])[path]
    if maps.ndim != 4:
        raise ValueError(f"--layer {path}: its output has shape {maps.shape[1:]}, which is no plane of maps")
    pairs = analysis.similar_pairs(maps)
    file = subject.out / "maps.png"
    plots.similar(maps[0], pairs, file, f"{subject.name}, {path}: similar maps in boxes of one colour")
    rows = [
        (
            f"{one.first} -> {one.second}",
            f"{one.correlation:.3f}",
            *(
                f"{error:.4f}"
                for error in analysis.prediction_error(maps[..., one.first], maps[..., one.second], SIZES)
            ),
        )
        for one in pairs
    ]
    return [
        *_said(
            f"maps of {path}: the most similar pairs, and the share of the second's variance that a depthwise kernel "
            f"of d x d weights and a constant leaves unexplained when it sees the first ({len(maps)} images)"
        ),
        "",
        *table(rows, ("pair", "correlation", *(f"d = {size}" for size in SIZES)), "<" + ">" * 5),
        "",
        f"picture: {file}",
    ]


def _first_block(subject):
    """The path of the first block after the stem."""
    from minighost import analysis

    blocks = [row.path for row in analysis.blocks(subject.model, analysis.count(subject.model, subject.x.shape[1:]))]
    return blocks[min(1, len(blocks) - 1)]


def _ghosts(subject, args):
    from minighost import analysis
    from minighost.plots import analysis as plots

    found = analysis.ghost_maps(subject.model, subject.x[0])
    if not found:
        return ["ghosts: this network has no ghost modules"]
    shown = [one for one in found if one.intrinsic.shape[0] > 3][:MODULES] or found[:1]
    file = subject.out / "ghosts.png"
    plots.ghosts(shown, file, subject.name)
    return [f"ghosts: {len(found)} ghost modules, of which {len(shown)} are drawn", f"picture: {file}"]


def _groups(subject, args):
    from minighost import analysis
    from minighost.nn import Conv2d
    from minighost.plots import analysis as plots
    from minighost.terminal.text import table

    layers = [(path, one) for path, one in subject.model.named_modules() if isinstance(one, Conv2d)]
    found, rows = [], []
    for (first, _), (second, layer) in zip(layers, layers[1:], strict=False):
        if layer.groups == 1 or layer.weight.shape[2] == 1:  # dense, or depthwise
            continue
        try:
            one = analysis.filter_correlation(subject.model, subject.x, first, second)
            rows.append((first, second, f"{layer.groups}", f"{one.diagonal(layer.groups):.2f}"))
            found.append(one)
        except ValueError:  # planes or channels that do not match: these two are not neighbours
            continue
    if not found:
        return ["groups: no grouped convolution that is not depthwise"]
    file = subject.out / "groups.png"
    plots.correlation(found[:GROUPS], file, f"{subject.name}: correlation of neighbouring layers' channels")
    return [
        *_said("groups: correlation of channels inside the groups' blocks over that outside; 1 is no order"),
        "",
        *table(rows, ("layer", "next layer", "groups", "inside / outside"), "<<>>"),
        "",
        f"picture: {file}",
    ]


def _field(subject, args):
    from minighost import analysis
    from minighost.plots import analysis as plots
    from minighost.terminal.text import table

    shape = subject.x.shape[1:]
    blocks = analysis.blocks(subject.model, analysis.count(subject.model, shape))
    formula, found, sides = analysis.receptive_fields(subject.model), {}, {}
    for row in blocks:
        field = formula.get(row.path)
        if len(row.output_shape) != 3 or row.output_shape[0] == 1 or field is None or field.pooled:
            continue
        found[row.path] = analysis.effective_field(subject.model, row.path, shape)
        sides[row.path] = None if field.gated else max(field.size)
    rows = [
        (path, f"{one.side:.1f}", f"{one.reach}", "all" if sides[path] is None else f"{sides[path]}")
        for path, one in found.items()
    ]
    file = subject.out / "field.png"
    drawn = dict(list(found.items())[:GROUPS])
    plots.field(drawn, sides, file, f"{subject.name}: which pixels matter to the centre of each map")
    return [
        *_said(
            "field: side of the square with 95 % of the influence, with all of it, and by the formula; "
            f"images of {shape[0]}x{shape[1]}"
        ),
        "",
        *table(rows, ("block", "95 %", "all", "formula"), "<>>>"),
        "",
        f"picture: {file}",
    ]


def _cost(subject, args):
    from minighost import bench
    from minighost.terminal.text import table

    blocks = bench.block_costs(subject.model, subject.x)
    total = sum(one.timing.median for one in blocks)
    rows = [
        (
            one.path,
            f"{one.params:,}",
            f"{one.macs:,}",
            f"{one.activations:,}",
            f"{1e3 * one.timing.median:.2f}",
            f"{100 * one.timing.median / total:.1f} %",
        )
        for one in blocks
    ]
    lines = [
        *_said(f"cost: inference of {len(subject.x)} images, each block folded and timed alone, medians of 10"),
        "",
        *table(rows, ("block", "parameters", "MACs", "activations", "ms", "share"), "<>>>>>"),
    ]
    ghosts = bench.ghost_speeds(subject.model, subject.x)
    if ghosts:
        speeds = [
            (
                one.path,
                f"{1e3 * one.ghost.median:.2f}",
                f"{1e3 * one.plain.median:.2f}",
                f"{one.theory:.2f}",
                f"{one.measured:.2f}",
                "{:.2f}-{:.2f}".format(*one.quartiles),
            )
            for one in ghosts
        ]
        lines += [
            "",
            *_said(
                "A ghost module beside the convolution that it stands for: how many times as many multiply-adds that "
                "has (r_s), and how many times as long it takes, with the middle half of 10 turns. Where that is wide, "
                "the machine was busy."
            ),
            "",
            *table(speeds, ("ghost module", "ms", "plain, ms", "r_s", "measured", "middle half"), "<>>>>>"),
        ]
    return lines


ANALYSES = {"pairs": _pairs, "maps": _maps, "ghosts": _ghosts, "groups": _groups, "field": _field, "cost": _cost}
