"""Repeat a paper's claim: the same recipe for all sides, several seeds, one table.

list shows the experiments, run NAME trains what one of them needs and reports,
report reads the runs again. Each trial is an ordinary run in a folder of its
own; the same command again goes on where it stopped. The full form trains on
CIFAR-10 for an hour or two; --quick takes some minutes on images that are built
in, and only shows how it goes.
"""

import argparse
import shlex

from minighost.cli import flags, sweep

HELP = "repeat the claims of papers, the paper's numbers beside ours"

ACTIONS = "list", "run", "report"

EXAMPLES = """\
examples:
  minighost experiment list
  minighost experiment run ghost-d --quick
  minighost experiment run ghost-d --data-dir DIR --seeds 3 --workers 2
  minighost experiment run ghost-d --list      its trials, and what they take
  minighost experiment report ghost-d --out docs/results/experiments/ghost-d
  minighost experiment report                  of all that were run
"""


def add_arguments(parser):
    parser.add_argument("action", metavar="ACTION", choices=ACTIONS, help=", ".join(ACTIONS))
    parser.add_argument("name", metavar="NAME", nargs="?", help="an experiment; with report by default all")
    parser.add_argument("--quick", action="store_true", help="the quick form: some minutes, without files")
    parser.add_argument("--seeds", metavar="N", type=int, help="how many seeds, from 0 (3; with --quick mostly 2)")
    parser.add_argument("--out", metavar="DIR", help="run: folder of the runs; report: folder of the report")
    parser.add_argument("--runs", metavar="DIR", help="report: folder of the runs (runs/experiments/NAME)")
    parser.add_argument("--list", action="store_true", help="run: show the trials and an estimate, and exit")
    parser.add_argument("--measure", action="store_true", help="report: take the milliseconds once more")
    parser.add_argument("--data-dir", metavar="DIR", help="folder that holds CIFAR-10")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="a setting for all trials")
    sweep.add_worker_flags(parser)


def run(args):
    return {"list": _list, "run": _run, "report": _report}[args.action](args)


def _list(args):
    import textwrap

    from minighost.experiments.catalogue import EXPERIMENTS

    for one in [_named(args)] if args.name else EXPERIMENTS.values():
        print(one.name)
        print(textwrap.fill(one.question, 80, initial_indent="    ", subsequent_indent="    "))
        for name, form in (("full ", one.full), ("quick", one.quick)):
            print(f"    {name}  {_trials(len(form.arms), form.seeds)}, {_estimate(form, form.seeds, 2)}")


def _trials(arms, seeds):
    from minighost.wording import counted

    return f"{counted(arms, 'arm')}, {counted(seeds, 'seed')}"


def _estimate(form, seeds, workers):
    from minighost.wording import counted

    minutes = form.minutes * seeds / workers
    time = f"{max(1, round(minutes))} min" if minutes < 90 else f"{minutes / 60:.1f} h"
    return f"about {time} with {counted(workers, 'worker')}"


def _named(args):
    from minighost.experiments.catalogue import find

    if args.name is None:
        raise ValueError(f"experiment {args.action}: which one? `minighost experiment list` shows them")
    return find(args.name)


def _run(args):
    experiment = _named(args)
    for flag in ("runs", "measure"):
        if getattr(args, flag):
            raise ValueError(f"--{flag}: is for `minighost experiment report`; leave it out")
    if args.seeds is not None and not 1 <= args.seeds <= 100:
        raise ValueError(f"--seeds {args.seeds}: must be a whole number from 1 to 100")
    sweep.check_worker_flags(args)
    overrides = flags.overrides(argparse.Namespace(set=args.set))
    form = experiment.form(args.quick)
    seeds = args.seeds or form.seeds
    if args.data_dir is not None:
        if form.recipe["data.name"] == "shapes10":
            raise ValueError("--data-dir: the quick form needs no files, its images are built in; leave it out")
        overrides.setdefault("data.dir", args.data_dir)
    from minighost.experiments import run as experiments
    from minighost.sweep import results, run_sweep

    if args.list:
        folder, _ = experiments.arranged(experiment, args.quick, seeds, args.out, overrides)
        print("\n".join([*results.listing(results.collect(folder)), ""]))
        print(f"all: {_estimate(form, seeds, args.workers or 1)}")
        return 0
    options = run_sweep.Options(
        args.workers, args.threads, args.backend, args.scheduler, args.retry, command=_command(args)
    )
    return 1 if experiments.run(experiment, args.quick, seeds, args.out, overrides, options) else 0


def _command(args):
    """The command that goes on with this experiment."""
    words = ["minighost", "experiment", "run", args.name, *(["--quick"] if args.quick else [])]
    for flag in ("seeds", "out", "data_dir"):
        if (value := getattr(args, flag)) is not None:
            words += [f"--{flag.replace('_', '-')}", str(value)]
    return shlex.join(words + sweep.worker_words(args))


def _report(args):
    from pathlib import Path

    from minighost.experiments import report
    from minighost.experiments import run as experiments
    from minighost.experiments.trials import HOME, folder_of

    if args.name is not None:
        experiment = _named(args)
        folders = [Path(args.runs) if args.runs else folder_of(experiment, args.quick)]
        if not (folders[0] / "sweep.json").is_file():
            quick = " --quick" if args.quick else ""
            raise ValueError(
                f"{folders[0]}: no runs are there; `minighost experiment run {args.name}{quick}` makes them"
            )
    else:
        home = Path(args.runs) if args.runs else HOME
        folders = sorted(path.parent for path in home.glob("*/sweep.json"))
        if not folders:
            raise ValueError(f"{home}: no experiment was run there; `minighost experiment list` shows them")
    for folder in folders:
        findings = experiments.clocked(folder, again=args.measure)
        if args.name is not None and findings.experiment.name != args.name:
            raise ValueError(f"{folder}: holds the runs of {findings.experiment.name}, not of {args.name}")
        out = folder / experiments.REPORT
        if args.out is not None:
            out = Path(args.out) if args.name is not None else Path(args.out) / folder.name
        print("\n".join([*experiments.told(findings), ""]))
        print(f"look at  {'  '.join(map(str, report.write(findings, out)))}\n")
