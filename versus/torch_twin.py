"""The same network in PyTorch, with the same weights: a walk over a minighost model, one rule per class.

Written as PyTorch's users write it - `nn.Sequential`, in-place activations, `torch.cat`, a channel shuffle by `view`
and `transpose` - because that is what it is compared with. A class that adds nothing to `nn.Chain` or
`nn.ResidualChain`, as networks and most blocks, needs no rule. Layouts: a convolution's weight is (KH, KW, in/groups,
out) here and (out, in/groups, KH, KW) there, a linear one (in, out) here and (out, in) there.
"""

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

import minighost.nn as mg
from minighost.models import GhostNet

__all__ = ["fold", "twin"]


def twin(module):
    """The PyTorch module that computes what `module` does, with a copy of its weights.

    Raises
    ------
    TypeError
        If there is no rule for its class.
    """
    rule = RULES.get(type(module)) or CHAINS.get(type(module).forward)
    if rule is None:
        raise TypeError(f"torch_twin: no rule for {type(module).__name__}; add one to RULES in versus/torch_twin.py")
    return rule(module)


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
        maps = torch.cat([y, self.cheap(y)], dim=1)
        # ONNX Runtime copies for a slice, even for one that takes everything.
        return maps if maps.shape[1] == self.channels else maps[:, : self.channels]


class SqueezeExcite(nn.Module):
    """Its two linear layers as 1x1 convolutions, as in the official code."""

    def __init__(self, m):
        super().__init__()
        self.reduce, self.expand = (_pointwise(layer) for layer in (m.reduce, m.expand))
        self.act, self.gate = twin(m.act), twin(m.gate)

    def forward(self, x):
        squeezed = self.act(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * self.gate(self.expand(squeezed))


class Residual(nn.Module):
    """A path plus a shortcut around it, then perhaps an activation."""

    def __init__(self, path, shortcut, act=None):
        super().__init__()
        self.path = _sequence(path)
        self.shortcut = nn.Identity() if shortcut is None else twin(shortcut)
        self.act = nn.Identity() if act is None else twin(act)

    def forward(self, x):
        return self.act(self.path(x) + self.shortcut(x))


class Xception(nn.Module):
    """Separable units and perhaps pooling beside a shortcut, which sees the input without the first unit's ReLU."""

    def __init__(self, m):
        super().__init__()
        self.path = _sequence((m.units, m.pool))
        if isinstance(self.path[0], nn.ReLU):
            self.path[0] = nn.ReLU()  # in place it would change what the shortcut sees
        self.shortcut = nn.Identity() if m.shortcut is None else twin(m.shortcut)

    def forward(self, x):
        return self.path(x) + self.shortcut(x)


class Shuffle(nn.Module):
    """Channels of the groups in turn."""

    def __init__(self, groups):
        super().__init__()
        self.groups = groups

    def forward(self, x):
        N, C, H, W = x.shape
        return x.view(N, self.groups, C // self.groups, H, W).transpose(1, 2).reshape(N, C, H, W)


class SplitShuffle(nn.Module):
    """The unit of ShuffleNet v2, as torchvision divides its channels."""

    def __init__(self, m):
        super().__init__()
        if m.shuffle is None:
            raise TypeError("torch_twin: no rule for SplitShuffleUnit(variant='megvii'); take 'torchvision'")
        self.left = None if m.left is None else twin(m.left)
        self.right, self.shuffle = twin(m.right), twin(m.shuffle)

    def forward(self, x):
        left, right = x.chunk(2, dim=1) if self.left is None else (self.left(x), x)
        return self.shuffle(torch.cat([left, self.right(right)], dim=1))


class Partial(nn.Module):
    """A convolution of the first channels, the others beside them."""

    def __init__(self, m):
        super().__init__()
        self.conv, self.convolved = twin(m.conv), m.convolved

    def forward(self, x):
        first, rest = x.split([self.convolved, x.shape[1] - self.convolved], dim=1)
        return torch.cat([self.conv(first), rest], dim=1)


class Fire(nn.Module):
    """Two convolutions of what is left of the channels."""

    def __init__(self, m):
        super().__init__()
        self.squeeze, self.expand1, self.expand3 = twin(m.squeeze), twin(m.expand1), twin(m.expand3)

    def forward(self, x):
        y = self.squeeze(x)
        return torch.cat([self.expand1(y), self.expand3(y)], dim=1)


class Branches(nn.Module):
    """A sum of convolutions with batch norm, and of batch norm alone."""

    def __init__(self, m):
        super().__init__()
        self.branches = nn.ModuleList(twin(branch) for branch in m.branches())
        self.after = _sequence((m.se, m.act))

    def forward(self, x):
        first, *others = self.branches
        out = first(x)
        for branch in others:
            out = out + branch(x)
        return self.after(out)


class Clip(nn.Module):
    def forward(self, x):
        return x.clamp(0, 1)


def _tensor(array):
    return nn.Parameter(torch.from_numpy(array.copy()))


def _sequence(layers):
    """Twins one after the other; a sequence within is laid out flat, so that `fold` sees who follows whom."""
    flat = []
    for layer in layers:
        if layer is not None:
            one = twin(layer)
            flat += one if isinstance(one, nn.Sequential) else [one]
    return nn.Sequential(*flat)


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


def _batch_norm(m, kind=nn.BatchNorm2d):
    bn = kind(m.weight.size, m.eps, m.momentum)
    bn.weight, bn.bias = _tensor(m.weight.data), _tensor(m.bias.data)
    bn.running_mean.copy_(torch.from_numpy(m.running_mean.data))
    bn.running_var.copy_(torch.from_numpy(m.running_var.data))
    return nn.Sequential(bn, nn.ReLU(inplace=True)) if m.relu else bn


def _stochastic_depth(m):
    if m.p:
        raise TypeError(f"torch_twin: StochasticDepth: p={m.p} draws at random, so results differ; take 0")
    return nn.Identity()


RULES = {
    GhostNet: lambda m: _sequence(m.children()),
    mg.Conv2d: _conv,
    mg.BatchNorm1d: lambda m: _batch_norm(m, nn.BatchNorm1d),
    mg.BatchNorm2d: _batch_norm,
    mg.Linear: _linear,
    mg.ConvBNAct: lambda m: _sequence((m.conv, m.pool, m.bn, m.act)),
    mg.GhostModule: lambda m: twin(m.primary) if m.cheap is None else Ghost(m),
    mg.GhostBottleneck: lambda m: Residual((m.ghost1, m.depthwise, m.se, m.ghost2), m.shortcut),
    mg.ResidualBlock: lambda m: Residual((m.first, m.second), m.shortcut, m.act),
    mg.XceptionModule: Xception,
    mg.SplitShuffleUnit: SplitShuffle,
    mg.FasterNetBlock: lambda m: Residual((m.partial, m.expand, m.project), None),
    mg.PartialConv2d: Partial,
    mg.Fire: Fire,
    mg.ConvBranches: Branches,
    mg.SqueezeExcite: SqueezeExcite,
    mg.ChannelShuffle: lambda m: Shuffle(m._options["groups"]),
    mg.ReLU: lambda m: nn.ReLU(inplace=True),
    mg.ReLU6: lambda m: nn.ReLU6(inplace=True),
    mg.HardSwish: lambda m: nn.Hardswish(inplace=True),
    mg.SiLU: lambda m: nn.SiLU(inplace=True),
    mg.GELU: lambda m: nn.GELU(),
    mg.Sigmoid: lambda m: nn.Sigmoid(),
    mg.HardSigmoid: lambda m: nn.Hardsigmoid(),
    mg.ClipGate: lambda m: Clip(),
    mg.GlobalAvgPool: lambda m: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    mg.MaxPool2d: lambda m: nn.MaxPool2d(**m._options),
    mg.Identity: lambda m: nn.Identity(),
    mg.Dropout: lambda m: nn.Dropout(m.p),
    mg.StochasticDepth: _stochastic_depth,
}
CHAINS = {
    mg.Chain.forward: lambda m: _sequence(m.children()),
    mg.ResidualChain.forward: lambda m: Residual(m.children(), None) if m.residual else _sequence(m.children()),
}
