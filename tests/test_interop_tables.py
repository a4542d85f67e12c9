"""Every table names every array of its network once, and nothing is lost on the way out and in again."""

import re
import zlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from minighost import interop, models, nn
from minighost.interop.tables import table


def sources():
    """Every network with every source that has names for it."""
    with nn.without_weights():
        return {name: list(interop.tables_of(models.create(name, width=0.1))) for name in models.names()}


def network(name, start):
    """A narrow network all of whose arrays differ, whatever their shape."""
    rng, model = np.random.default_rng(start), models.create(name, width=0.1, num_classes=3, rng=0)
    return model.load_state_dict(
        {path: rng.uniform(0.5, 1, value.shape).astype(value.dtype) for path, value in model.state_dict().items()}
    )


@pytest.mark.parametrize("name, source", [(name, source) for name, found in sources().items() for source in found])
def test_a_table_names_every_array_once_and_what_goes_out_comes_back(name, source):
    one, two = network(name, 1), network(name, 2)
    ours, theirs = one.state_dict(), interop.state_dict(one, source)
    names = [table("test", one, source).name(path) for path in ours]
    assert list(theirs) == names and len(set(names)) == len(ours)
    assert sorted(value.size for value in theirs.values()) == sorted(value.size for value in ours.values())
    interop.load(two, theirs, source)
    for path, value in two.state_dict().items():
        assert_array_equal(value, ours[path], err_msg=path)


# The official names in the order in which torchvision's networks list them: how many, and the CRC-32 of their lines.
OFFICIAL = [
    ("alexnet_torchvision", {}, 16, 0x719945CA),
    ("vgg16", {}, 32, 0xABB64DD2),
    ("vgg16", {"bn": True}, 84, 0x1A9803E0),
    ("resnet18", {}, 102, 0xAF445B90),
    ("resnet50", {}, 267, 0x19AFDE15),
    ("squeezenet", {"version": "1.0"}, 52, 0x77CA6B16),
    ("squeezenet", {"version": "1.1"}, 52, 0xBA104A48),
    ("mobilenet_v2", {}, 262, 0x411DF917),
    ("mobilenet_v3_large", {"width": 1.0}, 266, 0xBEBC7032),
    ("mobilenet_v3_small", {"width": 1.0}, 210, 0x241B5A7E),
    ("shufflenet_v2", {}, 282, 0xD22E7991),
    ("efficientnet_b0", {}, 311, 0x275109C1),
]


@pytest.mark.parametrize("name, options, number, checksum", OFFICIAL)
def test_torchvisions_names_are_the_official_ones_in_the_official_order(name, options, number, checksum):
    model = models.create(name, **{"width": 0.1, **options})
    names = [table("test", model, "torchvision").name(path) for path in model.state_dict()]
    assert (len(names), zlib.crc32("\n".join(names).encode())) == (number, checksum), "\n".join(names)


@pytest.mark.parametrize(
    "name, layer, theirs, side", [("alexnet_torchvision", "hidden1.1", 1, 6), ("vgg16", "hidden1.0", 0, 7)]
)
def test_the_layer_after_a_flattened_plane_has_its_inputs_channel_by_channel_there(name, layer, theirs, side):
    model = network(name, 1)
    ours = model.state_dict()[f"{layer}.weight"]
    plane = ours.reshape(side, side, -1, ours.shape[1]).transpose(3, 2, 0, 1)
    assert_array_equal(
        interop.state_dict(model, "torchvision")[f"classifier.{theirs}.weight"], plane.reshape(ours.shape[::-1])
    )


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("alexnet", {"width": 0.1}, "AlexNet: torchvision has no AlexNet with local response normalisation"),
        ("ghost_resnet50", {"width": 0.1}, "ResNetImageNet: torchvision has no ResNet of GhostModule"),
        (
            "resnet50",
            {"width": 0.1, "stride_on": "1x1"},
            "ResNetImageNet(stride_on='1x1'): torchvision's ResNets stride on the 3x3",
        ),
        (
            "shufflenet_v2",
            {"width": 0.5, "variant": "megvii"},
            "ShuffleNetV2(variant='megvii'): torchvision's units shuffle",
        ),
    ],
)
def test_a_form_that_torchvision_lacks_has_none_of_its_names(name, options, message):
    """Else weights would be loaded that fit in every shape, and compute something else."""
    model = models.create(name, **options)
    assert "torchvision" not in interop.tables_of(model)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}.* the names 'pytorch'$"):
        interop.load(model, {}, "torchvision")
