"""``python -m versus.record``: PyTorch's own run of the record recipe, beside which ours stands.

    python -m versus.record --data-dir DATA --seeds 0 1 2 --threads 2 --out record.json

The recipe is in `versus.airbench`. A run takes half an hour, so its state is kept beside --out after each epoch: the
same command goes on from there, with the same numbers, and finished seeds are not repeated. Seconds of training and of
evaluation are counted apart, since evaluating after each epoch is our wish and not the recipe's. `versus.pareto` draws
what is written.
"""

import argparse
import hashlib
import io
import json
import sys
import time
from pathlib import Path

import torch

from minighost import data
from minighost.arguments import whole
from minighost.errors import one_line
from minighost.files import write_atomic
from versus import airbench, report

__all__ = ["Run", "main"]

EVALUATED = 2000  # images at once


class Run:
    """One seed's training, which can be stopped after any epoch.

    Parameters
    ----------
    train, test : Dataset
        Images (N, 32, 32, 3) uint8 with labels.
    seed, epochs, batch : int
        A rest of images that fills no batch is left out of its epoch.

    Attributes
    ----------
    record : dict
        ``seed``; ``setup_seconds`` for whitening and padding; ``epochs``, one dict for each; at the end also
        ``test_accuracy``, with six views, and its ``test_seconds``. Accuracies are shares.
    """

    def __init__(self, train, test, seed, epochs, batch):
        start = time.perf_counter()
        self.generator = torch.Generator().manual_seed(seed)
        network = airbench.Network(self.generator)
        images = torch.from_numpy(train.images)
        with torch.no_grad():
            network.stem.weight.copy_(airbench.whitening(airbench.normalize(images[: airbench.WHITENED_IMAGES])))
        flipped = torch.rand(len(images), generator=self.generator) < 0.5
        self.images, self.labels = airbench.padded(images, flipped), torch.from_numpy(train.labels).long()
        self.test, self.batch, self.steps = test, batch, len(images) // batch
        steps, stem_steps = epochs * self.steps, airbench.STEM_EPOCHS * self.steps
        self.trainer = airbench.Trainer(network, steps, stem_steps, batch)
        self.record = {"seed": seed, "setup_seconds": time.perf_counter() - start, "epochs": []}

    def epoch(self):
        """Train one epoch and measure the test accuracy, without views."""
        start, done = time.perf_counter(), len(self.record["epochs"])
        order = torch.randperm(len(self.images), generator=self.generator)
        shifts = torch.randint(-airbench.SHIFT, airbench.SHIFT + 1, (len(order), 2), generator=self.generator)
        losses, right = 0.0, 0
        for some in order[: self.steps * self.batch].split(self.batch):
            # Every image is mirrored in every other epoch; which half begins is drawn once.
            x = airbench.crop_and_flip(self.images[some], shifts[some], flip=done % 2 == 1)
            logits, loss = self.trainer.train(airbench.normalize(x), self.labels[some])
            losses += loss
            right += (logits.argmax(1) == self.labels[some]).sum().item()
        seconds, seen = time.perf_counter() - start, self.steps * self.batch
        accuracy, test_seconds = self._evaluate(lambda x: self.trainer.network(x))
        self.record["epochs"].append(
            {
                "epoch": done + 1,
                "train_loss": losses / seen,
                "train_accuracy": right / seen,
                "test_accuracy": accuracy,
                "seconds": seconds,
                "test_seconds": test_seconds,
            }
        )

    def views(self):
        """Measure the test accuracy with six views, which ends the run."""
        accuracy, seconds = self._evaluate(lambda x: airbench.six_views(self.trainer.network, x))
        self.record |= {"test_accuracy": accuracy, "test_seconds": seconds}

    @torch.inference_mode()
    def _evaluate(self, logits):
        start, right = time.perf_counter(), 0
        self.trainer.network.eval()
        images, labels = torch.from_numpy(self.test.images), torch.from_numpy(self.test.labels)
        for some, truth in zip(images.split(EVALUATED), labels.split(EVALUATED), strict=True):
            right += (logits(airbench.normalize(some)).argmax(1) == truth).sum().item()
        return right / len(images), time.perf_counter() - start

    def state(self):
        """Everything that the next epoch depends on, as bytes."""
        kept = {"trainer": self.trainer.state_dict(), "generator": self.generator.get_state(), "record": self.record}
        torch.save(kept, file := io.BytesIO())
        return file.getvalue()

    def restore(self, state):
        """Go on from bytes of `state`; tensors and plain values only, nothing in them is run."""
        kept = torch.load(io.BytesIO(state), weights_only=True)
        self.trainer.load_state_dict(kept["trainer"])
        self.generator.set_state(kept["generator"])
        self.record = kept["record"]


def main(argv=None):
    """Returns the exit status: 2 if the data or --out cannot be used, 130 after Ctrl-C."""
    args = _parser().parse_args(argv)
    try:
        for flag in ("epochs", "threads"):
            whole("record", f"--{flag}", getattr(args, flag), 1)
        torch.set_num_threads(args.threads)
        train, test = (data.cifar10(split, directory=args.data_dir) for split in ("train", "test"))
        out = Path(args.out)
        outcome = _outcome(out, _facts(train, test, args))
        _write(out, outcome)  # now, so that whoever goes on is held to the same conditions
        for seed in args.seeds:
            if any(run["seed"] == seed for run in outcome["runs"]):
                print(f"seed {seed} is in {out} already")
                continue
            outcome["runs"].append(_run(train, test, seed, args.epochs, out))
            _write(out, outcome)
            _state(out, seed).unlink(missing_ok=True)
    except (ValueError, OSError) as error:
        print(f"record: error: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on after the last epoch of {args.out}", file=sys.stderr)
        return 130
    print(out)
    return 0


def _run(train, test, seed, epochs, out):
    """A finished run's record; from where it was left, if it was."""
    run, kept = Run(train, test, seed, epochs, airbench.BATCH), _state(out, seed)
    if kept.exists():
        run.restore(kept.read_bytes())
        print(f"seed {seed}: {len(run.record['epochs'])} of {epochs} epochs are done")
    while len(run.record["epochs"]) < epochs:
        run.epoch()
        write_atomic(kept, run.state())
        print("seed {}  {}".format(seed, _line(run.record["epochs"][-1])), flush=True)
    run.views()
    print(f"seed {seed}  six views: {100 * run.record['test_accuracy']:.2f} %, {run.record['test_seconds']:.1f} s")
    return run.record


def _line(epoch):
    return (
        f"epoch {epoch['epoch']}  loss {epoch['train_loss']:.4f}  training {100 * epoch['train_accuracy']:.2f} %  "
        f"test {100 * epoch['test_accuracy']:.2f} %  {epoch['seconds']:.1f} s + {epoch['test_seconds']:.1f} s"
    )


def _write(out, outcome):
    write_atomic(out, json.dumps(outcome, indent=1) + "\n")


def _state(out, seed):
    return out.with_name(f"{out.stem}-{seed}.state")


def _facts(train, test, args):
    """What all runs of one file have in common."""
    digest = hashlib.sha256()
    for one in (train, test):
        digest.update(one.images)
        digest.update(one.labels)
    return {
        "recipe": "airbench94_muon",
        "framework": f"PyTorch {torch.__version__.partition('+')[0]}",
        "epochs": args.epochs,
        "threads": args.threads,
        "data_sha256": digest.hexdigest(),
    }


def _outcome(out, facts):
    """What --out holds, if it was measured under the same conditions; else a new one."""
    if not out.exists():
        return {**facts, "machine": report.machine(), "runs": []}
    found = json.loads(out.read_text(encoding="utf-8"))
    for key, value in facts.items():
        if found.get(key) != value:
            raise ValueError(f"--out {out}: has {key} {found.get(key)}, not {value}; choose another file")
    return found


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m versus.record", description="Train the record recipe airbench94_muon in PyTorch."
    )
    parser.add_argument("--data-dir", metavar="DIR", required=True, help="folder that holds CIFAR-10")
    parser.add_argument("--seeds", metavar="N", type=int, nargs="+", default=[0], help="one run for each (0)")
    parser.add_argument("--epochs", metavar="N", type=int, default=airbench.EPOCHS, help="(8)")
    parser.add_argument("--threads", metavar="N", type=int, default=2, help="(2)")
    parser.add_argument("--out", metavar="FILE", default="record.json", help="what is measured (record.json)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
