"""Networks, one per file: a table of the paper's rows and the loop that builds it."""

from minighost.models.alexnet import AlexNet, alexnet_cifar, alexnet_torchvision
from minighost.models.crelu_net import CReLUNet
from minighost.models.efficientnet import EfficientNet, Scaling, compound_scaling, efficientnet_b0_cifar
from minighost.models.fasternet import FasterNet, fasternet_cifar
from minighost.models.features import Features
from minighost.models.ghost_resnet import (
    ghost_resnet50,
    ghost_resnet50_cifar,
    ghost_resnet56_cifar,
    ghost_resnet_cifar,
)
from minighost.models.ghost_vgg import ghost_vgg16_cifar
from minighost.models.ghostnet import GhostNet
from minighost.models.ghostnet_small import ghostnet_cifar, ghostnet_cifar_fast, ghostnet_short
from minighost.models.ghostnetv2 import GhostNetV2, ghostnetv2_cifar
from minighost.models.ghostnetv3 import GhostNetV3, ghostnetv3_cifar
from minighost.models.micronet import MicroNet, micronet_cifar
from minighost.models.mobilenet_v1 import MobileNetV1, conv_mobilenet_v1, mobilenet_v1_cifar
from minighost.models.mobilenet_v2 import MobileNetV2, mobilenet_v2_cifar
from minighost.models.mobilenet_v3 import (
    MobileNetV3Large,
    MobileNetV3Small,
    mobilenet_v3_large_cifar,
    mobilenet_v3_small_cifar,
)
from minighost.models.mobilenet_v4 import MobileNetV4ConvMedium, MobileNetV4ConvSmall, mobilenet_v4_conv_small_cifar
from minighost.models.mobileone import MobileOne, mobileone_cifar
from minighost.models.network import Network
from minighost.models.own import try_out
from minighost.models.published import NOT_BUILT, Published, published
from minighost.models.quicknet import QuickNet
from minighost.models.registry import ABOUT, About, check_options, create, detectors, made_by, names, register, takes
from minighost.models.repvgg import RepVGG, repvgg_cifar
from minighost.models.resnet import ResNet, resnet20, resnet56_cifar, resnet_cifar
from minighost.models.resnet_imagenet import ResNetImageNet, resnet18, resnet18_cifar, resnet50, resnet50_cifar
from minighost.models.rounding import make_divisible, squeeze_width
from minighost.models.separable_net import SeparableNet
from minighost.models.shufflenet_v1 import ShuffleNetV1, shufflenet_v1_cifar
from minighost.models.shufflenet_v2 import ShuffleNetV2, shufflenet_v2_cifar
from minighost.models.squeezenet import SqueezeNet, squeezenet_cifar
from minighost.models.vgg import VGG16, VGGCifar, vgg16_cifar
from minighost.models.xception import Xception, xception_cifar

__all__ = [
    "ABOUT",
    "NOT_BUILT",
    "VGG16",
    "About",
    "AlexNet",
    "CReLUNet",
    "EfficientNet",
    "FasterNet",
    "Features",
    "GhostNet",
    "MicroNet",
    "GhostNetV2",
    "GhostNetV3",
    "MobileNetV1",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "MobileNetV4ConvMedium",
    "MobileNetV4ConvSmall",
    "MobileOne",
    "Network",
    "Published",
    "QuickNet",
    "RepVGG",
    "ResNet",
    "ResNetImageNet",
    "Scaling",
    "SeparableNet",
    "ShuffleNetV1",
    "ShuffleNetV2",
    "SqueezeNet",
    "VGGCifar",
    "Xception",
    "alexnet_cifar",
    "alexnet_torchvision",
    "check_options",
    "compound_scaling",
    "conv_mobilenet_v1",
    "create",
    "detectors",
    "efficientnet_b0_cifar",
    "fasternet_cifar",
    "ghost_resnet50",
    "ghost_resnet50_cifar",
    "ghost_resnet56_cifar",
    "ghost_resnet_cifar",
    "ghost_vgg16_cifar",
    "ghostnet_cifar",
    "ghostnet_cifar_fast",
    "ghostnet_short",
    "ghostnetv2_cifar",
    "ghostnetv3_cifar",
    "made_by",
    "make_divisible",
    "micronet_cifar",
    "mobilenet_v1_cifar",
    "mobilenet_v2_cifar",
    "mobilenet_v3_large_cifar",
    "mobilenet_v3_small_cifar",
    "mobilenet_v4_conv_small_cifar",
    "mobileone_cifar",
    "names",
    "published",
    "register",
    "repvgg_cifar",
    "resnet18",
    "resnet18_cifar",
    "resnet20",
    "resnet50",
    "resnet50_cifar",
    "resnet56_cifar",
    "resnet_cifar",
    "shufflenet_v1_cifar",
    "shufflenet_v2_cifar",
    "squeeze_width",
    "squeezenet_cifar",
    "takes",
    "try_out",
    "vgg16_cifar",
    "xception_cifar",
]
