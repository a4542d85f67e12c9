"""The outcome as JSON and as Markdown."""

import importlib.metadata
import json
from pathlib import Path

from minighost import bench
from minighost.files import write_atomic
from versus.suite import OURS

__all__ = ["machine", "markdown", "overview", "write"]

PACKAGES = "minighost", "numpy", "numba", "torch", "onnx", "onnxruntime", "mygrad"

HEAD = """\
# minighost and its peers

{cpu}, {cores} cores, {system}, Python {python}; {versions}.

Every contestant runs in its own process, warmed up, alternately, about {turn:g} s at a time. Times are per step: the
median of {n} rounds, and the middle half of them. "Times minighost's" is computed within each round: above 1, minighost
is faster. "Apart" is the largest difference between the results, relative to the largest number. "Start" runs from the
imports to the end of the first step, including compilation and the computation of these results. "MiB" is the peak
memory of the whole process, libraries included, during its turns.
"""


def machine():
    """What the figures were measured on."""
    return {
        **bench.machine(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
    }


def write(folder, outcome):
    """Write ``results.json`` and ``results.md`` into `folder`, which is made.

    Parameters
    ----------
    folder : path
    outcome : dict
        ``machine``, ``rounds``, ``turn_s`` and ``works``, a list from `suite.do`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "results.json", json.dumps(outcome, indent=1) + "\n")
    write_atomic(folder / "results.md", markdown(outcome))


def markdown(outcome):
    """A table with one line for each work, then one table per work."""
    of = outcome["machine"]
    head = HEAD.format(
        **{key: of[key] for key in ("cpu", "cores", "system", "python")},
        versions=", ".join(f"{name} {version}" for name, version in of["versions"].items()),
        turn=outcome["turn_s"],
        n=outcome["rounds"],
    )
    sections = (line for work in outcome["works"] for line in _section(work))
    return "\n".join([head, overview(outcome), *sections])


def overview(outcome):
    """One line for each work: minighost's time, and the ratio of every peer to it."""
    everybody = dict.fromkeys(label for work in outcome["works"] for label in work["contestants"] if label != OURS)
    heads = ["work", "minighost, ms", "images/s", *everybody, "fastest peer"]
    body = []
    for work in outcome["works"]:
        found = work["contestants"]
        ratios = {label: found[label]["ratio"] for label in everybody if "ratio" in found.get(label, {})}
        ours = found.get(OURS, {})
        took = [f"{ours['median_ms']:.2f}", f"{ours['images_per_s']:.0f}"] if "median_ms" in ours else ["absent", ""]
        cells = [_of(ratios[label]) if label in ratios else "absent" if label in found else "" for label in everybody]
        peers = [ratio["median"] for label, ratio in ratios.items() if not label.startswith(f"{OURS}@")]
        body.append([work["work"], *took, *cells, f"{min(peers):.2f}" if peers else ""])
    rows = ["| " + " | ".join(cells) + " |" for cells in (heads, *body)]
    rule = "|---|" + "--:|" * (len(heads) - 1)
    words = "Times minighost's, work by work; the last column is the peer that comes closest."
    return "\n".join(["## All works", words, "", rows[0], rule, *rows[1:], ""])


def _section(work):
    shape = "x".join(map(str, work["shape"]))
    options = "".join(f", {key} {value}" for key, value in work["options"].items())
    return [
        f"## {work['work']}",
        f"{work['kind']}, input {shape}{options}",
        "",
        "| | threads | ms | images/s | times minighost's | apart | start, s | MiB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
        *(_row(label, entry) for label, entry in work["contestants"].items()),
        "",
    ]


def _row(label, entry):
    if "absent" in entry:
        reason = " ".join(entry["absent"].split()).replace("|", "/")
        return f"| {label} | {entry['threads']} | {reason} | | | | | |"
    apart = f"{entry['difference']['relative']:.0e}" if "difference" in entry else ""
    return (
        f"| {label} | {entry['threads']} | {entry['median_ms']:.2f} ({entry['low_ms']:.2f}-{entry['high_ms']:.2f}) "
        f"| {entry['images_per_s']:.0f} | {_of(entry['ratio'])} "
        f"| {apart} | {entry['first_s']:.1f} | {entry.get('peak_mib') or ''} |"
    )


def _of(ratio):
    return f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})"


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        import minighost

        return minighost.__version__ if name == "minighost" else None
