"""ShuffleNet (Zhang et al. 2018, figure 2 and table 1) and ShuffleNet v2 (Ma et al. 2018, figure 3 and table 5)."""

import torch
from torch import nn

from torch_twins.layers import Chain, Mean, Shuffle, Unit, rounded

__all__ = ["shufflenet_v1", "shufflenet_v2"]


def _network(num_classes, stem, stages, tail, channels, fc_bias, small):
    return Chain(
        stem=Unit(3, stem, 3, 1 if small else 2),
        maxpool=nn.Identity() if small else nn.MaxPool2d(3, 2, 1),
        stages=nn.Sequential(*(nn.Sequential(*units) for units in stages)),
        tail=tail,
        mean=Mean(),
        classifier=nn.Linear(channels, num_classes, bias=fc_bias),
    )


class UnitV1(nn.Module):
    """(b) of figure 2, or (c) with stride 2."""

    def __init__(self, inputs, outputs, groups, stride, first_groups):
        super().__init__()
        middle = outputs // 4
        self.stride = stride
        self.reduce = Unit(inputs, middle, 1, groups=first_groups)
        self.shuffle = Shuffle(groups)
        self.depthwise = Unit(middle, middle, 3, stride, groups=middle, act=None)
        self.expand = Unit(middle, outputs - inputs if stride == 2 else outputs, 1, groups=groups, act=None)

    def forward(self, x):
        y = self.expand(self.depthwise(self.shuffle(self.reduce(x))))
        if self.stride == 1:
            return torch.relu(x + y)
        pooled = nn.functional.avg_pool2d(x, 3, 2, 1)  # the frame of zeros counts
        return torch.cat([pooled, torch.relu(y)], 1)


STEMS = {(3, 0.5): 12, (8, 0.5): 16, (3, 2.0): 48}  # 24 otherwise


def shufflenet_v1(num_classes, groups=3, width=1.0, fc_bias=True, small=False):
    """`small`: a stem of stride 1, no pooling."""
    stem = STEMS.get((groups, width), 24)
    out = rounded({1: 144, 2: 200, 3: 240, 4: 272, 8: 384}[groups] * width, 4 * groups)
    stages, channels = [], stem
    for units in (4, 8, 4):
        first = UnitV1(channels, out, groups, 2, groups if stages else 1)
        stages.append([first, *(UnitV1(out, out, groups, 1, groups) for _ in range(units - 1))])
        channels, out = out, 2 * out
    return _network(num_classes, stem, stages, nn.Identity(), channels, fc_bias, small)


class UnitV2(nn.Module):
    """(c) of figure 3, or (d) with stride 2. Megvii's units shuffle at their beginning, torchvision's at their end."""

    def __init__(self, inputs, outputs, stride, megvii):
        super().__init__()
        self.megvii = megvii
        half, seen = outputs // 2, inputs if stride == 2 else outputs // 2
        kept = inputs if megvii and stride == 2 else half
        self.left = None
        if stride == 2:
            depthwise = Unit(inputs, inputs, 3, 2, groups=inputs, act=None)
            self.left = nn.Sequential(depthwise, Unit(inputs, kept, 1))
        self.right = nn.Sequential(
            Unit(seen, half, 1), Unit(half, half, 3, stride, groups=half, act=None), Unit(half, outputs - kept, 1)
        )
        self.shuffle = Shuffle(2)

    def forward(self, x):
        if self.left is not None:
            left, right = self.left(x), x
        elif self.megvii:
            left, right = x[:, 0::2], x[:, 1::2]
        else:
            left, right = x.chunk(2, 1)
        out = torch.cat([left, self.right(right)], 1)
        return out if self.megvii else self.shuffle(out)


def shufflenet_v2(num_classes, width=1.0, variant="torchvision", fc_bias=True, small=False):
    """`small`: a stem of stride 1, no pooling."""
    first, last = {0.5: (48, 1024), 1.0: (116, 1024), 1.5: (176, 1024), 2.0: (244, 2048)}[width]
    stages, channels, out, megvii = [], 24, first, variant == "megvii"
    for units in (4, 8, 4):
        rest = (UnitV2(out, out, 1, megvii) for _ in range(units - 1))
        stages.append([UnitV2(channels, out, 2, megvii), *rest])
        channels, out = out, 2 * out
    return _network(num_classes, 24, stages, Unit(channels, last, 1), last, fc_bias, small)
