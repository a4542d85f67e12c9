"""Receptive fields: by the recursion along the network, the published ones, and measured from gradients."""

import numpy as np
import pytest

import minighost as mg
from minighost import models, nn
from minighost.analysis import Field, receptive_field, receptive_fields

PUBLISHED = {  # sides before the plane is pooled or flattened; GhostNet's without squeeze-and-excitation
    ("alexnet", ()): 195,
    ("vgg16", ()): 212,
    ("resnet50", (("stride_on", "3x3"),)): 427,
    ("resnet50", (("stride_on", "1x1"),)): 483,
    ("resnet20", ()): 81,
    ("resnet56_cifar", ()): 249,
    ("mobilenet_v1", ()): 315,
    ("mobilenet_v2", ()): 491,
    ("xception", ()): 1083,
    ("squeezenet", (("version", "1.0"),)): 155,
    ("squeezenet", (("version", "1.1"),)): 207,
    ("shufflenet_v1", ()): 527,
    ("shufflenet_v2", ()): 527,
    ("ghostnet", ()): 1171,
}


@pytest.mark.parametrize("name, options", [case for case in PUBLISHED if case[0] in models.names()])
def test_a_network_sees_as_far_as_was_published(name, options):
    with nn.without_weights():
        model = models.create(name, **dict(options))
    assert receptive_field(model).size == (PUBLISHED[name, options],) * 2


def measured(model, side):
    """The extent of the image that a number in the middle of the last map depends on, from the gradient."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = 1 + np.random.default_rng(0).random(layer.weight.shape).astype(np.float32)
    x = np.ones((1, side, side, 1), np.float32)
    out = model.eval()(x)
    dout = np.zeros_like(out)
    dout[0, out.shape[1] // 2, out.shape[2] // 2, 0] = 1
    _, h, w, _ = np.nonzero(model.backward(dout))
    return int(np.ptp(h)) + 1, int(np.ptp(w)) + 1


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [nn.Conv2d(1, 1, (3, 5), dilation=(2, 1), padding=2)],
        lambda: [nn.Conv2d(1, 2, 3, stride=2), nn.ReLU(), nn.Conv2d(2, 2, 3, dilation=2), nn.Conv2d(2, 2, 1)],
        lambda: [nn.AvgPool2d(3, 2), nn.Conv2d(1, 2, 5), nn.AvgPool2d(2), nn.Conv2d(2, 2, 3, groups=2)],
        lambda: [nn.ResidualBlock(1, 4), nn.ResidualBlock(4, 4, stride=2), nn.ResidualBlock(4, 4)],
        lambda: [nn.GhostBottleneck(1, 4, 4, 5, 2), nn.GhostModule(4, 4, 3), nn.SeparableConv2d(4, 4, 3, 2)],
    ],
)
def test_the_recursion_says_what_the_gradient_shows(layers):
    model = nn.Sequential(*layers())
    assert receptive_field(model).size == measured(model, 63)


def test_each_module_has_a_field_and_gates_are_said_apart():
    model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.SqueezeExcite(2, 1), nn.Conv2d(2, 2, 3, 2), nn.GlobalAvgPool())
    fields = receptive_fields(model)
    assert fields["0"] == Field((3, 3), (1, 1), False, False)
    assert fields["1"] == Field((3, 3), (1, 1), True, False)
    assert fields["2"] == Field((5, 5), (2, 2), True, False)
    assert fields["3"] == fields[""] == Field((5, 5), (2, 2), True, True)
    assert receptive_field(model) == fields["2"]
    assert list(fields)[-1] == "" and fields.keys() == {path for path, _ in model.named_modules()}


def test_the_model_is_not_touched():
    model = nn.Sequential(nn.Conv2d(1, 1, 3, rng=0), nn.BatchNorm2d(1))
    before = model.state_dict()
    receptive_field(model)
    assert model.training and all(np.array_equal(value, before[path]) for path, value in model.state_dict().items())


class Reads(nn.Module):
    def __init__(self):
        self.conv = nn.Conv2d(1, 1, 3)

    def forward(self, x):
        return self.conv(x - x.mean())


def test_a_module_that_reads_numbers_is_named():
    with pytest.raises(ValueError, match=r"receptive field: 1: .*reads the numbers"):
        receptive_field(nn.Sequential(nn.ReLU(), Reads()))
    assert mg.analysis.receptive_field(nn.Sequential(nn.ReLU())).size == (1, 1)
