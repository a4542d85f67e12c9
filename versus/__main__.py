"""``python -m versus``."""

import argparse
import fnmatch
import sys
from pathlib import Path

from versus import plot, report, suite
from versus.peers import contestant
from versus.works import WORKS

__all__ = ["main"]


def main(argv=None):
    """Run the comparison; returns the exit status: 1 if a contestant failed or computes something else, 2 if something
    unknown was asked for.
    """
    args = _parser().parse_args(argv)
    try:
        works, peers = _works(args.only), _peers(args.peers)
        for flag in ("rounds", "threads", "seconds"):
            if getattr(args, flag) <= 0:
                raise ValueError(f"--{flag} {getattr(args, flag)}: must be greater than 0")
    except ValueError as error:
        print(f"versus: error: {error}", file=sys.stderr)
        return 2
    if args.list:
        print("\n".join(f"{work.name:24} {' '.join(suite.taking_part(work, peers, args.threads))}" for work in works))
        return 0
    outcome = {"machine": report.machine(), "rounds": args.rounds, "turn_s": args.seconds, "works": []}
    for work in works:
        print(work.name, flush=True)
        labels = suite.taking_part(work, peers, args.threads)
        outcome["works"].append(suite.do(work, labels, args.threads, args.rounds, args.seconds, _tell))
        report.write(args.out, outcome)  # after each work: an interruption loses one at most
        plot.ratios(outcome, Path(args.out) / "results.png")
    print("\n" + report.markdown(outcome))
    print(f"written to {args.out}")
    return int(_failures(outcome))


def _parser():
    parser = argparse.ArgumentParser(prog="python -m versus", description="Compare minighost with its peers.")
    parser.add_argument("--only", metavar="WORK,...", action="append", help="only these works; * matches anything")
    parser.add_argument("--peers", metavar="PEER,...", action="append", help="only these; PEER@1 runs on one thread")
    parser.add_argument("--rounds", metavar="N", type=int, default=7, help="turns per peer (7)")
    parser.add_argument("--threads", metavar="N", type=int, default=2, help="threads per peer (2)")
    parser.add_argument("--seconds", metavar="S", type=float, default=1.0, help="length of a turn in seconds (1)")
    parser.add_argument("--out", metavar="DIR", default="versus/results", help="folder of the results (versus/results)")
    parser.add_argument("--list", action="store_true", help="list what would be run and by whom, and run nothing")
    return parser


def _names(given):
    return [name.strip() for text in given for name in text.split(",") if name.strip()]


def _works(only):
    chosen = []
    for pattern in _names(only or ["*"]):
        found = fnmatch.filter(WORKS, pattern)
        if not found:
            raise ValueError(f"--only {pattern}: no such work; available: {', '.join(WORKS)}")
        chosen += found
    return [WORKS[name] for name in WORKS if name in chosen]


def _peers(given):
    labels = _names(given or [])
    for label in labels:
        try:
            contestant(label, 1)
        except ValueError as error:
            raise ValueError(f"--peers {label}: {error}") from error
    return labels or None


def _failures(outcome):
    """Whether anybody was absent for another reason than not being installed."""
    entries = [entry for work in outcome["works"] for entry in work["contestants"].values()]
    return any("absent" in entry and not entry["absent"].startswith("not installed") for entry in entries)


def _tell(text):
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
