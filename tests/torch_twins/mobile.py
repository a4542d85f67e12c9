"""MobileNet (Howard et al. 2017, table 1), its control of dense convolutions (table 4), Xception for small images."""

from torch import nn

from torch_twins.layers import Chain, Mean, Unit, rounded

__all__ = ["mobilenet_v1", "xception_cifar"]

BODY = [[(64, 1)], [(128, 2), (128, 1)], [(256, 2), (256, 1)], [(512, 2), *[(512, 1)] * 5], [(1024, 2), (1024, 1)]]


def mobilenet_v1(num_classes, width=1.0, separable=True, shallow=False, small=False):
    """ReLU6 and the batch norms of TensorFlow slim, whose decay of 0.9997 is a momentum of 0.0003 in PyTorch's sense.

    `small`: stem and second stage do not stride, and batch norms are PyTorch's.
    """
    norm = {} if small else {"eps": 0.001, "momentum": 1 - 0.9997}
    options = {"act": nn.ReLU6, **norm}
    channels = max(int(32 * width), 8)
    stem, stages = Unit(3, channels, 3, 1 if small else 2, **options), []
    for k, rows in enumerate(BODY):
        units = []
        for c, stride in rows[:1] if shallow and rows[0][0] == 512 else rows:
            c, stride = max(int(c * width), 8), 1 if small and k == 1 else stride
            if separable:
                depthwise = Unit(channels, channels, 3, stride, groups=channels, **options)
                units.append(Chain(depthwise=depthwise, pointwise=Unit(channels, c, 1, **options)))
            else:
                units.append(Unit(channels, c, 3, stride, **options))
            channels = c
        stages.append(nn.Sequential(*units))
    classifier = nn.Linear(channels, num_classes)
    return Chain(stem=stem, stages=nn.Sequential(*stages), mean=Mean(), classifier=classifier)


def _separable(inputs, outputs, relu):
    depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
    conv = Chain(depthwise=depthwise, pointwise=nn.Conv2d(inputs, outputs, 1, bias=False))
    return Chain(act=nn.ReLU() if relu else nn.Identity(), conv=conv, bn=nn.BatchNorm2d(outputs))


class Module(nn.Module):
    """Figure 5 of Xception's paper: separable convolutions, a maximum where it strides, a shortcut."""

    def __init__(self, inputs, widths, stride, relu=True):
        super().__init__()
        pairs = zip([inputs, *widths], widths, strict=False)
        self.units = nn.Sequential(*(_separable(c, out, relu or k > 0) for k, (c, out) in enumerate(pairs)))
        self.pool = nn.MaxPool2d(3, 2, 1) if stride > 1 else nn.Identity()
        same = stride == 1 and inputs == widths[-1]
        self.shortcut = nn.Identity() if same else Unit(inputs, widths[-1], 1, stride, act=None)

    def forward(self, x):
        return self.pool(self.units(x)) + self.shortcut(x)


def xception_cifar(num_classes, width=1.0):
    """A padded stem of stride 1, entry modules of strides 1 2 2."""
    a, b, c, d, e, f, g, h = (rounded(n * width, 8) for n in (32, 64, 128, 256, 728, 1024, 1536, 2048))
    return Chain(
        stem=nn.Sequential(Unit(3, a, 3), Unit(a, b, 3)),
        entry=nn.Sequential(Module(b, [c, c], 1, relu=False), Module(c, [d, d], 2), Module(d, [e, e], 2)),
        middle=nn.Sequential(*(Module(e, [e, e, e], 1) for _ in range(8))),
        exit=Module(e, [e, f], 2),
        tail=nn.Sequential(_separable(f, g, False), _separable(g, h, True), nn.ReLU()),
        mean=Mean(),
        classifier=nn.Linear(h, num_classes),
    )
