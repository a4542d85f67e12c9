"""The same network in PyTorch, with the same weights: a walk over a minighost model, one rule per class.

Written as PyTorch's users write it - `nn.Sequential`, in-place activations, `torch.cat` - because that is what it is
compared with. Layouts: a convolution's weight is (KH, KW, in/groups, out) here and (out, in/groups, KH, KW) there, a
linear one (in, out) here and (out, in) there.
"""

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

import minighost.nn as mg
from minighost.models import GhostNet, ResNet

__all__ = ["fold", "twin"]


def twin(module):
    """The PyTorch module that computes what `module` does, with a copy of its weights.

    Raises
    ------
    TypeError
        If there is no rule for its class.
    """
    if type(module) not in RULES:
        raise TypeError(f"torch_twin: no rule for {type(module).__name__}; add one to RULES in versus/torch_twin.py")
    return RULES[type(module)](module)


def fold(model):
    """Fold each batch norm into the convolution in front of it, in place, as one does before serving a network."""
    for chain in list(model.eval().modules()):
        if not isinstance(chain, nn.Sequential):
            continue
        names = list(chain._modules)
        for first, second in zip(names, names[1:], strict=False):
            conv, bn = chain._modules[first], chain._modules[second]
            if isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d):
                chain._modules[first], chain._modules[second] = fuse_conv_bn_eval(conv, bn), nn.Identity()
    return model


class Ghost(nn.Module):
    """Intrinsic maps, then their ghosts."""

    def __init__(self, m):
        super().__init__()
        self.primary, self.cheap, self.channels = twin(m.primary), twin(m.cheap), m.out_channels

    def forward(self, x):
        y = self.primary(x)
        return torch.cat([y, self.cheap(y)], dim=1)[:, : self.channels]


class SqueezeExcite(nn.Module):
    """Its two linear layers as 1x1 convolutions, as in the official code."""

    def __init__(self, m):
        super().__init__()
        self.reduce, self.expand = (_pointwise(layer) for layer in (m.reduce, m.expand))
        self.gate = twin(m.gate)

    def forward(self, x):
        squeezed = torch.relu_(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * self.gate(self.expand(squeezed))


class Residual(nn.Module):
    """A path plus a shortcut around it, then perhaps an activation."""

    def __init__(self, path, shortcut, act=None):
        super().__init__()
        self.path = nn.Sequential(*[twin(layer) for layer in path if layer is not None])
        self.shortcut = nn.Identity() if shortcut is None else twin(shortcut)
        self.act = nn.Identity() if act is None else twin(act)

    def forward(self, x):
        return self.act(self.path(x) + self.shortcut(x))


class Clip(nn.Module):
    def forward(self, x):
        return x.clamp(0, 1)


def _tensor(array):
    return nn.Parameter(torch.from_numpy(array.copy()))


def _conv(m):
    KH, KW, C, OC = m.weight.shape
    conv = nn.Conv2d(C * m.groups, OC, (KH, KW), m.stride, m.padding, m.dilation, m.groups, bias=m.bias is not None)
    conv.weight = _tensor(m.weight.data.transpose(3, 2, 0, 1))
    if m.bias is not None:
        conv.bias = _tensor(m.bias.data)
    return conv


def _pointwise(linear):
    conv = nn.Conv2d(*linear.weight.shape, 1)
    conv.weight, conv.bias = _tensor(linear.weight.data.T[:, :, None, None]), _tensor(linear.bias.data)
    return conv


def _linear(m):
    linear = nn.Linear(*m.weight.shape, bias=m.bias is not None)
    linear.weight = _tensor(m.weight.data.T)
    if m.bias is not None:
        linear.bias = _tensor(m.bias.data)
    return linear


def _batch_norm(m):
    bn = nn.BatchNorm2d(m.weight.size, m.eps, m.momentum)
    bn.weight, bn.bias = _tensor(m.weight.data), _tensor(m.bias.data)
    bn.running_mean.copy_(torch.from_numpy(m.running_mean.data))
    bn.running_var.copy_(torch.from_numpy(m.running_var.data))
    return bn


def _unit(m):
    """Convolution, batch norm, activation: minighost's batch norm does the ReLU in passing."""
    act = nn.ReLU(inplace=True) if m.bn.relu else None if m.act is None else twin(m.act)
    return nn.Sequential(_conv(m.conv), _batch_norm(m.bn), *([] if act is None else [act]))


def _bottleneck(m):
    return Residual((m.ghost1, m.depthwise, m.se, m.ghost2), m.shortcut)


def _chain(m):
    return nn.Sequential(*[twin(child) for child in m.children()])


RULES = {
    mg.Conv2d: _conv,
    mg.BatchNorm2d: lambda m: nn.Sequential(_batch_norm(m), nn.ReLU(inplace=True)) if m.relu else _batch_norm(m),
    mg.Linear: _linear,
    mg.ConvBNAct: _unit,
    mg.Sequential: _chain,
    mg.GhostModule: lambda m: twin(m.primary) if m.cheap is None else Ghost(m),
    mg.GhostBottleneck: _bottleneck,
    mg.SqueezeExcite: SqueezeExcite,
    mg.ReLU: lambda m: nn.ReLU(inplace=True),
    mg.HardSigmoid: lambda m: nn.Hardsigmoid(),
    mg.ClipGate: lambda m: Clip(),
    mg.GlobalAvgPool: lambda m: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    mg.MaxPool2d: lambda m: nn.MaxPool2d(**m._options),
    mg.Dropout: lambda m: nn.Dropout(m.p),
    GhostNet: _chain,
    ResNet: _chain,
    mg.ResidualBlock: lambda m: Residual((m.first, m.second), m.shortcut, m.act),
}
