"""ResNets for CIFAR (He et al. 2016, §4.2) and ImageNet (table 1), and both of ghost modules (GhostNet, §4.1)."""

import math

from torch import nn

from torch_twins.layers import Chain, Ghost, Mean, Unit, rounded

__all__ = ["ghost_resnet50", "ghost_resnet_cifar", "resnet18_cifar", "resnet50", "resnet_cifar"]


class Subsample(nn.Module):
    """Option A: every second pixel, and zeros in the new channels, on both sides."""

    def __init__(self, missing):
        super().__init__()
        self.missing = missing

    def forward(self, x):
        first = self.missing // 2
        return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, first, self.missing - first))


class Residual(nn.Module):
    """ReLU of the sum of a branch of named layers and a shortcut."""

    def __init__(self, shortcut, **branch):
        super().__init__()
        self.branch = list(branch)
        for name, layer in branch.items():
            self.add_module(name, layer)
        self.shortcut = shortcut

    def forward(self, x):
        y = x
        for name in self.branch:
            y = getattr(self, name)(y)
        return (y + (x if self.shortcut is None else self.shortcut(x))).relu()


def _basic(inputs, outputs, stride, option, unit):
    shortcut = None
    if stride > 1 or inputs != outputs:
        by_a = option == "A"
        shortcut = Subsample(outputs - inputs) if by_a else unit(inputs, outputs, 1, stride=stride, act=None)
    first, second = unit(inputs, outputs, 3, stride=stride), unit(outputs, outputs, 3, act=None)
    return Residual(shortcut, first=first, second=second)


def _bottleneck(inputs, middle, stride, stride_on, unit):
    first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
    outputs, shortcut = 4 * middle, None
    if stride > 1 or inputs != outputs:
        shortcut = unit(inputs, outputs, 1, stride=stride, act=None)
    return Residual(
        shortcut,
        reduce=unit(inputs, middle, 1, stride=first),
        spatial=unit(middle, middle, 3, stride=second),
        expand=unit(middle, outputs, 1, act=None),
    )


def _for_cifar(num_classes, depth, width, shortcut, unit, stem=Unit):
    n = (depth - 2) // 6
    channels = rounded(16 * width, 4)
    first, stages = stem(3, channels, 3), []
    for k, c in enumerate([16, 32, 64]):
        c, blocks = rounded(c * width, 4), []
        for j in range(n):
            blocks.append(_basic(channels, c, 2 if k and not j else 1, shortcut, unit))
            channels = c
        stages.append(nn.Sequential(*blocks))
    classifier = nn.Linear(channels, num_classes)
    return Chain(stem=first, stages=nn.Sequential(*stages), mean=Mean(), classifier=classifier)


def resnet_cifar(num_classes, depth, width=1.0, shortcut="A"):
    """6n + 2 layers."""
    return _for_cifar(num_classes, depth, width, shortcut, Unit)


class Bare(nn.Module):
    """A ghost module of convolutions alone, with biases: the code of the authors' Ghost-ResNet-50."""

    def __init__(self, inputs, outputs, size, s, d, stride):
        super().__init__()
        m = math.ceil(outputs / s)
        self.outputs = outputs
        self.primary = nn.Conv2d(inputs, m, size, stride, size // 2)
        self.cheap = nn.Conv2d(m, m * (s - 1), d, padding=d // 2, groups=m)

    forward = Ghost.forward


def _ghost(s, d, bn):
    def unit(inputs, outputs, size, stride=1, act=nn.ReLU):
        if bn == "none":
            bare = Bare(inputs, outputs, size, s, d, stride)
            return nn.Sequential(bare, act()) if act else bare
        ghost = Ghost(inputs, outputs, size, s, d, stride, act)
        if bn == "inside":
            return ghost
        return nn.Sequential(ghost, nn.BatchNorm2d(outputs), act() if act else nn.Identity())

    return unit


def ghost_resnet_cifar(num_classes, depth, width=1.0, shortcut="A", s=2, d=3, bn="inside", replace_first=False):
    """All convolutions of the blocks are ghost modules, those of option B too."""
    unit = _ghost(s, d, bn)
    return _for_cifar(num_classes, depth, width, shortcut, unit, unit if replace_first else Unit)


def _for_imagenet(num_classes, width, small, blocks, block):
    """`block(inputs, maps, stride)`; maps are 64 128 256 512."""
    channels = rounded(64 * width, 4)
    stem, stages = Unit(3, channels, 3) if small else Unit(3, channels, 7, 2), []
    for k, (n, c) in enumerate(zip(blocks, [64, 128, 256, 512], strict=True)):
        chain = []
        for j in range(n):
            made, channels = block(channels, rounded(c * width, 4), 2 if k and not j else 1)
            chain.append(made)
        stages.append(nn.Sequential(*chain))
    return Chain(
        stem=stem,
        pool=nn.Identity() if small else nn.MaxPool2d(3, 2, 1),
        stages=nn.Sequential(*stages),
        mean=Mean(),
        classifier=nn.Linear(channels, num_classes),
    )


def resnet50(num_classes, width=1.0, stride_on="3x3", small=False, unit=Unit):
    """Bottlenecks, striding where `stride_on` says; `small` keeps the size in a 3x3 stem and does not pool."""

    def block(inputs, maps, stride):
        return _bottleneck(inputs, maps, stride, stride_on, unit), 4 * maps

    return _for_imagenet(num_classes, width, small, [3, 4, 6, 3], block)


def ghost_resnet50(num_classes, width=1.0, s=2, d=3, bn="inside", small=False):
    """ResNet-50 of ghost modules but for its stem."""
    return resnet50(num_classes, width, "3x3", small, _ghost(s, d, bn))


def resnet18_cifar(num_classes, width=1.0):
    """Two basic blocks per stage, a 3x3 stem, no pooling."""

    def block(inputs, maps, stride):
        return _basic(inputs, maps, stride, "B", Unit), maps

    return _for_imagenet(num_classes, width, True, [2, 2, 2, 2], block)
