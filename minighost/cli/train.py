"""Train a network and keep everything about the run in one folder.

Without any flags: a small GhostNet on shapes10, images that are generated on
the spot. The folder holds the resolved configuration, a log, the checkpoint,
curves.png and confusion.png. Ctrl-C finishes the current step and saves;
--resume continues from there, bit for bit.
"""

import textwrap

from minighost.cli import flags

HELP = "train a network"

EXAMPLES = """\
examples:
  minighost train
  minighost train --data cifar10 --data-dir ~/data --epochs 30 --out runs/cifar
  minighost train --data photos --size 96
  minighost train --preset cifar10-ghost --data-dir ~/data
  minighost train --task detect
  minighost train --set train.optimizer=adamw --set train.lr=0.002
  minighost train --out runs/cifar --resume
  mpirun -n 4 minighost train --mpi
  minighost train --help-settings
"""


def add_arguments(parser):
    flags.add_config_flags(parser, flags.KEYS)
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help="a whole recipe: cifar10-airbench, cifar10-ghost or cifar10-wide; flags override it",
    )
    parser.add_argument(
        "--help-settings", action="store_true", help="list every setting of --set and --config, and exit"
    )
    parser.add_argument(
        "--mpi", action="store_true", help="share every batch among the processes that mpirun starts (pip: mpi4py)"
    )
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="continue the run in --out where it stopped")
    again.add_argument("--overwrite", action="store_true", help="start over, replacing the run in this folder")


def run(args):
    from minighost import train

    if args.help_settings:
        print("\n".join(_settings()))
        return
    from minighost.train import parallel

    with parallel.start() if args.mpi else parallel.Single() as ranks:
        config, images = ranks.together(lambda: _config(args), in_turn=True)
        config = ranks.from_first(lambda: config)  # if they differ: its folder is the run's
        train.run(config, resume=args.resume, overwrite=args.overwrite, images=images, ranks=ranks)


def _config(args):
    """The configuration, and images of one's own if they had to be opened to know it."""
    from minighost import train
    from minighost.train.images import resolve

    changes = flags.overrides(args)
    if not args.resume:
        return resolve(args.config, changes, args.preset)
    if args.preset:
        raise ValueError("--preset: a resumed run keeps its settings; leave out --preset or --resume")
    return train.resume_config(toml_path=args.config, overrides=changes), None


def _settings():
    """Lines for a terminal: every key with its default, what it may be, and what it means."""
    from minighost.train.config import keys
    from minighost.train.recipes import RECIPES

    yield "Settings of --set KEY=VALUE and of a --config file, and their defaults."
    yield "A data set's recipe has defaults of its own, which are named in brackets."
    for key, about in keys().items():
        own = [f"{name}: {_text(recipe[key])}" for name, recipe in RECIPES.items() if key in recipe]
        yield ""
        values = f"{key} = {_text(about['default'])}" + (f"  [{', '.join(own)}]" if own else "")
        yield from textwrap.wrap(values, 80, subsequent_indent="    ")
        yield from textwrap.wrap(about["help"], 76, initial_indent="    ", subsequent_indent="    ")
        yield from textwrap.wrap(about["rule"].expects(), 76, initial_indent="    ", subsequent_indent="    ")
    yield ""
    yield from textwrap.wrap(
        "model.OPTION sets any other option of the network, for example model.dropout=0.1; `minighost summary` refuses "
        "an option that the network does not have and lists those that it has.",
        80,
    )


def _text(value):
    """A value as --set takes it; an empty list, which is said by giving nothing, in brackets."""
    if value is None:
        return "none"
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value)) or "(none)"
    return str(value).lower() if isinstance(value, bool) else str(value)
