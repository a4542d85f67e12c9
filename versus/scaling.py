"""``python -m versus.scaling``: how training scales over ranks, measured on this machine and projected to 64 nodes.

    python -m versus.scaling --out docs/results/scaling

Measured: the median step of one process and of two ranks, one thread each, in rounds that take turns. *Strong* scaling
keeps the global batch, *weak* scaling keeps the images per rank. A node is one rank on one thread of this processor.

Projected: ``step(P) = compute(images per rank) + gradient(P) + batch norm(P)``, with latency a and bandwidth b of a
link:

    compute      a straight line through the measured steps of one process at several batch sizes
    gradient     Alltoall and Allgather of 4G bytes:    2 (P-1) a + 2 (P-1)/P * 4G / b
    batch norm   two Allgathers for each of L layers:   2 L ceil(log2 P) a + (P-1) * 5 * 8 C / b
    and two Allgathers of a few numbers:                2 ceil(log2 P) a

with G parameters and C channels of all L layers together. It knows nothing of nodes that are slower than others, of
links that are shared, or of a reduction that overlaps with the backward, which minighost's does not.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minighost.plots.figure import picture
from minighost.plots.style import INK, SERIES, plain

__all__ = ["LINKS", "Network", "main", "project", "report"]

ROOT = Path(__file__).parents[1]
NODES = (1, 2, 4, 8, 16, 32, 64)


class Link(NamedTuple):
    """What connects two nodes: seconds for an empty message, bytes per second."""

    latency: float
    bandwidth: float


LINKS = {
    "1 Gb/s Ethernet": Link(50e-6, 0.117e9),
    "10 Gb/s Ethernet": Link(20e-6, 1.17e9),
    "100 Gb/s InfiniBand": Link(2e-6, 11.5e9),
}


class Network(NamedTuple):
    """What the model needs of a network: numbers, and seconds of a step of n images, ``fixed + n * each``."""

    numbers: int
    batch_norms: int
    channels: int
    fixed: float
    each: float


def project(network, link, nodes, images, synchronised=True):
    """Seconds of one step on so many nodes with so many images each; see the module's text."""
    P, a, b = nodes, link.latency, link.bandwidth
    hops = math.ceil(math.log2(P))
    gradient = 2 * (P - 1) * a + 2 * (P - 1) / P * 4 * network.numbers / b
    norm = 2 * network.batch_norms * hops * a + (P - 1) * 5 * 8 * network.channels / b if synchronised else 0.0
    return network.fixed + images * network.each + gradient + norm + 2 * hops * a


def main(argv=None):
    """Measure, project, write ``scaling.json``, ``scaling.md`` and ``scaling.png``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ghostnet")
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--batch-size", type=int, default=128, help="global batch of strong scaling; even")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="timed steps of a round")
    parser.add_argument("--ranks", type=int, default=2, help="ranks that this machine has a core for each")
    parser.add_argument("--mpirun", default=_mpirun())
    parser.add_argument("--note", default="", help="a line about the machine, for the report")
    parser.add_argument("--out", type=Path, default=Path("scaling"))
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    measured = measure(args)
    (args.out / "scaling.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    text = report(measured)
    (args.out / "scaling.md").write_text(text, encoding="utf-8")
    draw(measured, args.out / "scaling.png")
    print(text)


def _mpirun():
    beside = Path(sys.executable).with_name("mpirun")
    return str(beside) if beside.exists() else "mpirun"


def measure(args):
    """Every case in every round: ``{"cases": {"one 128": {"ranks": 1, ..., "rounds": [...]}, ...}, ...}``."""
    B, P = args.batch_size, args.ranks
    plan = [("one", 1, B * P, True), ("one", 1, B, True), ("one", 1, B // P, True), ("one", 1, B // (2 * P), True)]
    plan += [(kind, P, n, sync) for n in (B, B * P) for kind, sync in (("synchronised", True), ("per rank", False))]
    cases = {f"{kind} {n}": {"kind": kind, "ranks": p, "batch": n, "rounds": []} for kind, p, n, _ in plan}
    for k in range(args.rounds):
        for kind, p, n, sync in plan[k % 2 :] + plan[: k % 2]:
            cases[f"{kind} {n}"]["rounds"].append(_run(args, p, n, sync))
            print(f"round {k + 1}/{args.rounds}  {kind} {n}: {cases[f'{kind} {n}']['rounds'][-1]['step_s']:.3f} s")
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
    return {"settings": {k: v for k, v in settings.items() if k not in ("out", "mpirun")}, "cases": cases}


def _run(args, ranks, batch, sync):
    words = [sys.executable, "-m", "versus.scaling_worker", args.model, str(args.width), str(batch), str(args.steps)]
    words = ([args.mpirun, "-n", str(ranks)] if ranks > 1 else []) + [*words, str(int(sync))]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"versus.scaling: {' '.join(words)} failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _median(case, *keys):
    def value(one):
        for key in keys:
            one = one[key]
        return one

    return statistics.median(value(one) for one in case["rounds"])


def network_of(measured):
    """The `Network` that was measured: a straight line through the steps of one process."""
    one = [case for case in measured["cases"].values() if case["kind"] == "one"]
    each, fixed = np.polyfit([case["batch"] for case in one], [_median(case, "step_s") for case in one], 1)
    first = one[0]["rounds"][0]
    return Network(first["numbers"], first["batch_norms"], first["channels"], max(float(fixed), 0.0), float(each))


def report(measured):
    """Tables in Markdown: what was measured, then what follows from the model."""
    s, cases, network = measured["settings"], measured["cases"], network_of(measured)
    B, P = s["batch_size"], s["ranks"]
    one, more = {n: _median(cases[f"one {n}"], "step_s") for n in (B * P, B, B // P)}, []
    for n, words in ((B, "strong"), (B * P, "weak")):
        for kind in ("synchronised", "per rank"):
            case = cases[f"{kind} {n}"]
            seconds = sorted(round_["step_s"] for round_ in case["rounds"])
            base = one[B] / P if words == "strong" else one[B]
            spread = f"{1000 * seconds[0]:.0f}-{1000 * seconds[-1]:.0f}"
            step = statistics.median(seconds)
            row = (words, kind, str(n), f"{1000 * step:.0f}", spread, f"{n / step:.0f}", f"{100 * base / step:.0f} %")
            more.append(row)
    head = ("scaling", "batch norm", "global batch", "step ms", "least-most", "images/s", "efficiency")
    lines = [
        f"## Measured: {s['model']} {s['width']:g}x, {P} ranks on one machine, one thread each",
        *([s["note"], ""] if s["note"] else [""]),
        f"{s['rounds']} rounds of {s['steps']} steps; the median of the rounds' medians. One process with one thread: "
        + ", ".join(f"{n} images {1000 * t:.0f} ms" for n, t in one.items())
        + ".",
        "",
        *_markdown(head, more),
        "",
        "The reduction alone, in ms: float32 numbers averaged over the ranks (Allreduce does not fix its order).",
        "",
        *_markdown(("numbers", "Ranks.mean", "MPI Allreduce"), _reductions(cases[f"synchronised {B}"])),
        "",
        "## Projected",
        "",
        f"{network.numbers:,} parameters, {network.batch_norms} batch norms with {network.channels:,} channels; a step "
        f"of n images takes {1000 * network.fixed:.1f} + {1000 * network.each:.2f} n ms on a node. Images per second, "
        "and share of the perfect speed-up; batch norm synchronised, and over each rank's images in brackets.",
        "",
        *_projection(network, B),
    ]
    return "\n".join(lines) + "\n"


def _reductions(case):
    return [
        (f"{int(n):,}", *(f"{1000 * _median(case, key, n):.2f}" for key in ("mean_s", "allreduce_s")))
        for n in case["rounds"][0]["mean_s"]
    ]


def _projection(network, B):
    for words, images in (
        (f"Weak: {B} images per node", lambda P: B),
        (f"Strong: {8 * B} images", lambda P: 8 * B / P),
    ):
        rows, alone = [], images(1) / project(network, LINKS["10 Gb/s Ethernet"], 1, images(1))
        for P in NODES:
            cells = []
            for link in LINKS.values():
                both = [images(P) * P / project(network, link, P, images(P), sync) for sync in (True, False)]
                shares = [f"{100 * speed / (P * alone):.0f} %" for speed in both]
                cells.append(f"{both[0]:,.0f}, {shares[0]} ({shares[1]})")
            rows.append((str(P), *cells))
        yield from (f"{words}.", "", *_markdown(("nodes", *LINKS), rows), "")


def _markdown(head, rows):
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def draw(measured, path):
    """Efficiency against nodes: lines are the model, rings what was measured."""
    network, B = network_of(measured), measured["settings"]["batch_size"]
    P, cases = measured["settings"]["ranks"], measured["cases"]
    kinds = (("weak", f"{B} images per node", lambda n: B), ("strong", f"{8 * B} images", lambda n: 8 * B / n))
    with picture(path, 9, 4) as figure:
        for axes, (kind, words, images) in zip(figure.subplots(1, 2, sharey=True), kinds, strict=True):
            alone = images(1) / project(network, next(iter(LINKS.values())), 1, images(1))
            for colour, (name, link) in zip(SERIES, LINKS.items(), strict=False):
                for sync, style in ((True, "-"), (False, ":")):
                    speeds = [images(n) / project(network, link, n, images(n), sync) for n in NODES]
                    label = name if sync and kind == "weak" else None
                    axes.plot(NODES, [100 * v / alone for v in speeds], style, color=colour, label=label)
            if kind == "weak":
                step = {sync: _median(cases[f"{sync} {B * P}"], "step_s") for sync in ("synchronised", "per rank")}
                for one, face in (("synchronised", INK), ("per rank", "none")):
                    share = 100 * _median(cases[f"one {B}"], "step_s") / step[one]
                    axes.plot(P, share, "o", color=INK, markerfacecolor=face, label=f"measured, {one}")
            axes.set_xscale("log", base=2)
            axes.set_xticks(NODES, [str(n) for n in NODES])
            axes.set_ylim(0, 105)
            axes.set_title(f"{kind}: {words}", fontsize=9, color=INK)
            axes.set_xlabel("nodes (projected; dotted: batch norm per rank)", fontsize=9, color=INK)
            plain(axes, "y")
        figure.axes[0].set_ylabel("% of the perfect speed-up", fontsize=9, color=INK)
        figure.legend(loc="outside upper center", ncols=5, fontsize=8, frameon=False)


if __name__ == "__main__":
    main()
