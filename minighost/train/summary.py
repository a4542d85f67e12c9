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
    best, task = t.best or {}, t.task
    measured = {} if result is None else task.measured(result)
    test_set = None if t.test_loader is None else t.test_loader.dataset
    summary: dict[str, Any] = {
        "model": config.model.name,
        "width": config.model.width,
        "data": config.data.name,
        "parameters": sum(p.data.size for p in t.model.parameters()),
        "macs": int(course.storage.macs) or None,
        **{key: measured.get(key) for key in task.tested},
        "test_images": 0 if result is None or test_set is None else len(test_set),
        **{f"train_{key}": _last(epochs, f"train_{key}") for key in task.trained},
        "train_images": len(t.loader.dataset),
        "best_epoch": best.get("epoch"),
        f"best_{task.score}": best.get(task.score),
        "epochs": t.epoch,
        "steps": t.global_step,
        "seed": config.seed,
        "seconds": sum(_numbers(epochs, "seconds") + _numbers(epochs, "test_seconds")),
        "images_per_second": _mean(_numbers(epochs, "images_per_second")),
        **task.by_class(result, t.loader.dataset.classes),
    }
    return summary | ({"stopped": course.ended} if course.ended else {})


def _numbers(records, key):
    """What is there of a quantity: a damaged log may lack anything."""
    return [record[key] for record in records if isinstance(record.get(key), int | float)]


def _last(records, key):
    return next(iter(_numbers(records[-1:], key)), None)


def _mean(numbers):
    return sum(numbers) / len(numbers) if numbers else None
