"""Step through an operation, forward and backward, number by number.

Writes a single page that opens in any browser, without a server or a network
connection: the window, its products, the running sum, the output; then the
gradients, each contribution as it is added. Beside them you see the line of
the reference twin that does the step. --text prints the same steps.

The arrays are random, drawn with --seed, or your own: --x and --w take .npy,
or .csv and .txt for one channel.
"""

import sys

from minighost.stepper.choices import OPTIONS, SEED, flag
from minighost.stepper.pages import NAMES

HELP = "step through an operation, forward and backward, in a browser"

EXAMPLES = """\
examples:
  minighost step conv
  minighost step depthwise --height 6 --stride 2 --out depthwise.html
  minighost step im2col --x mine.npy --w kernel.npy
  minighost step batchnorm --text --step 1..20
"""


def add_arguments(parser):
    parser.add_argument("op", metavar="OP", choices=NAMES, help=", ".join(NAMES))
    for name, option in OPTIONS.items():
        parser.add_argument(flag(name), metavar="N", type=int, help=option.words)
    parser.add_argument("--x", metavar="FILE", help="the input: .npy of (H, W) or (H, W, C), or .csv, .txt")
    parser.add_argument("--w", metavar="FILE", help="the weights: (KH, KW) or (KH, KW, C/G, OC)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help=SEED.words)
    parser.add_argument("--out", metavar="FILE", help="file to write the page to (step-OP.html)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument("--text", action="store_true", help="print the steps instead of writing a page")
    parser.add_argument("--step", metavar="N..M", help="with --text: print only these steps")


def run(args):
    if args.step is not None and not args.text:
        raise ValueError("--step needs --text; on the page, move the slider")
    if args.text and (args.out is not None or args.open):
        raise ValueError("--text writes no page; leave out --out and --open")
    from minighost import stepper
    from minighost.files import check_target

    check_target("--out", args.out)
    options = {name: getattr(args, name) for name in OPTIONS}
    story = stepper.build(args.op, x=args.x, w=args.w, seed=args.seed, **options)
    if args.text:
        return _print(story, args.step)
    path = args.out or f"step-{args.op}.html"
    size = stepper.write(path, story)
    steps = len(story.scripts[story.chosen].frames)
    print(f"wrote {path}: {steps:,} steps, {size / 1000:,.0f} kB; open it in a browser")
    if args.open:
        _show(path)


def _print(story, wanted):
    from minighost.stepper import text
    from minighost.terminal.text import colours

    first, last = text.parse_range(wanted or "..", len(story.scripts[story.chosen].frames))
    for line in text.lines(story, first, last, bold=colours(sys.stdout) > 0):
        print(line)


def _show(path):
    import webbrowser
    from pathlib import Path

    if not webbrowser.open(Path(path).resolve().as_uri()):
        print(f"no browser found; open {path} yourself")
