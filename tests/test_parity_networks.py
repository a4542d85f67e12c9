"""Our networks are the originals: with the same weights they compute the same (make parity).

Float64 agrees to 1e-9 and float32 to 1e-4 of the largest number: logits in training and in evaluation, the loss, every
gradient, the running statistics after a step.
"""

from typing import Any

import pytest
from parity_networks import Case, compare

pytestmark = pytest.mark.parity

# As the authors' TensorFlow code scales MobileNetV3, which timm follows.
TENSORFLOW = {"width": 0.75, "expand": "ratio x scaled input", "scale_head": False}
FUSED = {"form": "fused"}
# The batch norms that end a ghost bottleneck or an inverted one.
LAST = r"\.ghost2\..*(bn|identity)\.weight|\.project\.bn\.weight"
BOTTLENECKS: dict[str, Any] = {"lift": 3.0, "steady": r"\.project\."}
V3_NORMS = {"bn_eps": 1e-3, "bn_momentum": 0.01}

CASES = [
    Case("ghostnet", {"width": 0.5}, "timm:ghostnet_050"),
    Case("ghostnet", {"width": 1.0}, "timm:ghostnet_100"),
    Case("alexnet_torchvision", {}, "torchvision:alexnet", images=4),
    Case("vgg16", {}, "torchvision:vgg16", side=32, images=2),
    Case("vgg16", {"bn": True}, "torchvision:vgg16_bn", side=32, lift=2.5),
    Case("resnet18", {}, "torchvision:resnet18", lift=2.5),
    Case("resnet50", {"stride_on": "3x3"}, "torchvision:resnet50", lift=3.5),
    Case("squeezenet", {"version": "1.0"}, "torchvision:squeezenet1_0"),
    Case("squeezenet", {"version": "1.1"}, "torchvision:squeezenet1_1"),
    Case("mobilenet_v2", {}, "torchvision:mobilenet_v2", lift=2.5),
    Case("mobilenet_v3_large", {}, "torchvision:mobilenet_v3_large"),
    Case("mobilenet_v3_small", {}, "torchvision:mobilenet_v3_small"),
    Case("shufflenet_v2", {"width": 0.5}, "torchvision:shufflenet_v2_x0_5", lift=2.5),
    Case("shufflenet_v2", {"width": 1.0}, "torchvision:shufflenet_v2_x1_0", lift=2.5),
    Case("efficientnet_b0", {}, "torchvision:efficientnet_b0"),
    Case("ghostnetv2", {}, "timm:ghostnetv2_100", side=128, shift=2.5, damped=LAST),
    Case("ghostnetv3", {}, "timm:ghostnetv3_100", side=128, shift=2.5, damped=LAST),
    Case("ghostnetv3", FUSED, "timm:ghostnetv3_100", FUSED, side=96),
    Case("mobilenet_v1", {}, "timm:mobilenetv1_100", {"bn_eps": 1e-3, "bn_momentum": 3e-4}, lift=3),
    Case("mobilenet_v2", {}, "timm:mobilenetv2_100", **BOTTLENECKS),
    Case("mobilenet_v3_large", TENSORFLOW, "timm:mobilenetv3_large_075", V3_NORMS, damped=LAST, **BOTTLENECKS),
    Case("mobilenet_v3_small", TENSORFLOW, "timm:mobilenetv3_small_075", V3_NORMS, damped=LAST, **BOTTLENECKS),
    Case("mobilenet_v4_conv_small", {}, "timm:mobilenetv4_conv_small", **BOTTLENECKS),
    Case("mobilenet_v4_conv_medium", {}, "timm:mobilenetv4_conv_medium", **BOTTLENECKS),
    Case("efficientnet_b0", {}, "timm:efficientnet_b0"),
    Case("repvgg", {"variant": "A0"}, "timm:repvgg_a0", shift=2.5),
    Case("repvgg", {"variant": "A0", **FUSED}, "timm:repvgg_a0", FUSED),
    Case("mobileone", {"variant": "s0"}, "timm:mobileone_s0", lift=3),
    Case("mobileone", {"variant": "s0", **FUSED}, "timm:mobileone_s0", FUSED),
    Case("xception", {"eps": 1e-5, "momentum": 0.1}, "timm:legacy_xception", side=96, shift=2.5),
    Case("fasternet", {}, "timm:fasternet_t0"),
]


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=" ".join([case.peer, case.name, *case.options.get("form", "").split()])) for case in CASES],
)
def test_the_original_computes_the_same(case, tmp_path):
    compare(case, tmp_path)
