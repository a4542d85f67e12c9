"""Published sizes of networks, to compare our own counts with.

Exact ones are the official code's or the paper's layer table's, counted to the last unit: trainable scalars, and the
multiply-adds of convolutions and fully connected layers for one image. The others are rounded, as papers print them.
"""

import json
from importlib.resources import files
from typing import Any, NamedTuple

__all__ = ["NOT_BUILT", "Published", "published"]

NOT_BUILT = {
    "convnext_atto": "needs layer normalisation, which no other network here does",
    "mobilenet_v2_kuangliu": "another MobileNetV2 for small images, known only with rounded numbers",
}


class Published(NamedTuple):
    """One published size.

    Attributes
    ----------
    model : str
        A name for `models.create`.
    kwargs : dict
        Its options.
    input : tuple of int
        (H, W, C) of one image.
    classes : int
    params, macs : int or None
    exact : bool
        To the last unit; otherwise rounded.
    source : str
    """

    model: str
    kwargs: dict[str, Any]
    input: tuple[int, int, int]
    classes: int
    params: int | None
    macs: int | None
    exact: bool
    source: str


def published() -> list[Published]:
    """All of them, those of a network one after the other.

    Examples
    --------
    >>> first = published()[0]
    >>> first.model, first.kwargs["width"], first.input, first.params, first.macs
    ('ghostnet', 0.5, (224, 224, 3), 2587292, 42328152)
    """
    entries = json.loads((files("minighost.models") / "published.json").read_text(encoding="utf-8"))
    return [Published(**{**entry, "input": tuple(entry["input"])}) for entry in entries]
