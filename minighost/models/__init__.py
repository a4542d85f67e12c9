"""Networks, one per file: a table of the paper's rows and the loop that builds it."""

from minighost.models.ghostnet import GhostNet
from minighost.models.ghostnet_small import ghostnet_cifar, ghostnet_cifar_fast, ghostnet_short
from minighost.models.network import Network
from minighost.models.published import NOT_BUILT, Published, published
from minighost.models.quicknet import QuickNet
from minighost.models.registry import ABOUT, About, create, names
from minighost.models.resnet import ResNet, resnet20
from minighost.models.rounding import make_divisible
from minighost.models.xception import Xception, xception_cifar

__all__ = [
    "ABOUT",
    "NOT_BUILT",
    "About",
    "GhostNet",
    "Network",
    "Published",
    "QuickNet",
    "ResNet",
    "Xception",
    "create",
    "ghostnet_cifar",
    "ghostnet_cifar_fast",
    "ghostnet_short",
    "make_divisible",
    "names",
    "published",
    "resnet20",
    "xception_cifar",
]
