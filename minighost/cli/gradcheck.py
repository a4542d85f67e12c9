"""Check gradients against finite differences.

WHAT is an operation, a block or a network of minighost, "all" operations and
blocks with a few networks, or your own FILE.py, which defines forward, backward
and inputs: forward(*inputs) returns (out, cache), backward(dout, cache) returns
the gradients of the inputs in the same order, and inputs is a list of arrays.
The file is run as an ordinary program, with all your permissions. A check that
fails reports the first difference and its likely cause, and exits with 1.
"""

from pathlib import Path

from minighost.registry import unknown

HELP = "check gradients against finite differences"

EXAMPLES = """\
examples:
  minighost gradcheck conv
  minighost gradcheck ghost --seed 3
  minighost gradcheck mine.py --draw error.png
"""


def add_arguments(parser):
    parser.add_argument("what", metavar="WHAT", help="a name (an unknown one lists all names), all, or FILE.py")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="random seed of the inputs and dout (0)")
    parser.add_argument("--draw", metavar="FILE", help="draw the first wrong gradient into this picture")


def run(args):
    from minighost import gradcheck
    from minighost.plots.figure import check_picture

    if args.seed < 0:
        raise ValueError(f"--seed {args.seed}: must be a whole number of at least 0")
    check_picture("--draw", args.draw)
    for words, what, inputs in _pieces(args):
        try:
            print(gradcheck.check(what, inputs, seed=args.seed, name=words), flush=True)
        except gradcheck.GradientError as error:
            print(error)
            if args.draw is not None and error.finding is not None and error.finding.measured is not None:
                print(f"picture: {error.draw(args.draw)}")
            return 1


def _pieces(args):
    if args.what.endswith(".py"):
        return [_own(args.what)]
    from minighost.gradcheck import catalogue

    names = catalogue.ALL if args.what == "all" else [args.what]
    if args.what != "all" and args.what not in catalogue.NAMES:
        raise unknown("gradcheck", "name", args.what, (*catalogue.NAMES, "all"))
    return (piece for name in names for piece in catalogue.pieces(name, args.seed))


def _own(path):
    """Name, functions and inputs from a learner's file."""
    import runpy

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    found = runpy.run_path(path)
    missing = [name for name in ("forward", "backward", "inputs") if name not in found]
    if missing:
        raise ValueError(f"{path}: must define forward, backward and inputs (a list); missing: {', '.join(missing)}")
    return path, (found["forward"], found["backward"]), found["inputs"]
