"""Networks that neither torchvision nor timm has follow the papers' tables: their twins (`torch_twins`) agree.

Two people read the same table; where one of them misread it, the numbers differ. See `test_parity_networks` for what is
compared and how closely.
"""

import pytest
from parity_networks import Case, compare

pytestmark = pytest.mark.parity


BRANCHES = r"\.(expand|second)\.(.*\.)?bn\.weight$"  # the last batch norms of residual branches


def twin(name, options, peer="", side=32, images=8, dtypes=("float64", "float32"), **other):
    """A case whose twin has the same name, or that of `peer`, and the same options and `other` ones."""
    theirs = {**options, **other}
    return Case(name, options, f"twins:{peer or name}", theirs, side, images=images, damped=BRANCHES, dtypes=dtypes)


CLASSIC = [
    twin("alexnet", {"width": 1 / 16}, side=227),
    twin("alexnet", {"width": 1 / 16, "groups": 1}, side=95),
    twin("alexnet_cifar", {"width": 1 / 8}, "alexnet", small=True),
    twin("vgg16_cifar", {"width": 1 / 8}),
    twin("vgg16_cifar", {"width": 1 / 8, "fc512": False}),
    twin("ghost_vgg16_cifar", {"width": 1 / 8}),
    twin("ghost_vgg16_cifar", {"width": 1 / 8, "s": 3}),
    twin("ghost_vgg16_cifar", {"width": 1 / 8, "s": 2, "d": 1, "replace_first": False, "fc512": False}),
    twin("crelu_cifar", {"width": 1 / 4}),
    twin("crelu_cifar", {"width": 1 / 4, "crelu": 8}),
    twin("quicknet", {"width": 1 / 4}),
    twin("quicknet", {"width": 1 / 4, "ratio": 2, "plain": 1}),
    twin("squeezenet_cifar", {"width": 1 / 4}),
]
NARROW = {"width": 1 / 8}
RESNETS = [
    twin("resnet_cifar", {"depth": 20, "shortcut": "A"}),
    twin("resnet_cifar", {"depth": 14, "shortcut": "B"}),
    twin("ghost_resnet_cifar", {"depth": 20, "s": 2, "d": 3}),
    twin("ghost_resnet_cifar", {"depth": 14, "s": 3, "d": 5, "shortcut": "B", "replace_first": True}),
    twin("ghost_resnet_cifar", {"depth": 14, "s": 2, "d": 1, "bn": "inside+outside"}),
    twin("resnet56_cifar", {"width": 1 / 4}, "resnet_cifar", depth=56),
    twin("resnet50", {"width": 1 / 16, "stride_on": "1x1"}, side=64),
    twin("resnet50_cifar", {"width": 1 / 16}, "resnet50", small=True),
    twin("resnet18_cifar", {"width": 1 / 8}),
    twin("ghost_resnet50", {"width": 1 / 16, "s": 2}, side=64),
    twin("ghost_resnet50_cifar", {"width": 1 / 16, "s": 4}, "ghost_resnet50", small=True),
    Case(
        "ghost_resnet50", {**NARROW, "bn": "none", "conv_bias": True}, "twins:ghost_resnet50", {**NARROW, "bn": "none"}
    ),
]
MOBILE = [
    twin("mobilenet_v1", {"width": 1 / 8}, side=64),
    twin("mobilenet_v1", {"width": 1 / 8, "shallow": True}, side=64),
    twin("mobilenet_v1_cifar", {"width": 1 / 4}, "mobilenet_v1", small=True),
    twin("conv_mobilenet_v1", {"width": 1 / 8}, "mobilenet_v1", side=64, separable=False),
    twin("xception_cifar", {"width": 1 / 16}),
]
SHUFFLED = [
    *(twin("shufflenet_v1", {"groups": groups, "width": 0.5}, side=64) for groups in (3, 8)),
    *(twin("shufflenet_v1", {"groups": groups}, side=64) for groups in (1, 2, 4)),
    twin("shufflenet_v1", {"width": 1.5, "fc_bias": False}, side=64),
    twin("shufflenet_v1_cifar", {"width": 0.5}, "shufflenet_v1", images=4, small=True),
    *(twin("shufflenet_v2", {"width": width, "variant": "megvii"}, side=64) for width in (0.5, 1.0)),
    twin("shufflenet_v2_cifar", {"width": 0.5}, "shufflenet_v2", 24, 4, small=True),
    twin("micronet", {"variant": "M0"}, side=64),
    twin("micronet", {"variant": "M3"}, side=64, dtypes=("float64",)),
]
TF = {"rounding": "tf", "se_hidden": "floor", "gate": "clip"}
GHOSTNETS = [
    twin("ghostnet", {"width": 0.25, "ratio": 3}, side=64),
    twin("ghostnet", {"width": 0.25, "ratio": 1}, side=64),
    twin("ghostnet", {"width": 0.25, "dw_size": 5}, side=64),
    Case("ghostnet", {"width": 0.75, **TF}, "twins:ghostnet", {"width": 0.75, "tf": True}, 64),
    Case("ghostnet", {"width": 0.25, "head": "bn_no_bias"}, "twins:ghostnet", {"width": 0.25, "old_head": True}),
    twin("ghostnet_cifar", {"width": 0.25}, "ghostnet", stem_stride=1, flat=(1,)),
    twin("ghostnet_cifar_fast", {"width": 0.25}, "ghostnet", images=4, stem_stride=1, flat=(3,)),
    twin("ghostnet_short", {"width": 0.25}, "ghostnet", stem_stride=1, short=True),
]
CASES = CLASSIC + RESNETS + MOBILE + SHUFFLED + GHOSTNETS


def _label(case):
    return " ".join([case.name, *(f"{key}={value}" for key, value in case.options.items())])


@pytest.mark.parametrize("case", [pytest.param(case, id=_label(case)) for case in CASES])
def test_the_twin_computes_the_same(case, tmp_path):
    compare(case, tmp_path)
