"""Check gradients against finite differences.

WHAT is an operation, a block or a network of minighost, "all" operations and
blocks with a few networks, or your own: FILE.py:NAME is a layer or a network,
a class or a function that returns one; FILE.py alone defines forward, backward
and inputs: forward(*inputs) returns (out, cache), backward(dout, cache) returns
the gradients of the inputs in the same order, and inputs is a list of arrays.
The file is run as an ordinary program, with all your permissions. A check that
fails reports the first difference and its likely cause, and exits with 1.
"""

from pathlib import Path

from minighost.cli import flags
from minighost.registry import unknown

HELP = "check gradients against finite differences"

EXAMPLES = """\
examples:
  minighost gradcheck conv
  minighost gradcheck ghost --seed 3
  minighost gradcheck mine.py --draw error.png
  minighost gradcheck my.py:Net
  minighost gradcheck my.py:Layer --set channels=4 --input 5x5x4
"""


def add_arguments(parser):
    parser.add_argument(
        "what", metavar="WHAT", help="a name (an unknown one lists all names), all, FILE.py or FILE.py:NAME"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="random seed of the inputs and dout (0)")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", help="FILE.py:NAME: an option of it, e.g. channels=4"
    )
    parser.add_argument("--input", metavar="SHAPE", help="FILE.py:NAME: shape of one input, e.g. 8x8x4 (what fits)")
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
    if (spec := None if args.what.endswith(".py") else _spec(args.what)) is not None:
        return [_layer(args, spec)]
    for flag in ("set", "input"):
        if getattr(args, flag) is not None:
            raise ValueError(f"--{flag}: has no effect on {args.what}: it is for FILE.py:NAME; leave it out")
    if args.what.endswith(".py"):
        return [_own(args.what)]
    from minighost.gradcheck import catalogue

    names = catalogue.ALL if args.what == "all" else [args.what]
    if args.what != "all" and args.what not in catalogue.NAMES:
        raise unknown("gradcheck", "name", args.what, (*catalogue.NAMES, "all"))
    return (piece for name in names for piece in catalogue.pieces(name, args.seed))


def _spec(what):
    from minighost.models import own

    return own.spec_of(what)


def _layer(args, spec):
    """Name, layer and input for FILE.py:NAME."""
    from minighost.gradcheck.own import own_piece

    shape = None if args.input is None else flags.shape("--input", args.input)
    return own_piece(spec, flags.options(args.set or ()), shape, args.seed)


def _own(path):
    """Name, functions and inputs from a learner's file."""
    import runpy

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    found = runpy.run_path(path)
    missing = [name for name in ("forward", "backward", "inputs") if name not in found]
    if missing:
        raise ValueError(
            f"{path}: must define forward, backward and inputs (a list); missing: {', '.join(missing)}. A layer or "
            f"network in it is checked by its name: {path}:NAME"
        )
    return path, (found["forward"], found["backward"]), found["inputs"]
