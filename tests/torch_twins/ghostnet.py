"""GhostNet (Han et al. 2020, table 1) with what its TensorFlow code and its small forms do otherwise than timm's."""

from torch import nn

from torch_twins.layers import Chain, Ghost, Mean, SqueezeExcite, Unit, rounded

__all__ = ["ghostnet"]

# Kernel, expansion, outputs, squeeze-and-excitation, stride; a list per stage.
TABLE = [
    [(3, 16, 16, 0, 1)],
    [(3, 48, 24, 0, 2)],
    [(3, 72, 24, 0, 1)],
    [(5, 72, 40, 1, 2)],
    [(5, 120, 40, 1, 1)],
    [(3, 240, 80, 0, 2)],
    [(3, 200, 80, 0, 1), (3, 184, 80, 0, 1), (3, 184, 80, 0, 1), (3, 480, 112, 1, 1), (3, 672, 112, 1, 1)],
    [(5, 672, 160, 1, 2)],
    [(5, 960, 160, 0, 1), (5, 960, 160, 1, 1), (5, 960, 160, 0, 1), (5, 960, 160, 1, 1)],
]
SHORT = [
    [(3, 32, 32, 0, 2)],
    [(3, 96, 32, 0, 1), (3, 96, 32, 0, 1)],
    [(3, 128, 64, 0, 2)],
    [(3, 192, 64, 1, 1), (3, 192, 64, 0, 1), (3, 192, 64, 1, 1)],
    [(3, 384, 128, 0, 2)],
    [(3, 512, 128, 1, 1), (3, 512, 128, 0, 1)],
]
CLIPPED = nn.Hardtanh(0, 1)  # the gate of the TensorFlow code


class Bottleneck(nn.Module):
    """Figure 3. The convolution between the ghost modules is there in rows that stride, whatever its stride here."""

    def __init__(self, inputs, expansion, outputs, size, stride, strided, hidden, ghost, gate):
        super().__init__()
        self.ghost1 = Ghost(inputs, expansion, 1, **ghost)
        self.depthwise, self.se, self.shortcut = nn.Identity(), nn.Identity(), nn.Identity()
        if strided:
            self.depthwise = Unit(expansion, expansion, size, stride, groups=expansion, act=None)
        if hidden:
            self.se = SqueezeExcite(expansion, hidden, gate)
        self.ghost2 = Ghost(expansion, outputs, 1, act=None, **ghost)
        if stride > 1 or inputs != outputs:
            spatial = Unit(inputs, inputs, size, stride, groups=inputs, act=None)
            self.shortcut = nn.Sequential(spatial, Unit(inputs, outputs, 1, act=None))

    def forward(self, x):
        return self.ghost2(self.se(self.depthwise(self.ghost1(x)))) + self.shortcut(x)


def ghostnet(num_classes, width=1.0, ratio=2, dw_size=3, tf=False, old_head=False, stem_stride=2, flat=(), short=False):
    """Stem, bottlenecks, 1x1 convolution, mean, 1280 features.

    `tf`: rounding, hidden widths and gate of the TensorFlow code. `old_head`: batch norm after the features, as in the
    first release. `flat`: the stages whose stride is 1 here. `short`: our own table.
    """
    gate = CLIPPED if tf else nn.Hardsigmoid()

    def scaled(c):
        return round(max(int(c * width), 8) / 4) * 4 if tf else rounded(c * width, 4)

    channels, stages = scaled(16), []
    stem = Unit(3, channels, 3, stem_stride)
    for k, rows in enumerate(SHORT if short else TABLE):
        blocks = []
        for size, expansion, outputs, se, stride in rows:
            expansion, outputs = scaled(expansion), scaled(outputs)
            hidden = 0 if not se else expansion // 4 if tf else rounded(expansion / 4, 4)
            step = 1 if k in flat else stride
            ghost = {"s": ratio, "d": dw_size}
            blocks.append(Bottleneck(channels, expansion, outputs, size, step, stride > 1, hidden, ghost, gate))
            channels = outputs
        stages.append(nn.Sequential(*blocks))
    return Chain(
        stem=stem,
        stages=nn.Sequential(*stages),
        tail=Unit(channels, expansion, 1),
        mean=Mean(),
        head=nn.Linear(expansion, 1280, bias=not old_head),
        norm=nn.BatchNorm1d(1280) if old_head else nn.Identity(),
        act=nn.ReLU(),
        classifier=nn.Linear(1280, num_classes),
    )
