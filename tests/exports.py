"""What tests of exports share: layers of every kind with an input each, and networks whose every block is one's own."""

import numpy as np

from minighost import nn

__all__ = ["LAYERS", "OwnNet", "answers"]


class Leaky(nn.Module):
    """A layer of a learner: NumPy, a parameter, and a backward by hand that an export never calls."""

    def __init__(self, C):
        self.slope = nn.Parameter(np.full(C, 0.1, np.float32))

    def forward(self, x):
        self._cache = x
        return np.where(x > 0, x, self.slope.data * x)


class Mish(nn.Module):
    def forward(self, x):
        self._cache = x
        return x * np.tanh(np.log(1 + np.exp(x)))


class Centred(nn.Module):
    """Means with and without the axes that they are taken over, a slice, a concatenation, a comparison."""

    def forward(self, x):
        x = x - x.mean((1, 2), keepdims=True)
        x = np.concatenate([x[..., 1:], 2.0 / (1 + np.square(x[..., :1]))], axis=-1)
        return x * (x < 1) + np.clip(x, -0.5, 0.5) / np.sqrt(x.max(3, keepdims=True) ** 2 + 1)


class Pooled(nn.Module):
    def forward(self, x):
        return np.maximum(x, np.minimum(0.3, -x)).sum((1, 2))


class Gated(nn.Module):
    """A block of one's own: two branches, one of which weighs the other."""

    def __init__(self, C, rng=0):
        self.conv, self.act = nn.Conv2d(C, C, 3, padding="same", rng=rng), Leaky(C)
        self.gate = nn.Sequential(nn.GlobalAvgPool(), nn.Linear(C, C, rng=rng), nn.Sigmoid())

    def forward(self, x):
        y = self.act(self.conv(x))
        out, self._cache = nn.functional.scale_forward(y, self.gate(x))
        return nn.functional.add_forward(out, x)[0]


class OwnNet(nn.Sequential):
    """A network of one's own, with a block and layers of one's own; of images of 8x8."""

    def __init__(self, num_classes=3, rng=0):
        super().__init__(
            nn.ConvBNAct(3, 6, 3, padding=1, rng=rng), Gated(6), Mish(), Centred(), Pooled(), nn.Linear(6, num_classes)
        )


def C(layer, channels=4, H=6, W=5):
    return layer, (H, W, channels)


LAYERS = {  # by what is special about them: a layer, and the shape of an image
    "conv": C(nn.Conv2d(4, 6, 3, padding=1, rng=0)),
    "conv strided, dilated, grouped": C(nn.Conv2d(4, 6, (3, 2), (2, 1), (2, 1), (2, 1), 2, rng=0)),
    "conv same, odd": C(nn.Conv2d(4, 6, 4, 2, "same", rng=0)),
    "conv, four sides": C(nn.Conv2d(4, 6, 3, 1, ((0, 2), (1, 0)), bias=False, rng=0)),
    "depthwise with a multiplier": C(nn.Conv2d(4, 8, 3, groups=4, rng=0)),
    "transposed": C(nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, rng=0)),
    "transposed, grouped, dilated": C(nn.ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 0), (0, 1), (1, 2), 2, rng=0)),
    "transposed, no bias": C(nn.ConvTranspose2d(4, 2, 2, 2, bias=False, rng=0)),
    "linear": C(nn.Sequential(nn.Flatten(), nn.Linear(120, 3, rng=0))),
    "batch norm alone": C(nn.BatchNorm2d(4, relu=True)),
    "batch norm of rows": C(nn.Sequential(nn.GlobalAvgPool(), nn.BatchNorm1d(4))),
    "max pool": C(nn.MaxPool2d(3, 2, 1)),
    "max pool, ceil mode": C(nn.MaxPool2d(2, 3, ceil_mode=True)),
    "max pool, same": C(nn.MaxPool2d(2, padding="same")),
    "max pool, overlapping ceil": C(nn.MaxPool2d(3, 2, (1, 0), True), H=7),
    "mean pool": C(nn.AvgPool2d(2)),
    "mean pool, padded": C(nn.AvgPool2d(3, 2, 1)),
    "mean pool, padding not counted": C(nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
    "mean pool, same, ceil": C(nn.AvgPool2d(3, 2, "same", True, False)),
    "mean pool, ceil over padding": C(nn.AvgPool2d(3, 2, 1, True), H=8),
    "adaptive mean": C(nn.AdaptiveAvgPool2d((4, 3))),
    "adaptive mean, even": C(nn.AdaptiveAvgPool2d((3, 5))),
    "adaptive maximum": C(nn.AdaptiveMaxPool2d((4, 7))),
    "global maximum": C(nn.GlobalMaxPool()),
    "pad": C(nn.Pad2d(((1, 2), (0, 3)))),
    "pad, edge": C(nn.Pad2d(2, "edge")),
    "nearest, whole factor": C(nn.Resize(factor=(2, 3))),
    "nearest, any size": C(nn.Resize(size=(9, 4))),
    "bilinear": C(nn.Resize(size=(9, 4), mode="bilinear")),
    "bilinear, whole factor": C(nn.Resize(factor=2, mode="bilinear")),
    "depth to space, DCR": C(nn.DepthToSpace((2, 1)), 6),
    "depth to space, CRD": C(nn.DepthToSpace(2, "CRD"), 8),
    "space to depth, DCR": C(nn.SpaceToDepth(2), 3, 6, 4),
    "space to depth, CRD": C(nn.SpaceToDepth((3, 2), "CRD"), 2, 6, 4),
    "softmax over channels": C(nn.Softmax()),
    "softmax over lines": C(nn.Softmax(1)),
    "softmax of rows": C(nn.Sequential(nn.GlobalAvgPool(), nn.Softmax())),
    "response norm": C(nn.LocalResponseNorm(3, alpha=0.1), 7),
    "response norm, even window": C(nn.LocalResponseNorm(4, alpha=0.1, form="caffe"), 7),
    "shuffle": C(nn.ChannelShuffle(2), 6),
    "shuffle after a layer that nobody folds": C(
        nn.Sequential(nn.ConvTranspose2d(6, 6, 2, rng=0), nn.ChannelShuffle(3), nn.ChannelUnshuffle(2)), 6
    ),
    "shift": C(nn.Shift(10), 10),
    "shift, edge": C(nn.Shift(30, 5, "edge"), 30),
    "subsample": C(nn.Subsample(7, 2)),
    "subsample after a layer that nobody folds": C(
        nn.Sequential(nn.ConvTranspose2d(4, 5, 2, rng=0), nn.Subsample(8, (2, 1)))
    ),
    "crelu": C(nn.CReLU()),
    "ghost module cut off": C(nn.GhostModule(4, 7, 1, ratio=3, rng=0)),
    "whitening": C(nn.PatchWhitening(3, 3), 3),
    "nothing": C(nn.Identity()),
    "dropout": C(nn.Dropout(0.5)),
    **{name: C(kind()) for name, kind in nn.activations.LAYERS.items()},
    "own layer with a parameter": C(Leaky(4)),
    "own activation": C(Mish()),
    "own layer of many functions": C(Centred()),
    "own pooling": C(Pooled()),
}


def answers(model, graph, x):
    """What the layers say, and what the exported steps say, of the same images."""
    with nn.fusing(False):
        return model.eval()(x), graph.run(x)
