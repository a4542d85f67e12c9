"""Networks that neither torchvision nor timm has, written for PyTorch from the papers' tables.

They share nothing with `minighost.models` but the names of their parameters: no table, no rounding, no block. Options
are named as there, so that one `Case` makes both. `layers` has what several families use.
"""

from torch_twins.classic import alexnet, crelu_cifar, ghost_vgg16_cifar, quicknet, squeezenet_cifar, vgg16_cifar
from torch_twins.ghostnet import ghostnet
from torch_twins.micronet import micronet
from torch_twins.mobile import mobilenet_v1, xception_cifar
from torch_twins.resnet import ghost_resnet50, ghost_resnet_cifar, resnet18_cifar, resnet50, resnet_cifar
from torch_twins.shufflenet import shufflenet_v1, shufflenet_v2

__all__ = [
    "alexnet",
    "crelu_cifar",
    "ghost_resnet50",
    "ghost_resnet_cifar",
    "ghost_vgg16_cifar",
    "ghostnet",
    "micronet",
    "mobilenet_v1",
    "quicknet",
    "resnet18_cifar",
    "resnet50",
    "resnet_cifar",
    "shufflenet_v1",
    "shufflenet_v2",
    "squeezenet_cifar",
    "vgg16_cifar",
    "xception_cifar",
]
