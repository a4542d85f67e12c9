"""Train one network many times, over values that a file names, and compare.

SPACE.toml says what to try: [grid] lists values for keys of the configuration,
and every combination is a trial; [random] gives ranges to draw from. Each trial
is an ordinary run in a folder of its own. The same command again goes on where
it stopped: it skips finished trials and continues the others.
"""

import argparse
import shlex

from minighost.cli import flags

HELP = "train over a grid or random draws of settings"

EXAMPLES = """\
examples:
  minighost sweep lr.toml
  minighost sweep lr.toml --list
  minighost sweep lr.toml --workers 2 --out runs/lr
  minighost sweep lr.toml --set data.train_size=2000 --set train.epochs=2
  minighost sweep lr.toml --retry
  minighost sweep lr.toml --backend dask --scheduler 10.0.0.1:8786

a SPACE.toml:
  seeds = [0, 1, 2]
  settings.train.epochs = 3
  grid.train.lr = [0.05, 0.1, 0.2]
  grid.train.optimizer = ["sgd", "adamw"]
  random.trials = 8
  random.train.weight_decay = {log_uniform = [1e-5, 1e-2]}
"""


def add_arguments(parser):
    parser.add_argument("space", metavar="SPACE.toml", help="what to try")
    parser.add_argument("--out", metavar="DIR", help="folder of the sweep (runs/SPACE)")
    parser.add_argument("--list", action="store_true", help="show the trials and how far they are, and exit")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a setting for all trials, in place of that in [settings]; may be repeated",
    )
    add_worker_flags(parser)


def add_worker_flags(parser):
    """Where trials run, and on what; `worker_words` writes them again."""
    parser.add_argument("--retry", action="store_true", help="run trials that failed again")
    parser.add_argument(
        "--workers", metavar="N", type=int, help="trials at a time (1; on a cluster: all it has room for)"
    )
    parser.add_argument(
        "--threads", metavar="N", type=int, help="threads of each trial (cores / workers; on a cluster: 1)"
    )
    parser.add_argument("--backend", choices=("local", "dask", "ray"), default="local", help="where trials run (local)")
    parser.add_argument("--scheduler", metavar="HOST:PORT", help="address of the cluster, for dask and ray")


def check_worker_flags(args):
    """ValueError for a number out of range, or flags that do not go together."""
    for flag in ("workers", "threads"):
        if (number := getattr(args, flag)) is not None and not 1 <= number <= 1024:
            raise ValueError(f"--{flag} {number}: must be a whole number from 1 to 1024")
    if args.backend != "local" and args.scheduler is None:
        raise ValueError(f"--backend {args.backend}: needs the cluster's address, --scheduler HOST:PORT")
    if args.backend == "local" and args.scheduler is not None:
        raise ValueError(f"--scheduler {args.scheduler}: needs --backend dask or --backend ray")


def run(args):
    overrides = flags.overrides(argparse.Namespace(set=args.set))  # --out and --threads are not the trials'
    check_worker_flags(args)
    from minighost.sweep import results, run_sweep

    if args.list:
        folder, _ = run_sweep.opened_sweep(args.space, args.out, overrides)
        print("\n".join(results.listing(results.collect(folder))))
        return 0
    options = run_sweep.Options(
        args.workers, args.threads, args.backend, args.scheduler, args.retry, command=_command(args)
    )
    failed = run_sweep.run(args.space, args.out, overrides, options)
    return 1 if failed else 0


def _command(args):
    """The command that goes on with this sweep."""
    out = [] if args.out is None else ["--out", args.out]
    return shlex.join(["minighost", "sweep", args.space, *out, *worker_words(args)])


def worker_words(args):
    """The flags of `add_worker_flags` and ``--set``, but for --retry, as they were given."""
    words = []
    for flag in ("workers", "threads", "scheduler"):
        if (value := getattr(args, flag)) is not None:
            words += [f"--{flag}", str(value)]
    words += ["--backend", args.backend] if args.backend != "local" else []
    return words + [word for setting in args.set for word in ("--set", setting)]
