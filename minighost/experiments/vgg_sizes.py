"""The sizes of VGG-16 for CIFAR-10 and of its ghost forms at full width, beside the paper's, to the last unit.

Weights are counted with the hidden layer of 512 features, multiply-adds without: so all 16 cells of the paper come out
(Han et al. 2020, arXiv 1911.11907, tables 3 and 4).
"""

from collections.abc import Sequence

__all__ = ["PUBLISHED", "size_cells", "sizes"]

PUBLISHED = {  # (s, d): weights and multiply-adds in millions, as printed
    (2, 1): (7.6, 157),
    (2, 3): (7.7, 158),
    (2, 5): (7.7, 160),
    (2, 7): (7.7, 163),
    (3, 3): (5.2, 107),
    (4, 3): (4.0, 80),
    (5, 3): (3.3, 65),
}


def sizes(s: int, d: int) -> tuple[int, int]:
    """Parameters with the hidden layer, and multiply-adds per image without it."""
    from minighost import models, nn
    from minighost.nn.counts import count

    with nn.without_weights():
        full, bare = (models.create("ghost_vgg16_cifar", s=s, d=d, fc512=hidden) for hidden in (True, False))
    return sum(p.size for p in full.parameters()), sum(row.macs for row in count(bare, (32, 32, 3)))


def size_cells(cells: Sequence[tuple[int, int]]) -> list[str]:
    """A table in Markdown: a line for each ``(s, d)``, ours beside the paper's."""
    lines = [
        "## Sizes at full width",
        "",
        "Counted, not trained. Parameters include the hidden layer of 512 features, multiply-adds do not: so the "
        "paper's cells come out.",
        "",
        "| s | d | parameters | paper | multiply-adds | paper | both cells agree |",
        "|--:|--:|--:|--:|--:|--:|---|",
    ]
    for s, d in cells:
        (parameters, macs), (weights, operations) = sizes(s, d), PUBLISHED[s, d]
        agree = (f"{parameters / 1e6:.1f}", f"{macs / 1e6:.0f}") == (f"{weights:.1f}", f"{operations:.0f}")
        yes = "yes" if agree else "no"
        lines.append(f"| {s} | {d} | {parameters:,} | {weights:.1f} M | {macs:,} | {operations} M | {yes} |")
    return lines
