"""Files that a learner might write: networks and layers of their own, right and wrong."""

LAYER = '''
import numpy as np

from minighost import nn


class Swish(nn.Module):
    """x * sigmoid(slope * x), with a slope per channel that is learnt."""

    def __init__(self, channels):
        self.slope = nn.Parameter(np.ones(channels, np.float32))

    def forward(self, x):
        gate = 1 / (1 + np.exp(-self.slope.data * x))
        self._cache = x, gate
        return x * gate

    def backward(self, dout):
        x, gate = self._take_cache(dout)
        d = dout * x * gate * (1 - gate)
        self.slope.accumulate((d * x).sum(axis=(0, 1, 2)))
        return dout * gate + d * self.slope.data
'''

NETWORK = (
    LAYER
    + """

class Net(nn.Sequential):
    def __init__(self, num_classes=10, width=1.0, dropout=0.0, rng=0):
        C = int(4 * width)
        super().__init__(
            nn.Conv2d(3, C, 3, stride=4, padding=1, bias=False, rng=rng),
            nn.BatchNorm2d(C),
            Swish(C),
            nn.GlobalAvgPool(),
            nn.Dropout(dropout, rng=rng + 1),
            nn.Linear(C, num_classes, rng=rng + 2),
        )


def small(num_classes):
    return Net(num_classes, width=0.5)
"""
)


def written(folder, text, name="my.py"):
    """The path of a file with this text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
