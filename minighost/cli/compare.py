"""Compare runs: a table, the settings that differ, curves over one another.

Runs may be finished, still going on, stopped or damaged: what is there takes
part. A run that was tested on other images than the first has a star, for its
accuracy does not compare.
"""

HELP = "compare runs: a table, differences in settings, curves"

EXAMPLES = """\
examples:
  minighost compare runs/shapes10-ghostnet_cifar_fast runs/shapes10-resnet20
  minighost compare runs/* --out compare.png
  minighost compare runs/a runs/b --json
"""


def add_arguments(parser):
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folder written by `minighost train`")
    parser.add_argument("--out", metavar="FILE.png", help="draw the curves over one another as a picture")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args):
    import json

    from minighost import train
    from minighost.plots.figure import check_picture

    check_picture("--out", args.out)
    found = train.compare(args.runs)
    print(json.dumps(found.to_dict(), indent=2, allow_nan=False) if args.json else found)
    if args.out is not None:
        found.plot(args.out)
        if not args.json:
            print(f"\ncurves: {args.out}")
