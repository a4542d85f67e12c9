"""Our networks are the originals: with the same weights they compute the same (make parity).

Float64 agrees to 1e-9 and float32 to 1e-4 of the largest number: logits in training and in evaluation, the loss, every
gradient, the running statistics after a step.
"""

import pytest
from parity_networks import Case, compare

pytestmark = pytest.mark.parity

CASES = [
    Case("ghostnet", {"width": 0.5}, "timm:ghostnet_050"),
    Case("ghostnet", {"width": 1.0}, "timm:ghostnet_100"),
    Case("alexnet_torchvision", {}, "torchvision:alexnet"),
    Case("vgg16", {}, "torchvision:vgg16", images=4),
    Case("vgg16", {"bn": True}, "torchvision:vgg16_bn"),
    Case("resnet18", {}, "torchvision:resnet18"),
    Case("resnet50", {"stride_on": "3x3"}, "torchvision:resnet50"),
    Case("squeezenet", {"version": "1.0"}, "torchvision:squeezenet1_0"),
    Case("squeezenet", {"version": "1.1"}, "torchvision:squeezenet1_1"),
    Case("mobilenet_v2", {}, "torchvision:mobilenet_v2"),
    Case("mobilenet_v3_large", {}, "torchvision:mobilenet_v3_large"),
    Case("mobilenet_v3_small", {}, "torchvision:mobilenet_v3_small"),
    Case("shufflenet_v2", {"width": 0.5}, "torchvision:shufflenet_v2_x0_5"),
    Case("shufflenet_v2", {"width": 1.0}, "torchvision:shufflenet_v2_x1_0"),
    Case("efficientnet_b0", {}, "torchvision:efficientnet_b0"),
]


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.peer} {case.name}") for case in CASES])
def test_the_original_computes_the_same(case, tmp_path):
    compare(case, tmp_path)
