"""AlexNet (Krizhevsky et al. 2012), VGG-16 and its ghost form, SqueezeNet, CReLU and whitening networks for CIFAR."""

import torch
from torch import nn

from torch_twins.layers import Chain, Ghost, Mean, Unit, rounded

__all__ = ["alexnet", "crelu_cifar", "ghost_vgg16_cifar", "quicknet", "squeezenet_cifar", "vgg16_cifar"]


def alexnet(num_classes, width=1.0, groups=2, small=False):
    """Section 3.5 of the paper; `small` is the form for CIFAR."""
    one, two, three, four, five = (rounded(c * width, 4 * groups) for c in (96, 256, 384, 384, 256))
    hidden = rounded((1024 if small else 4096) * width, 4)

    def pool():
        return nn.MaxPool2d(3, 2, 1 if small else 0)

    def response():  # alpha of the paper multiplies the sum, PyTorch's the mean over five channels
        return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)

    stem = nn.Conv2d(3, one, 3, padding=1) if small else nn.Conv2d(3, one, 11, 4)
    flat = Mean() if small else nn.Sequential(nn.AdaptiveAvgPool2d(6), nn.Flatten())
    return Chain(
        conv1=nn.Sequential(stem, nn.ReLU(), response(), pool()),
        conv2=nn.Sequential(nn.Conv2d(one, two, 5, padding=2, groups=groups), nn.ReLU(), response(), pool()),
        conv3=nn.Sequential(nn.Conv2d(two, three, 3, padding=1), nn.ReLU()),
        conv4=nn.Sequential(nn.Conv2d(three, four, 3, padding=1, groups=groups), nn.ReLU()),
        conv5=nn.Sequential(nn.Conv2d(four, five, 3, padding=1, groups=groups), nn.ReLU(), pool()),
        flat=flat,
        hidden1=nn.Sequential(nn.Dropout(), nn.Linear(five if small else 36 * five, hidden), nn.ReLU()),
        hidden2=nn.Sequential(nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU()),
        classifier=nn.Linear(hidden, num_classes),
    )


def _vgg(num_classes, width, fc512, unit, first):
    stages, channels = [], 3
    for maps in ([64, 64], [128, 128], [256, 256, 256], [512, 512, 512], [512, 512, 512]):
        units = []
        for c in maps:
            c = rounded(c * width, 4)
            units.append((first if channels == 3 else unit)(channels, c))
            channels = c
        stages.append(nn.Sequential(*units, nn.MaxPool2d(2)))
    hidden = [nn.Linear(channels, channels), nn.BatchNorm1d(channels), nn.ReLU()] if fc512 else []
    return Chain(
        stages=nn.Sequential(*stages),
        flat=nn.Flatten(),
        hidden=nn.Sequential(*hidden),
        classifier=nn.Linear(channels, num_classes),
    )


def _plain(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


def vgg16_cifar(num_classes, width=1.0, fc512=True):
    """Column D of the paper's table 1 for images of 32x32."""
    return _vgg(num_classes, width, fc512, _plain, _plain)


def ghost_vgg16_cifar(num_classes, width=1.0, s=2, d=3, fc512=True, replace_first=True):
    """GhostNet's paper, table 3."""

    def ghost(inputs, outputs):
        return Ghost(inputs, outputs, 3, s, d)

    return _vgg(num_classes, width, fc512, ghost, ghost if replace_first else _plain)


class CReLU(nn.Module):
    """Both phases (Shang et al. 2016, definition 2.1)."""

    def forward(self, x):
        return torch.cat([x.clamp(min=0), (-x).clamp(min=0)], 1)


def crelu_cifar(num_classes, width=1.0, crelu=4):
    """3x3 96 96 96/2, 192 192 192/2, 192, 1x1 192, 1x1 classes; the first `crelu` layers have half the filters."""
    layers, channels = [], 3
    for k, (c, size, stride) in enumerate(
        [(96, 3, 1), (96, 3, 1), (96, 3, 2), (192, 3, 1), (192, 3, 1), (192, 3, 2), (192, 3, 1), (192, 1, 1)]
    ):
        c = rounded(c * width, 8)
        if k < crelu:
            layers.append(nn.Sequential(Unit(channels, c // 2, size, stride, act=None), CReLU()))
        else:
            layers.append(Unit(channels, c, size, stride))
        channels = c
    stages = nn.Sequential(nn.Sequential(*layers[:3]), nn.Sequential(*layers[3:6]), nn.Sequential(*layers[6:]))
    return Chain(stages=stages, classifier=nn.Conv2d(channels, num_classes, 1), mean=Mean())


class Whitening(nn.Module):
    """Twelve 3x3 filters that do not learn, a bias that does, both phases."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.zeros(12, 3, 3, 3))
        self.bias = nn.Parameter(torch.zeros(12))

    def forward(self, x):
        y = nn.functional.conv2d(x, self.weight, self.bias, padding=1)
        return torch.cat([torch.relu(y), torch.relu(-y)], 1)


def quicknet(num_classes, width=1.0, ratio=1, plain=0):
    """Whitening, three blocks of two 3x3 units whose first pools before its batch norm."""
    blocks, channels = [], 24
    for k, c in enumerate([64, 256, 256]):
        c = rounded(c * width, 4)
        if ratio == 1 or k < plain:
            blocks.append(nn.Sequential(Unit(channels, c, 3, pool=2), Unit(c, c, 3)))
        else:
            blocks.append(nn.Sequential(Ghost(channels, c, 3, ratio, pool=2), Ghost(c, c, 3, ratio)))
        channels = c
    return Chain(
        stem=Whitening(), blocks=nn.Sequential(*blocks), mean=Mean(), classifier=nn.Linear(channels, num_classes)
    )


class Fire(nn.Module):
    """1x1 to s channels, then 1x1 and 3x3 to e each (SqueezeNet, §3.2)."""

    def __init__(self, inputs, s, e):
        super().__init__()
        self.squeeze = nn.Sequential(nn.Conv2d(inputs, s, 1))
        self.expand1 = nn.Sequential(nn.Conv2d(s, e, 1))
        self.expand3 = nn.Sequential(nn.Conv2d(s, e, 3, padding=1))

    def forward(self, x):
        y = torch.relu(self.squeeze(x))
        return torch.relu(torch.cat([self.expand1(y), self.expand3(y)], 1))


def squeezenet_cifar(num_classes, width=1.0):
    """SqueezeNet 1.1 with a padded 3x3 stem of stride 1 and without the first maximum."""
    channels = rounded(64 * width, 4)
    stem, stages = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU()), []
    for fires in ([(16, 64), (16, 64)], [(32, 128), (32, 128)], [(48, 192), (48, 192), (64, 256), (64, 256)]):
        stage = [nn.MaxPool2d(3, 2, ceil_mode=True)] if stages else [nn.Identity()]
        for s, e in fires:
            s, e = rounded(s * width, 4), rounded(e * width, 4)
            stage.append(Fire(channels, s, e))
            channels = 2 * e
        stages.append(nn.Sequential(*stage))
    classifier = nn.Conv2d(channels, num_classes, 1)
    return Chain(stem=stem, stages=nn.Sequential(*stages), classifier=classifier, act=nn.ReLU(), mean=Mean())
