"""What several twins use: convolution with batch norm, ghost module, squeeze-and-excitation, shuffle."""

import math

import torch
from torch import nn

__all__ = ["Chain", "Ghost", "Mean", "Shuffle", "SqueezeExcite", "Unit", "rounded"]


def rounded(channels, divisor):
    """The nearest multiple, halves up, at least one, and never less than nine tenths (MobileNetV2's rule)."""
    nearest = max(divisor, math.floor(channels / divisor + 0.5) * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


class Chain(nn.Module):
    """Layers by name, one after the other."""

    def __init__(self, **layers):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


class Unit(nn.Module):
    """Convolution without bias, maximum if wanted, batch norm, activation."""

    def __init__(self, inputs, outputs, size, stride=1, groups=1, act=nn.ReLU, padding=None, pool=1, **norm):
        super().__init__()
        KH, KW = size if isinstance(size, tuple) else (size, size)
        padding = (KH // 2, KW // 2) if padding is None else padding
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups, bias=False)
        self.pool = nn.MaxPool2d(pool) if pool > 1 else nn.Identity()
        self.bn = nn.BatchNorm2d(outputs, **norm)
        self.act = act() if act else nn.Identity()

    def forward(self, x):
        return self.act(self.bn(self.pool(self.conv(x))))


class Ghost(nn.Module):
    """ceil(n/s) maps by a convolution, the others by a depthwise one of these, the first n of all (GhostNet, §3.1)."""

    def __init__(self, inputs, outputs, size, s=2, d=3, stride=1, act=nn.ReLU, **options):
        super().__init__()
        m = math.ceil(outputs / s)
        self.outputs = outputs
        self.primary = Unit(inputs, m, size, stride, act=act, **options)
        self.cheap = Unit(m, m * (s - 1), d, groups=m, act=act) if s > 1 else None

    def forward(self, x):
        y = self.primary(x)
        return y if self.cheap is None else torch.cat([y, self.cheap(y)], 1)[:, : self.outputs]


class SqueezeExcite(nn.Module):
    """Channels weighed by a gate of their means (SENet, §3)."""

    def __init__(self, channels, hidden, gate):
        super().__init__()
        self.reduce, self.expand, self.gate = nn.Linear(channels, hidden), nn.Linear(hidden, channels), gate

    def forward(self, x):
        weights = self.gate(self.expand(torch.relu(self.reduce(x.mean((2, 3))))))
        return x * weights[:, :, None, None]


class Shuffle(nn.Module):
    """The channels, written as a table row by row with one row per group, read column by column (ShuffleNet, §3.1)."""

    def __init__(self, groups):
        super().__init__()
        self.groups = groups

    def forward(self, x):
        N, C, H, W = x.shape
        return x.reshape(N, self.groups, C // self.groups, H, W).transpose(1, 2).reshape(N, C, H, W)


class Mean(nn.Module):
    """The mean over each map."""

    def forward(self, x):
        return x.mean((2, 3))
