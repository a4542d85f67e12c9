"""What users do to a block that they did not write: a hundred small changes to its modules, drawn at random."""

import numpy as np
from views import hold

from minighost import nn

__all__ = ["BLOCKS", "block", "operate"]

BLOCKS = {
    "unit": lambda: nn.ConvBNAct(4, 6, 3, rng=0),
    "pointwise unit": lambda: nn.ConvBNAct(4, 6, 1, act=None, rng=0),
    "depthwise unit": lambda: nn.ConvBNAct(4, 4, 3, 2, groups=4, rng=0),
    "pooled unit": lambda: nn.ConvBNAct(4, 4, 3, pool=2, rng=0),
    "ghost": lambda: nn.GhostModule(4, 8, 1, rng=0),
    "ghost 3x3": lambda: nn.GhostModule(4, 6, 3, stride=2, rng=0),
    "ghost, ratio 3": lambda: nn.GhostModule(4, 4, 1, ratio=3, rng=0),
    "ghost, ratio 4": lambda: nn.GhostModule(4, 2, 1, ratio=4, rng=0),
    "ghost, ratio 1": lambda: nn.GhostModule(4, 6, 3, ratio=1, rng=0),
    "bottleneck": lambda: nn.GhostBottleneck(4, 8, 4, rng=0),
    "bottleneck, gated": lambda: nn.GhostBottleneck(4, 8, 6, se_hidden=3, rng=0),
    "bottleneck, strided": lambda: nn.GhostBottleneck(4, 8, 6, stride=2, se_hidden=3, rng=0),
    "branches": lambda: nn.ConvBranches(4, 4, 3, rng=0),
    "branches, strided": lambda: nn.ConvBranches(4, 6, 3, 2, rng=0, branches=2),
    "inverted residual": lambda: nn.InvertedResidual(4, 8, 4, se=nn.SqueezeExcite(8, 3, rng=0), rng=0),
    "residual": lambda: nn.ResidualBlock(4, 4, rng=0),
    "residual, strided": lambda: nn.ResidualBlock(4, 6, 2, rng=0),
    "shuffle units": lambda: nn.Sequential(
        nn.SplitShuffleUnit(4, 8, 2, rng=0), nn.SplitShuffleUnit(8, 8, rng=1), nn.SplitShuffleUnit(8, 8, rng=2)
    ),
    "shuffle units, megvii": lambda: nn.Sequential(
        nn.SplitShuffleUnit(4, 8, 2, "megvii", 0), *(nn.SplitShuffleUnit(8, 8, 1, "megvii", k) for k in (1, 2))
    ),
    "chain": lambda: nn.Sequential(nn.ConvBNAct(4, 4, 1, rng=0), nn.GhostBottleneck(4, 8, 4, rng=1), nn.ReLU6()),
}


def block(name):
    """A block in float64 whose batch norms are not the identity."""
    module, rng = BLOCKS[name]().astype(np.float64), np.random.default_rng(1)
    for p in module.parameters():
        p.data += 0.2 * rng.normal(size=p.shape)
    for path, buffer in module.named_buffers():
        buffer.data += 0.2 * rng.uniform(size=buffer.data.shape) * (1 if path.endswith("var") else rng.choice([-1, 1]))
    return module


def operate(module, rng, times):
    """Change a module at random places; returns what was done, in words."""
    done = []
    while len(done) < times:
        operation = OPERATIONS[rng.integers(len(OPERATIONS))]
        words = operation(module, rng)
        if words:
            done.append(f"{operation.__name__.strip('_')}: {words}")
    return done


class Twice(nn.Module):
    """A user's activation."""

    def forward(self, x):
        self._cache = x
        return x + np.abs(x) / 2

    def backward(self, dout):
        return dout * (1 + np.sign(self._cache) / 2)


class Shifted(nn.BatchNorm2d):
    """A user's batch norm."""

    def forward(self, x):
        return super().forward(x) + 1.0


class Halved(nn.Conv2d):
    """A user's convolution."""

    def forward(self, x):
        return super().forward(x) / 2

    def backward(self, dout):
        return super().backward(dout / 2)


class Unit(nn.ConvBNAct):
    """A user's unit: what its batch norm sees is shrunk, and so is what comes back."""

    def maps(self, x):
        return super().maps(x) * 1.0

    def backward(self, dout):
        return super().backward(dout * 0.5)


class Module(nn.GhostModule):
    """A user's ghost module."""

    def forward(self, x):
        return super().forward(x * 2.0)


def _pick(module, rng, kind):
    """One of the modules inside (path, module, owner, name) of this kind."""
    found = []
    for outer, owner in module.named_modules():
        for name, child in owner.named_children():
            if isinstance(child, kind):
                found.append((f"{outer}.{name}".lstrip("."), child, owner, name))
    return found[rng.integers(len(found))] if found else None


def _put(owner, name, child):
    if isinstance(owner, nn.Sequential):
        owner[int(name)] = child
    else:
        setattr(owner, name, child)


def _mode(module, rng):
    path, child, _, _ = _pick(module, rng, nn.Module)
    child.eval()
    return path


def _freeze_batch_norms(module, rng):
    for m in module.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.eval()
    return "all"


def _activation(module, rng):
    path, unit, _, _ = _pick(module, rng, nn.ConvBNAct) or (None,) * 4
    if unit is None:
        return None
    unit.act = [nn.ReLU6, nn.HardSwish, Twice, nn.Identity, nn.ReLU, lambda: nn.Dropout(0.4, 3)][rng.integers(6)]()
    return f"{path}.act = {type(unit.act).__name__}"


def _other_activation(module, rng):
    found = _pick(module, rng, (nn.ReLU, nn.HardSigmoid, nn.ReLU6))
    if found is None:
        return None
    path, _, owner, name = found
    _put(owner, name, [nn.HardSwish, nn.ClipGate, Twice, nn.Identity][rng.integers(4)]())
    return f"{path} = {type(getattr(owner, name, None)).__name__}"


def _relu(module, rng):
    found = _pick(module, rng, nn.BatchNorm2d)
    if found is None:
        return None
    path, bn, _, _ = found
    bn.relu = not bn.relu
    return f"{path} {bn.relu}"


def _statistics(module, rng):
    found = _pick(module, rng, nn.BatchNorm2d)
    if found is None:
        return None
    path, bn, _, _ = found
    bn.eps, bn.momentum = 0.1, 0.7
    return path


def _bias(module, rng):
    found = _pick(module, rng, nn.Conv2d)
    if found is None:
        return None
    path, conv, _, _ = found
    conv.bias = nn.Parameter(rng.normal(size=conv.weight.shape[3]))
    return path


def _convolution(module, rng):
    """Another one of the same channels: kernel, stride, padding, groups as they come."""
    found = _pick(module, rng, nn.Conv2d)
    if found is None:
        return None
    path, old, owner, name = found
    C, OC, G = old.weight.shape[2] * old.groups, old.weight.shape[3], old.groups
    K = int(rng.choice([1, 3, 5]))
    groups = int(rng.choice([g for g in range(1, C + 1) if C % g == OC % g == 0]))
    stride, dilation = int(rng.choice([1, 1, 2])), int(rng.choice([1, 1, 2]))
    kind = [nn.Conv2d, Halved][rng.integers(2)]
    new = kind(C, OC, K, stride, dilation * (K // 2), dilation, groups, bool(rng.integers(2)), rng=5)
    setattr(owner, name, new.astype(np.float64))
    return f"{path}: {kind.__name__} {K}x{K}, stride {stride}, dilation {dilation}, groups {G} -> {groups}"


def _geometry(module, rng):
    """The attributes alone."""
    found = _pick(module, rng, nn.Conv2d)
    if found is None:
        return None
    path, conv, _, _ = found
    what = ["stride", "padding", "dilation"][rng.integers(3)]
    value = {"stride": [(2, 2), 1], "padding": [(2, 1), 1], "dilation": [(2, 2), 1]}[what][rng.integers(2)]
    setattr(conv, what, value)
    return f"{path}.{what} = {value}"


def _batch_norm(module, rng):
    found = _pick(module, rng, nn.BatchNorm2d)
    if found is None:
        return None
    path, old, owner, name = found
    kind = [nn.BatchNorm2d, Shifted, nn.Identity][rng.integers(3)]
    new = nn.Identity() if kind is nn.Identity else kind(old.weight.size, relu=bool(rng.integers(2)))
    setattr(owner, name, new.astype(np.float64))
    return f"{path} = {kind.__name__}"


def _unit(module, rng):
    """A unit of a user's class, or something else in its place."""
    found = _pick(module, rng, nn.ConvBNAct)
    if found is None:
        return None
    path, old, owner, name = found
    C, OC = old.conv.weight.shape[2] * old.conv.groups, old.conv.weight.shape[3]
    make = [
        lambda: Unit(C, OC, 3, rng=2),
        lambda: nn.Conv2d(C, OC, 1, rng=2),
        lambda: nn.Sequential(nn.Conv2d(C, OC, 1, rng=2), nn.BatchNorm2d(OC), Twice()),
        lambda: nn.ConvBNAct(C, OC, 3, act="hard_swish", rng=2),
        lambda: nn.GhostModule(C, OC, 1, rng=2),
    ][rng.integers(5)]
    _put(owner, name, make().astype(np.float64))
    return path


def _ghost(module, rng):
    found = _pick(module, rng, nn.GhostModule)
    if found is None:
        return None
    path, old, owner, name = found
    C, OC = old.primary.conv.weight.shape[2], old.out_channels
    make = [
        lambda: nn.GhostModule(C, OC, 3, rng=2),
        lambda: nn.GhostModule(C, OC, 1, ratio=3, rng=2),
        lambda: Module(C, OC, 1, rng=2),
        lambda: nn.ConvBNAct(C, OC, 1, rng=2),
        lambda: nn.GhostModule(C, OC, 1, act=True, dw_size=5, rng=2),
        lambda: nn.ResidualBlock(C, OC, rng=2),
    ][rng.integers(6)]
    _put(owner, name, make().astype(np.float64))
    return path


def _part(module, rng):
    """The parts of a bottleneck: gate, depthwise convolution, shortcut."""
    bottlenecks = [m for m in module.modules() if isinstance(m, nn.GhostBottleneck)]
    if not bottlenecks:
        return None
    b = bottlenecks[rng.integers(len(bottlenecks))]
    what = ["se", "depthwise", "shortcut"][rng.integers(3)]
    if what == "se":
        b.se = [
            lambda: None,
            lambda: nn.SqueezeExcite(8, 3, gate="clip", rng=4),
            nn.Identity,
            Twice,
            lambda: nn.Sequential(nn.SqueezeExcite(8, 3, rng=4), nn.SqueezeExcite(8, 2, rng=4)),
        ][rng.integers(5)]()
    elif what == "depthwise":
        b.depthwise = [nn.Identity(), nn.ConvBNAct(8, 8, 3, groups=8, rng=4), nn.ConvBNAct(8, 8, 1, rng=4)][
            rng.integers(3)
        ]
    else:
        pool = [nn.MaxPool2d(2)] if isinstance(b.shortcut, nn.Sequential) and b.depthwise else []
        b.shortcut = nn.Sequential(*pool, nn.ConvBNAct(4, b.ghost2.out_channels, 1, rng=4))
    for m in (b.se, b.depthwise, b.shortcut):
        if m is not None:
            m.astype(np.float64)
    return what


def _instance(module, rng):
    """A method of this very object."""
    path, child, _, _ = _pick(module, rng, nn.Module)
    forward, backward = child.forward, child.backward
    if rng.integers(2):
        child.forward = lambda *args, **options: forward(*args, **options) * 1.5
    child.backward = lambda dout: backward(dout * 1.5)
    return path


def _dtype(module, rng):
    values = [p for _, p in module._named((nn.Parameter, nn.Buffer))]
    value = values[rng.integers(len(values))]
    hold(value, value.data.astype(np.float32))
    return "one of them"


def _layout(module, rng):
    """The same numbers in another order of memory."""
    for p in module.parameters():
        hold(p, np.asfortranarray(p.data) if rng.integers(2) else np.repeat(p.data, 2, axis=0)[::2])
    return "all"


def _another_kernel(module, rng):
    """Only the weight: the attribute `kernel_size` is left as it was."""
    found = _pick(module, rng, nn.Conv2d)
    if found is None:
        return None
    path, conv, _, _ = found
    conv.weight = nn.Parameter(rng.normal(size=(5, 3, *conv.weight.shape[2:])))
    return path


def _vectors(module, rng):
    """Batch norm of another width: an error, in both ways of going."""
    found = _pick(module, rng, nn.BatchNorm2d)
    if found is None:
        return None
    path, bn, _, _ = found
    bn.weight = nn.Parameter(rng.normal(size=bn.weight.size + 1))
    return path


def _extra(module, rng):
    path, child, _, _ = _pick(module, rng, nn.Module)
    if isinstance(child, nn.Chain):
        return None
    child.extra, child.note = nn.ReLU(), "seen"
    return path


def _tied_parameters(module, rng):
    convs = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
    a, b = (convs[k] for k in rng.integers(len(convs), size=2))
    if a is b or a.weight.shape != b.weight.shape:
        return None
    a.weight = b.weight
    return "weights"


def _tied_batch_norms(module, rng):
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    if len(norms) < 2:
        return None
    a, b = (norms[k] for k in rng.integers(len(norms), size=2))
    if a is b or a.weight.size != b.weight.size:
        return None
    a.weight, a.running_mean = b.weight, b.running_mean
    return "vectors"


def _shared_module(module, rng):
    """One layer in two places; its second forward overwrites what the first kept, so that backward refuses."""
    path, child, owner, name = _pick(module, rng, (nn.Conv2d, nn.BatchNorm2d, nn.ConvBNAct))
    others = [
        (o, n, c)
        for o in module.modules()
        for n, c in o.named_children()
        if type(c) is type(child)
        and c is not child
        and [p.shape for p in c.parameters()] == [p.shape for p in child.parameters()]
    ]
    if not others:
        return None
    owner, name, _ = others[rng.integers(len(others))]
    _put(owner, name, child)
    return path


OPERATIONS = [
    _mode,
    _freeze_batch_norms,
    _activation,
    _other_activation,
    _relu,
    _statistics,
    _bias,
    _convolution,
    _geometry,
    _batch_norm,
    _unit,
    _ghost,
    _part,
    _instance,
    _dtype,
    _layout,
    _another_kernel,
    _vectors,
    _extra,
    _tied_parameters,
    _tied_batch_norms,
    _shared_module,
]
