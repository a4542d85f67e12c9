"""The task of finding things in pictures: which, and in which boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from minighost import detect
from minighost.detect.average_precision import AveragePrecision, average_precision
from minighost.detect.boxes import Detections, Target
from minighost.nn.module import Module
from minighost.train.task import Cost, Task
from minighost.type_aliases import Array
from minighost.wording import counted

if TYPE_CHECKING:
    from minighost.data.loader import Loader
    from minighost.train.parallel import Single

__all__ = ["Detection", "Findings", "find"]


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found in the images of a data set, and what is there.

    Parameters
    ----------
    found : list of Detections
    truth : list of Target
    num_classes : int
    """

    found: list[Detections]
    truth: list[Target]
    num_classes: int

    @cached_property
    def precision(self) -> AveragePrecision:
        return average_precision(self.found, self.truth, self.num_classes)


class Detection(Task):
    """Logits (N, A, C) and offsets (N, A, 4), a `Target` per image, focal loss and L1, mAP.

    Parameters
    ----------
    model : RetinaNet
        Or what has its `anchors` and `anchors_per_map`, and returns what it does.
    size : (int, int)
        Height and width of the images.
    """

    counts: dict[str, type] = {"class_loss": float, "box_loss": float}
    score = "test_map50"
    trained = ("loss", "class_loss", "box_loss")
    tested = ("test_map50", "test_map")
    head = "train loss   classes     boxes   mAP@0.5"

    def __init__(self, model: Module, size: tuple[int, int]) -> None:
        network: Any = model
        self.size, self.anchors, self.per_map = size, network.anchors(*size), network.anchors_per_map(*size)

    def cost(self, out: tuple[Array, Array], targets: Sequence[Target]) -> Cost:
        own = detect.loss(*out, self.anchors, targets)
        images = len(targets)
        parts = float(own.classes) * images, float(own.boxes) * images
        return Cost(float(own.total), parts, (own.dlogits, own.doffsets))

    def inference(self, model: Module) -> Callable[[Array], tuple[Array, Array]]:
        return lambda x: model.eval()(x)  # type: ignore[return-value]  # two arrays, not one

    def evaluate(
        self, model: Module, loader: Loader, ends: bool, tick: Callable[[], object], ranks: Single | None = None
    ) -> Findings:
        infer = self.inference(model)
        found: list[Detections] = []
        truth: list[Any] = []
        for x, targets in loader.epoch(0):
            found += self.detections(*infer(x))
            truth += targets
            tick()
        return Findings(found, truth, len(loader.dataset.classes))

    def detections(self, logits: Array, offsets: Array, score: float = 0.05) -> list[Detections]:
        """What the network's output says was found in each image, from this score on."""
        return detect.detections(logits, offsets, self.anchors, self.size, score=score, per_map=self.per_map)

    def measured(self, evaluation: Findings) -> dict[str, float]:
        return {"test_map50": evaluation.precision.at_50, "test_map": evaluation.precision.mean}

    def by_class(self, evaluation: Findings | None, classes: Sequence[str]) -> dict[str, dict[str, float]]:
        if evaluation is None:
            return {"map50_by_class": {}}
        each = zip(classes, evaluation.precision.table[:, 0], strict=True)
        return {"map50_by_class": {name: round(float(ap), 6) for name, ap in each if not np.isnan(ap)}}

    def shares(self, counts: Mapping[str, float], images: int) -> dict[str, float]:
        return {name: counts[name] / images for name in self.counts}

    def progress(self, sums: Mapping[str, float]) -> str:
        return f"classes {sums['class_loss'] / sums['seen']:.3f}  boxes {sums['box_loss'] / sums['seen']:.3f}"

    def cells(self, record: Mapping[str, Any]) -> str:
        parts = f"{record['train_loss']:10.4f} {record['train_class_loss']:9.4f} {record['train_box_loss']:9.4f}"
        return f"{parts} {100 * record['test_map50']:7.2f} %" if "test_map50" in record else f"{parts} {'-':>9}"

    def height(self, record: Mapping[str, Any]) -> float:
        return record.get("test_map50", 0.0)

    def outcome(self, summary: Mapping[str, Any]) -> str:
        if not summary["test_images"]:
            return f"{counted(summary['train_images'], 'training', 'image')}, loss {summary['train_loss'] or 0:.4f}"
        at_50, mean = (f"{100 * (summary[key] or 0):.2f} %" for key in self.tested)
        images = counted(summary["test_images"], "test", "image")
        return f"mAP@0.5 {at_50}, mAP@0.5:0.95 {mean} on {images}"

    def drawings(self, evaluation: Any, dataset: Any, title: str) -> dict[str, Callable[[Any], object]]:
        from minighost.plots.boxes import found_sheet

        return {"detections.png": lambda path: found_sheet(evaluation.found, dataset, path, title)}


def find(model: Module, images: Array, score: float = 0.05) -> list[Detections]:
    """What a detector finds in normalised images (N, H, W, 3), in their pixels.

    Parameters
    ----------
    model : RetinaNet
    images : ndarray, shape (N, H, W, 3), float32
    score : float
        From which on a detection is kept, 0 to 1.
    """
    task = Detection(model, (images.shape[1], images.shape[2]))
    return task.detections(*task.inference(model)(images), score=score)
