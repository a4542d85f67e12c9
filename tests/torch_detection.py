"""What torchvision computes of a detector, in a process of its own.

    python torch_detection.py CASES.npz ANSWERS.npz

The arrays' names and layouts are minighost's; see `test_parity_detection.py`.
"""

import sys
from collections import OrderedDict

import numpy as np
import torch
from torch import nn
from torch_networks import _torchvision


def focal(a):
    logits, labels = a["logits"].requires_grad_(), a["labels"]
    counted = labels > -2
    answers = (labels[:, None] == torch.arange(logits.shape[1])).to(logits.dtype)
    from torchvision.ops import sigmoid_focal_loss

    loss = sigmoid_focal_loss(logits[counted], answers[counted], alpha=0.3, gamma=1.5, reduction="sum")
    (loss / max(1, (labels >= 0).sum())).backward()
    return {"focal": loss.detach() / max(1, (labels >= 0).sum()), "dlogits": logits.grad}


def boxes(a):
    from torchvision.models.detection._utils import BoxCoder
    from torchvision.ops import box_iou

    coder = BoxCoder((1.0, 1.0, 1.0, 1.0))
    return {
        "iou": box_iou(a["first"], a["second"]),
        "offsets": coder.encode_single(a["first"], a["second"]),
        "boxes": coder.decode_single(a["given_offsets"], a["second"]),
    }


def anchors(a):
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.image_list import ImageList

    torch.Tensor.round = lambda self: self  # theirs have whole numbers of pixels
    sizes = tuple(tuple(4 * stride * 2 ** (k / 3) for k in range(3)) for stride in (8, 16, 32))
    maps = [torch.zeros(1, 1, 64 // stride, 96 // stride) for stride in (8, 16, 32)]
    generator = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 3)
    return {"anchors": generator(ImageList(torch.zeros(1, 3, 64, 96), [(64, 96)]), maps)[0]}


def detector(a):
    """Pyramid and head, with weights from minighost, and the gradients of all of them."""
    from torchvision.models.detection.retinanet import RetinaNetHead
    from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelP6P7

    width, further = 8, LastLevelP6P7(12, 8)
    further.use_P5 = False
    pyramid, head = FeaturePyramidNetwork([6, 12], width, further), RetinaNetHead(width, 2, 3)
    modules = {
        **{f"fpn.lateral.{k}": block[0] for k, block in enumerate(pyramid.inner_blocks)},
        **{f"fpn.smooth.{k}": block[0] for k, block in enumerate(pyramid.layer_blocks)},
        "fpn.further.0": further.p6,
        "fpn.further.1": further.p7,
    }
    for name, part, out in (
        ("classes", head.classification_head, head.classification_head.cls_logits),
        ("boxes", head.regression_head, head.regression_head.bbox_reg),
    ):
        convolutions = [m for m in part.conv.modules() if isinstance(m, nn.Conv2d)]
        modules.update(
            {f"{name}.0.layers.{2 * k}": conv for k, conv in enumerate(convolutions)}, **{f"{name}.0.out": out}
        )
    for module in modules.values():
        module.double()
    for path, module in modules.items():
        module.weight.data = a[f"{path}.weight"].permute(3, 2, 0, 1).contiguous()
        module.bias.data = a[f"{path}.bias"]
    maps = [a[f"map{k}"].permute(0, 3, 1, 2).contiguous().requires_grad_() for k in range(2)]
    found = head(list(pyramid(OrderedDict(enumerate(maps))).values()))
    logits, offsets = found["cls_logits"], found["bbox_regression"]
    ((logits * a["dout_logits"]).sum() + (offsets * a["dout_offsets"]).sum()).backward()
    return {
        "logits": logits.detach(),
        "bbox": offsets.detach(),
        **{f"d{path}.weight": module.weight.grad.permute(2, 3, 1, 0) for path, module in modules.items()},
        **{f"d{path}.bias": module.bias.grad for path, module in modules.items()},
        **{f"dmap{k}": one.grad.permute(0, 2, 3, 1) for k, one in enumerate(maps)},
    }


def suppression(a):
    """Empty where torchvision's compiled operators do not fit the installed PyTorch."""
    from torchvision.ops import batched_nms

    if not hasattr(torch.ops.torchvision, "nms"):
        return {}
    return {f"kept{t}": batched_nms(a["first"], a["scores"], a["classes"], t / 10) for t in (0, 3, 5)}


if __name__ == "__main__":
    _torchvision()
    cases, target = sys.argv[1:]
    with np.load(cases) as found:
        arrays = {key: torch.from_numpy(found[key]) for key in found.files}
    answers = {}
    for part in (focal, boxes, anchors, detector, suppression):
        answers.update(part(arrays))
    np.savez(target, **{key: value.numpy() for key, value in answers.items()})
