"""The final metrics of a run, as in its summary.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minighost.train.course import Course

__all__ = ["summarize"]


def summarize(course: Course, epochs: list[dict[str, Any]]) -> dict[str, Any]:
    """What has been reached.

    Parameters
    ----------
    course : Course
        At its end, with the evaluation of the final weights.
    epochs : list of dict
        The records of its epochs, from the beginning of the run; a damaged log may lack any.
    """
    config, t, result = course.config, course.trainer, course.evaluation
    best = t.best or {}
    summary: dict[str, Any] = {
        "model": config.model.name,
        "width": config.model.width,
        "data": config.data.name,
        "parameters": sum(p.data.size for p in t.model.parameters()),
        "macs": int(course.storage.macs) or None,
        "test_accuracy": None if result is None else result.accuracy,
        "test_loss": None if result is None else result.loss,
        "test_images": 0 if result is None else len(result.labels),
        "train_accuracy": _last(epochs, "train_accuracy"),
        "train_loss": _last(epochs, "train_loss"),
        "train_images": len(t.loader.dataset),
        "best_epoch": best.get("epoch"),
        "best_test_accuracy": best.get("test_accuracy"),
        "epochs": t.epoch,
        "steps": t.global_step,
        "seed": config.seed,
        "seconds": sum(_numbers(epochs, "seconds") + _numbers(epochs, "test_seconds")),
        "images_per_second": _mean(_numbers(epochs, "images_per_second")),
        "accuracy_by_class": {} if result is None else _by_class(result.confusion, t.loader.dataset.classes),
    }
    return summary | ({"stopped": course.ended} if course.ended else {})


def _by_class(confusion, classes):
    right = confusion.diagonal() / confusion.sum(axis=1).clip(1)
    return dict(zip(classes, (round(float(r), 6) for r in right), strict=True))


def _numbers(records, key):
    """What is there of a quantity: a damaged log may lack anything."""
    return [record[key] for record in records if isinstance(record.get(key), int | float)]


def _last(records, key):
    return next(iter(_numbers(records[-1:], key)), None)


def _mean(numbers):
    return sum(numbers) / len(numbers) if numbers else None
