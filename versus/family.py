"""``python -m versus.family``: every network's CIFAR form, trained briefly under one recipe on a few real images.

    python -m versus.family --data-dir DATA --out docs/results/family

Says whether a network learns and how quick it is, not how good it can become: two epochs on 10,000 images are the
beginning of a training. Finished runs are kept in --runs and not repeated, so that the command can be interrupted; the
time of a training step is taken anew, at batches of 128.
"""

import argparse
import fnmatch
import inspect
import json
import sys
from pathlib import Path

from minighost import lines, models, train
from minighost.bench import bench_network
from minighost.errors import one_line
from minighost.files import write_atomic
from minighost.models.registry import MODELS
from versus import report

__all__ = ["main", "markdown"]

# One recipe for all, with or without batch norm: AdamW's steps do not depend on the gradient's scale.
RECIPE = {
    "data.name": "cifar10",
    "train.optimizer": "adamw",
    "train.lr": 0.002,
    "train.weight_decay": 0.01,
    "train.batch_size": 64,
    "train.crop": 2,
    "train.clip_norm": 5.0,
}


def main(argv=None):
    """Returns the exit status: 1 if a network failed or stayed at chance."""
    args = _parser().parse_args(argv)
    rows = []
    for name in fnmatch.filter(_networks(), args.only):
        folder = Path(args.runs) / name
        try:
            summary = _summary(name, folder, args)
        except (ValueError, OSError, RuntimeError) as error:
            print(f"{name}: {one_line(error)}", file=sys.stderr)
            summary = {"error": one_line(error)}
        rows.append({"model": name, "lines": _lines_of(name), **summary})
        print(f"{name:28} {_words(summary)}", flush=True)
        _write(args, rows)
    print(f"written to {args.out}")
    return int(any(not _learns(row) for row in rows))


def markdown(outcome):
    """The table."""
    head = "| network | parameters | multiply-adds | lines of code | images/s | test accuracy after each epoch |"
    body = [
        f"| {row['model']} | {row['parameters']:,} | {row['macs']:,} | {row['lines']} "
        f"| {row['images_per_second'] or 0:.0f} | {' '.join(f'{100 * share:.1f}' for share in row['accuracies'])} |"
        for row in outcome["networks"]
        if "error" not in row
    ]
    failed = [f"* {row['model']}: {row['error']}" for row in outcome["networks"] if "error" in row]
    of = outcome["machine"]
    machine = f"{of['cpu']}, {of['cores']} cores, {of['system']}, Python {of['python']}"
    return "\n".join(
        [
            "# The family on ten thousand images",
            "",
            outcome["what"],
            "",
            head,
            "|---|--:|--:|--:|--:|--:|",
            *body,
            "",
            *failed,
            f"Machine: {machine}.",
            "",
        ]
    )


def _networks():
    """Names of the CIFAR forms, and of the networks that are made for such images."""
    return [
        name for name in models.names() if name.endswith("_cifar") or name in ("quicknet", "ghostnet_short", "resnet20")
    ]


def _summary(name, folder, args):
    options = {
        **RECIPE,
        "model.name": name,
        "data.dir": args.data_dir,
        "data.train_size": args.images,
        "data.test_size": args.test_images,
        "train.epochs": args.epochs,
        "out": str(folder),
    }
    finished = folder / "summary.json"
    if not finished.exists():
        resume = (folder / "config.json").exists()
        config = train.resume_config(folder) if resume else train.Config.resolve(overrides=options)
        train.run(config, resume=resume)
    summary = json.loads(finished.read_text(encoding="utf-8"))
    epochs = [record for record in train.read_log(folder / "log.jsonl") if record["kind"] == "epoch"]
    return {
        "parameters": summary["parameters"],
        "macs": summary["macs"],
        "accuracies": [record["test_accuracy"] for record in epochs],
        "images_per_second": _speed(name, args.rounds) if args.rounds else None,
    }


def _speed(name, rounds):
    measured = bench_network(name, {"num_classes": 10}, mode="train", repeats=rounds).results[0]
    return measured.images / measured.timing.median


def _learns(row):
    """Whether it is right clearly more often than by chance: on 2,000 images of ten classes 13 % is five deviations."""
    return "error" not in row and max(row["accuracies"]) > 0.13


def _lines_of(name):
    """Lines of code of the file that a network is in."""
    return lines.count_file(Path(inspect.getfile(MODELS[name])).read_text(encoding="utf-8")).code


def _words(summary):
    if "error" in summary:
        return f"failed: {summary['error']}"
    accuracies = " ".join(f"{100 * accuracy:.1f} %" for accuracy in summary["accuracies"])
    return f"{accuracies}, {summary['images_per_second'] or 0:.0f} images/s"


def _write(args, rows):
    what = (
        f"{args.epochs} epochs on the first {args.images:,} images of the JPEG copy of CIFAR-10, tested on "
        f"{args.test_images:,}; AdamW, rate {RECIPE['train.lr']}, batches of {RECIPE['train.batch_size']}, n = 1. "
        f"Images per second: training steps at batches of 128, the median of {args.rounds}."
    )
    outcome = {"what": what, "recipe": RECIPE, "machine": report.machine(), "networks": rows}
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "family.json", json.dumps(outcome, indent=1) + "\n")
    write_atomic(out / "family.md", markdown(outcome))


def _parser():
    parser = argparse.ArgumentParser(prog="python -m versus.family", description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", metavar="DIR", required=True, help="folder with cifar-10-batches-bin")
    parser.add_argument("--only", metavar="PATTERN", default="*", help="networks whose name matches")
    parser.add_argument("--epochs", metavar="N", type=int, default=2)
    parser.add_argument("--images", metavar="N", type=int, default=10_000, help="training images (10,000)")
    parser.add_argument("--test-images", metavar="N", type=int, default=2_000, help="test images (2,000)")
    parser.add_argument("--rounds", metavar="N", type=int, default=5, help="timed training steps per network (5)")
    parser.add_argument("--runs", metavar="DIR", default="runs/family", help="where runs are kept (runs/family)")
    parser.add_argument("--out", metavar="DIR", default="docs/results/family", help="where the table goes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
