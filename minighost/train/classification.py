"""The task of telling which of some classes an image is of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minighost import ops
from minighost.nn import fold
from minighost.nn.module import Module
from minighost.train.metrics import Evaluation, evaluate
from minighost.train.settings import TrainConfig
from minighost.train.task import Cost, Task
from minighost.type_aliases import Array, IntArray
from minighost.wording import counted

if TYPE_CHECKING:
    from minighost.data.loader import Loader
    from minighost.train.parallel import Single

__all__ = ["Classification"]


class Classification(Task):
    """Logits (N, C), labels (N,), softmax cross-entropy, accuracy."""

    counts: dict[str, type] = {"right": int}
    score = "test_accuracy"
    trained = ("accuracy", "loss")
    tested = ("test_accuracy", "test_loss")
    head = "train loss       acc test loss       acc"

    def __init__(self, config: TrainConfig) -> None:
        self.config = config

    def cost(self, out: Array, targets: IntArray) -> Cost:
        loss, dlogits = ops.softmax_cross_entropy(out, targets, self.config.label_smoothing)
        return Cost(float(loss), (int((out.argmax(axis=1) == targets).sum()),), dlogits)

    def inference(self, model: Module) -> Callable[[Array], Array]:
        return fold(model)

    def evaluate(
        self, model: Module, loader: Loader, ends: bool, tick: Callable[[], object], ranks: Single | None = None
    ) -> Evaluation:
        """Other views than the image are looked at when a planned end is reached only: they cost time, and what counts
        is the end."""
        return evaluate(model, loader, views=self.config.views if ends else "image", tick=tick, ranks=ranks)

    def measured(self, evaluation: Evaluation) -> dict[str, float]:
        return {"test_loss": evaluation.loss, "test_accuracy": evaluation.accuracy}

    def by_class(self, evaluation: Evaluation | None, classes: Sequence[str]) -> dict[str, dict[str, float]]:
        if evaluation is None:
            return {"accuracy_by_class": {}}
        confusion = evaluation.confusion
        right = confusion.diagonal() / confusion.sum(axis=1).clip(1)
        return {"accuracy_by_class": dict(zip(classes, (round(float(r), 6) for r in right), strict=True))}

    def shares(self, counts: Mapping[str, float], images: int) -> dict[str, float]:
        return {"accuracy": counts["right"] / images}

    def progress(self, sums: Mapping[str, float]) -> str:
        return f"acc {100 * sums['right'] / sums['seen']:4.1f} %"

    def cells(self, record: Mapping[str, Any]) -> str:
        tested = "test_loss" in record
        test = f"{record['test_loss']:9.4f} {100 * record['test_accuracy']:7.2f} %" if tested else f"{'-':>9} {'-':>9}"
        return f"{record['train_loss']:10.4f} {100 * record['train_accuracy']:7.2f} % {test}"

    def height(self, record: Mapping[str, Any]) -> float:
        return record["test_accuracy" if "test_accuracy" in record else "train_accuracy"]

    def outcome(self, summary: Mapping[str, Any]) -> str:
        split = "test" if summary["test_images"] else "train"
        loss, accuracy = summary[f"{split}_loss"], summary[f"{split}_accuracy"]
        return (
            f"{100 * (accuracy or 0):.2f} % of "
            f"{counted(summary[f'{split}_images'], 'training' if split == 'train' else 'test', 'image')} "
            f"correct (loss {'not finite' if loss is None else f'{loss:.4f}'})"
        )

    def drawings(self, evaluation: Any, dataset: Any, title: str) -> dict[str, Callable[[Any], object]]:
        from minighost.plots.run import confusion, mistakes

        return {
            "confusion.png": lambda path: confusion(evaluation, dataset.classes, path, title),
            "mistakes.png": lambda path: mistakes(evaluation, dataset, path, title),
        }
