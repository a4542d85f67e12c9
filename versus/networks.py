"""The networks that are timed: minighost's own, and a chain of convolutions.

The chain follows VGG (Simonyan & Zisserman 2015): 3x3 convolutions in pairs, halved in between, here with batch norm.
"""

import numpy as np

from minighost import models, nn
from minighost.nn import BatchNorm2d, Conv2d, ConvBNAct, GlobalAvgPool, Linear, MaxPool2d, Sequential

__all__ = ["create", "vgg"]

# What is left of the power of maps with mean 0: half after a ReLU, a quarter of that after a gate that is half open.
RECTIFIED, GATED = 0.5, 0.125
LEFT = dict.fromkeys((nn.ReLU, nn.ReLU6, nn.HardSwish, nn.SiLU, nn.GELU), RECTIFIED) | dict.fromkeys(
    (nn.HardSigmoid, nn.Sigmoid, nn.ClipGate), GATED
)
LEFT[nn.FasterNetBlock] = 1.0  # what goes around the one before


def vgg(num_classes=10, rng=0):
    """Pairs of 3x3 convolutions, 64, 128 and 256 channels wide, with 2x2 max pooling after the first two."""
    rng = np.random.default_rng(rng)
    layers, channels = [], 3
    for width in (64, 128, 256):
        layers += [ConvBNAct(channels, width, 3, rng=rng), ConvBNAct(width, width, 3, rng=rng), MaxPool2d(2)]
        channels = width
    return Sequential(*layers[:-1], GlobalAvgPool(), Linear(channels, num_classes, rng=rng))


def create(name, **options):
    """A network with batch norms and biases that are not trivial, and logits that depend on the image.

    With scale 1, shift 0, mean 0 and variance 1 an exchange of any two of them could not be seen in the outputs; with
    variances far from those of the maps nothing of the image would be left after a few layers. So running variances are
    about what weights make of maps of unit power.
    """
    model = vgg(**options) if name == "vgg" else models.create(name, rng=0, **options)
    rng, power = np.random.default_rng(2), 1.0
    for path, module in model.named_modules():
        if isinstance(module, (Conv2d, Linear)) and not path.endswith("partial.conv"):  # most channels go around that
            weight = module.weight.data.astype(np.float64)
            power = np.mean(power) * (weight**2).sum(axis=tuple(range(weight.ndim - 1)))
            if module.bias is not None:
                _draw(rng, module.bias, 0.0, 0.2)
        elif isinstance(module, BatchNorm2d):
            _draw(rng, module.weight, 1.0, 0.2)
            _draw(rng, module.bias, 0.0, 0.2)
            _draw(rng, module.running_mean, 0.0, 0.2 * np.sqrt(power))
            _draw(rng, module.running_var, power, 0.25 * power)
            power = RECTIFIED if module.relu else 1.0
        else:
            power = LEFT.get(type(module), power)
    return model


def _draw(rng, value, middle, reach):
    value.data[...] = middle + reach * rng.uniform(-1, 1, value.data.shape)
