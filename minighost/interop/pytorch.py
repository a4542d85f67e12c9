"""Our own names in PyTorch's layouts, of networks whose linear layers see a flattened plane.

Such a layer's inputs are ordered (H, W, C) here and (C, H, W) there, which its array does not tell.
"""

from minighost.interop.tables import Table, named_by
from minighost.models import VGG16, AlexNet
from minighost.nn import Conv2d, Flatten, Module

__all__: list[str] = []


@named_by("pytorch", AlexNet)
def alexnet(model: AlexNet) -> Table:
    """The form for CIFAR takes the mean of each map and flattens nothing."""
    return _flattened(model, "hidden1.1")


@named_by("pytorch", VGG16)
def vgg16(model: VGG16) -> Table:
    """As published, at any width."""
    return _flattened(model, "hidden1.0")


def _flattened(model: Module, linear: str) -> Table:
    """`linear` is the path of the layer after the plane, whose channels are the last convolution's."""
    modules = list(model.modules())
    channels = [module.weight.shape[3] for module in modules if isinstance(module, Conv2d)]
    return Table((), flattened={linear: channels[-1]} if any(isinstance(m, Flatten) for m in modules) else {})
