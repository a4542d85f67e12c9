"""Train a network and keep everything about the run in one folder.

Without any flags: a small GhostNet on shapes10, images that are generated on
the spot. The folder holds the resolved configuration, a log, the checkpoint,
curves.png and confusion.png. Ctrl-C finishes the current step and saves;
--resume continues from there, bit for bit.
"""

from minighost.cli import flags

HELP = "train a network"

EXAMPLES = """\
examples:
  minighost train
  minighost train --data cifar10 --data-dir ~/data --epochs 30 --out runs/cifar
  minighost train --preset cifar10-ghost --data-dir ~/data
  minighost train --set train.optimizer=adamw --set train.lr=0.002
  minighost train --out runs/cifar --resume
"""


def add_arguments(parser):
    flags.add_config_flags(parser, flags.KEYS)
    parser.add_argument("--preset", metavar="NAME", help="a recipe, cifar10-ghost or cifar10-quick; flags override it")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="continue the run in --out where it stopped")
    again.add_argument("--overwrite", action="store_true", help="start over, replacing the run in this folder")


def run(args):
    from minighost import train

    changes = flags.overrides(args)
    if args.resume:
        if args.preset:
            raise ValueError("--preset: a resumed run keeps its settings; leave out --preset or --resume")
        config = train.resume_config(toml_path=args.config, overrides=changes)
    else:
        config = train.Config.resolve(toml_path=args.config, overrides=changes, preset=args.preset)
    train.run(config, resume=args.resume, overwrite=args.overwrite)
