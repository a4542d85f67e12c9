"""MicroNet-M0 and M3 (Li et al. 2021, table 2), with what the table leaves open as in the authors' code."""

import torch
from torch import nn

from torch_twins.layers import Chain, Mean, Shuffle, Unit, rounded

__all__ = ["micronet"]

# Per block: stride, outputs, size of the kernel, the two factors of the expansion, groups of the first 1x1 convolution
# and of the shuffle, groups of the second, terms of the three shift-max (0: none), reduction / 8.
M0 = [
    (2, 8, 3, (2, 2), (0, 4), 2, (2, 0, 1), 1),
    (2, 12, 3, (2, 2), (0, 8), 4, (2, 2, 1), 1),
    (2, 16, 5, (2, 2), (0, 12), 4, (2, 2, 1), 1),
    (1, 32, 5, (1, 4), (4, 4), 4, (2, 2, 1), 1),
    (2, 64, 5, (1, 4), (8, 8), 8, (2, 2, 1), 1),
    (1, 96, 3, (1, 4), (8, 8), 8, (2, 2, 1), 2),
    (1, 384, 3, (1, 4), (12, 12), 0, (2, 2, 1), 2),
]
M3 = [
    (2, 16, 3, (2, 2), (0, 12), 4, (0, 2, 0), 1),
    (2, 24, 3, (2, 2), (0, 16), 4, (0, 2, 0), 1),
    (1, 24, 3, (2, 2), (0, 24), 4, (0, 2, 0), 1),
    (2, 32, 5, (1, 6), (6, 6), 4, (0, 2, 0), 1),
    (1, 32, 5, (1, 6), (8, 8), 4, (0, 2, 0), 2),
    (1, 64, 5, (1, 6), (8, 8), 8, (0, 2, 0), 2),
    (1, 80, 5, (1, 6), (8, 8), 8, (0, 2, 0), 2),
    (1, 80, 5, (1, 6), (10, 10), 8, (0, 2, 0), 2),
    (2, 120, 5, (1, 6), (10, 10), 10, (0, 2, 0), 2),
    (1, 120, 5, (1, 6), (12, 12), 10, (0, 2, 0), 2),
    (1, 144, 3, (1, 6), (12, 12), 12, (0, 2, 0), 2),
    (1, 864, 3, (1, 6), (12, 12), 0, (0, 2, 0), 2),
]
# Both factors of the stem, blocks, features; a and b of the two terms of shift-max before they vary.
VARIANTS = {"M0": ((2, 2), M0, 640, ((1, 0), (1, 0))), "M3": ((4, 3), M3, 1024, ((1, 0), (0.5, 0.5)))}


class ShiftMax(nn.Module):
    """max over j of a_j x + b_j x', x' with groups, and channels within groups, one further (equation 7).

    a and b vary around `start` by two times 2 sigma - 1 of two linear layers on the means; sigma: the hard sigmoid.
    """

    def __init__(self, channels, groups, reduction, start):
        super().__init__()
        hidden = rounded(channels // (8 * reduction), 4)
        self.groups, self.start = groups, start
        self.reduce, self.expand = nn.Linear(channels, hidden), nn.Linear(hidden, 2 * len(start) * channels)

    def forward(self, x):
        N, C, H, W = x.shape
        sigma = (self.expand(self.reduce(x.mean((2, 3))).relu()) + 3).clamp(0, 6) / 6
        varied = 2 * (2 * sigma - 1).reshape(N, len(self.start), 2, C, 1, 1)
        following = x.reshape(N, self.groups, C // self.groups, H, W).roll((-1, -1), (1, 2)).reshape(x.shape)
        terms = [(a + varied[:, j, 0]) * x + (b + varied[:, j, 1]) * following for j, (a, b) in enumerate(self.start)]
        return torch.stack(terms).amax(0)


def _spatial(channels, size, stride, first=1, second=1):
    middle, out = channels * first, channels * first * second
    return Chain(
        column=Unit(channels, middle, (size, 1), (stride, 1), groups=channels, act=None),
        row=Unit(middle, out, (1, size), (1, stride), groups=middle, act=None),
    )


class Block(nn.Module):
    """A row of the table."""

    def __init__(self, inputs, row, start):
        super().__init__()
        stride, out, size, (first, second), (groups, shuffled), squeezing, (y1, y2, y3), reduction = row
        wide = inputs * first * second

        def dense(channels, outputs, groups):
            return Unit(channels, outputs, 1, groups=groups, act=None)

        def active(terms, groups):
            return ShiftMax(wide, groups, reduction, start[:terms]) if terms else nn.ReLU6()

        if groups == 0:
            layers = [_spatial(inputs, size, stride, first, second), active(y2, shuffled), Shuffle(shuffled)]
            layers += [Shuffle(wide // 2)] if y2 else []
        else:
            layers = [dense(inputs, wide, groups)]
        if groups and squeezing:
            layers += [active(y1, shuffled), Shuffle(shuffled), _spatial(wide, size, stride)]
            layers += [active(y2, wide // shuffled)]
            layers += [Shuffle(wide // 4 if y1 and y2 else wide // 2)] if y1 or y2 else []
        if squeezing:
            layers += [dense(wide, out, squeezing)]
        if y3:
            halved = reduction / 2 if squeezing and out < wide else reduction
            layers += [ShiftMax(out, squeezing or shuffled, halved, [(1, 0)])]
        if squeezing:
            layers += [Shuffle(squeezing)] + ([Shuffle(out // 2)] if y3 else [])
        self.layers = nn.Sequential(*layers)
        self.same = stride == 1 and inputs == out

    def forward(self, x):
        return self.layers(x) + x if self.same else self.layers(x)


def micronet(num_classes, variant="M0"):
    """Hard swish everywhere in the head, on the logits too."""
    (first, second), rows, features, start = VARIANTS[variant]
    channels, blocks = first * second, []
    column = Unit(3, first, (3, 1), (2, 1), act=None)
    row = Unit(first, channels, (1, 3), (1, 2), groups=first, act=None)
    stem = nn.Sequential(column, row, Shuffle(first), nn.ReLU6())
    for entry in rows:
        blocks.append(Block(channels, entry, start))
        channels = entry[1]

    def swished(inputs, outputs):
        return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.Hardswish())

    return Chain(
        stem=stem,
        blocks=nn.Sequential(*blocks),
        act=nn.ReLU6(),
        mean=Mean(),
        pooled_act=nn.Hardswish(),
        head=swished(channels, features),
        classifier=swished(features, num_classes),
    )
