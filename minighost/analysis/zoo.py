"""All networks with published sizes: each is built here and counted, and its counts stand beside the published ones."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from minighost import models, nn
from minighost.models.published import NOT_BUILT, Published, published
from minighost.nn.counts import count

__all__ = ["Entry", "entries", "standard_forms"]


class Entry(NamedTuple):
    """One published size and our own counts.

    Attributes
    ----------
    published : Published
    params, macs : int or None
        Ours; None if the network could not be built.
    missing : str
        Why there are none; "" if there are.
    """

    published: Published
    params: int | None
    macs: int | None
    missing: str

    @property
    def equal(self) -> bool:
        """Whether our counts are those that were published, to the last unit."""
        pairs = (self.params, self.published.params), (self.macs, self.published.macs)
        return not self.missing and all(theirs in (ours, None) for ours, theirs in pairs)


def entries(sizes: Iterable[Published] | None = None) -> Iterator[Entry]:
    """Build and count the network of each published size, one after the other.

    Parameters
    ----------
    sizes : iterable of Published
        By default all of `models.published`.
    """
    for size in published() if sizes is None else sizes:
        yield _entry(size)


def standard_forms(sizes: Iterable[Published]) -> list[Published]:
    """For each network its first size, an exact one of width 1 where there is one."""
    found: dict[str, Published] = {}
    for size in sizes:
        if size.model not in found or (_is_standard(size) and not _is_standard(found[size.model])):
            found[size.model] = size
    return list(found.values())


def _is_standard(size: Published) -> bool:
    return size.exact and size.kwargs.get("width", 1.0) == 1.0


def _entry(size: Published) -> Entry:
    if size.model not in (*models.names(), *models.detectors()):
        return Entry(size, None, None, NOT_BUILT.get(size.model, "no network is registered under this name"))
    try:
        with nn.without_weights():
            model = models.create(size.model, **size.kwargs, num_classes=size.classes)
        rows = count(model, size.input)
    except (TypeError, ValueError) as error:
        return Entry(size, None, None, str(error))
    return Entry(size, sum(row.params for row in rows), sum(row.macs for row in rows), "")
