"""What minighost itself has to check: every operation, both twins, every block, every network."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minighost import models, nn, ops
from minighost.models.registry import ABOUT

__all__ = ["ALL", "NAMES", "perturbed", "pieces"]

# operation, shapes of the inputs, options; sides and channel numbers differ, so that none can stand for another
OPERATIONS: dict[str, tuple[str, dict[str, tuple[int, ...]], dict[str, Any]]] = {
    "conv": ("conv2d", {"x": (2, 5, 4, 3), "w": (3, 3, 3, 4), "b": (4,)}, {"padding": 1}),
    "strided": ("conv2d", {"x": (2, 7, 6, 2), "w": (3, 2, 2, 3), "b": (3,)}, {"stride": (2, 3), "padding": (1, 0)}),
    "dilated": ("conv2d", {"x": (2, 6, 7, 2), "w": (2, 3, 2, 3)}, {"dilation": (3, 2), "padding": 1}),
    "grouped": ("conv2d", {"x": (2, 4, 5, 6), "w": (3, 3, 2, 9), "b": (9,)}, {"padding": 1, "groups": 3}),
    "depthwise": ("depthwise", {"x": (2, 5, 6, 3), "w": (3, 3, 3, 2), "b": (6,)}, {"stride": 2, "padding": 1}),
    "conv_transpose": (
        "conv_transpose2d",
        {"x": (2, 3, 4, 2), "w": (3, 2, 3, 2), "b": (3,)},
        {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2)},
    ),
    "conv_transpose_grouped": (
        "conv_transpose2d",
        {"x": (2, 3, 4, 6), "w": (2, 3, 2, 6), "b": (6,)},
        {"stride": 2, "dilation": (1, 3), "groups": 3},
    ),
    "pointwise": ("pointwise", {"x": (2, 3, 4, 5), "w": (5, 6), "b": (6,)}, {}),
    "linear": ("linear", {"x": (4, 5), "w": (5, 3), "b": (3,)}, {}),
    "max_pool": ("max_pool", {"x": (2, 5, 6, 3)}, {"kernel_size": 3, "stride": 2, "padding": 1}),
    "avg_pool": ("avg_pool", {"x": (2, 5, 6, 3)}, {"kernel_size": 3, "stride": 2, "padding": 1}),
    "max_pool_ceil": ("max_pool", {"x": (2, 6, 5, 3)}, {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    "avg_pool_ceil": (
        "avg_pool",
        {"x": (2, 6, 5, 3)},
        {"kernel_size": 3, "stride": 2, "padding": ((0, 1), (1, 1)), "ceil_mode": True, "count_include_pad": False},
    ),
    "pad": ("pad", {"x": (2, 3, 4, 2)}, {"padding": ((1, 0), (2, 3))}),
    "pad_edge": ("pad", {"x": (2, 3, 4, 2)}, {"padding": ((2, 1), (0, 3)), "mode": "edge"}),
    "flatten": ("flatten", {"x": (2, 3, 4, 5)}, {}),
    "local_response_norm": ("local_response_norm", {"x": (2, 2, 3, 7)}, {"size": 4, "alpha": 0.5}),
    "local_response_norm_caffe": (
        "local_response_norm",
        {"x": (2, 2, 3, 7)},
        {"size": 3, "alpha": 0.7, "beta": 1.2, "form": "caffe"},
    ),
    "softmax": ("softmax", {"x": (2, 3, 4, 5)}, {"axis": 1}),
    "adaptive_avg_pool": ("adaptive_avg_pool", {"x": (2, 5, 7, 2)}, {"output_size": (3, 2)}),
    "adaptive_max_pool": ("adaptive_max_pool", {"x": (2, 5, 7, 2)}, {"output_size": (3, 2)}),
    "global_max_pool": ("global_max_pool", {"x": (2, 3, 4, 5)}, {}),
    "global_avg_pool": ("global_avg_pool", {"x": (2, 3, 4, 5)}, {}),
    "depth_to_space": ("depth_to_space", {"x": (2, 3, 2, 12)}, {"block": (3, 2)}),
    "depth_to_space_crd": ("depth_to_space", {"x": (2, 3, 2, 12)}, {"block": (3, 2), "order": "CRD"}),
    "space_to_depth": ("space_to_depth", {"x": (2, 6, 4, 3)}, {"block": (3, 2)}),
    "space_to_batch": ("space_to_batch", {"x": (2, 6, 4, 3)}, {"block": (3, 2)}),
    "batch_to_space": ("batch_to_space", {"x": (6, 3, 2, 4)}, {"block": (3, 1)}),
    "resize_bilinear": ("resize_bilinear", {"x": (2, 3, 4, 5)}, {"size": (5, 3)}),
    "resize_nearest": ("resize_nearest", {"x": (2, 3, 4, 5)}, {"size": (5, 3)}),
    **{name: (name, {"x": (2, 3, 4, 5)}, {}) for name in ops.ACTIVATIONS},
    "crelu": ("crelu", {"x": (2, 3, 4, 5)}, {}),
    "scale": ("scale", {"x": (2, 3, 4, 5), "gate": (2, 5)}, {}),
    "scale_map": ("scale_map", {"x": (2, 5, 4, 3), "gate": (2, 2, 3, 3)}, {}),
    "shift": ("shift", {"x": (2, 4, 5, 3)}, {"offsets": ((1, -1), (0, 0), (-2, 3))}),
    "shift_edge": ("shift", {"x": (2, 4, 5, 3)}, {"offsets": ((1, -1), (0, 0), (-2, 3)), "border": "edge"}),
    "shift_max": ("shift_max", {"x": (2, 3, 4, 6), "coefficients": (2, 2, 2, 6)}, {"groups": 3}),
    "add": ("add", {"a": (2, 3, 4, 5), "b": (2, 3, 4, 5)}, {}),
    "channel_shuffle": ("channel_shuffle", {"x": (2, 3, 4, 6)}, {"groups": 3}),
    "channel_unshuffle": ("channel_unshuffle", {"x": (2, 3, 4, 6)}, {"groups": 3}),
    "subsample": ("subsample", {"x": (2, 5, 4, 3)}, {"out_channels": 6, "stride": 2}),
    "concat": ("concat", {"a": (2, 3, 4, 2), "b": (2, 3, 4, 3)}, {}),
}

BLOCKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "conv_bn_act": (partial(nn.ConvBNAct, 3, 4, 3, stride=2, rng=0), 3),
    "branches": (partial(nn.ConvBranches, 4, 4, 3, groups=2, branches=2, rng=0), 4),
    "conv_same": (partial(nn.Conv2d, 3, 4, 3, stride=2, padding="same", rng=0), 3),
    "se": (partial(nn.SqueezeExcite, 6, 3, rng=0), 6),
    "ghost": (partial(nn.GhostModule, 4, 6, 3, rng=0), 4),
    "bottleneck": (partial(nn.GhostBottleneck, 4, 8, 6, stride=2, se_hidden=4, rng=0), 4),
    "partial": (partial(nn.PartialConv2d, 5, rng=0), 5),
    "separable": (partial(nn.SeparableConv2d, 3, 4, 3, stride=2, rng=0), 3),
    "spatially_separable": (partial(nn.SpatiallySeparableConv2d, 3, (3, 5), rng=0), 3),
    "micro_depthwise": (partial(nn.MicroDepthwise, 3, 3, 2, 2, 2, rng=0), 3),
    "dynamic_shift_max": (partial(nn.DynamicShiftMax, 6, 3, 4, rng=0), 6),
    "dfc_attention": (partial(nn.DFCAttention, 3, 4, rng=0), 3),
    "residual": (partial(nn.ResidualBlock, 3, 4, stride=2, rng=0), 3),
    "residual_a": (partial(nn.ResidualBlock, 3, 6, stride=2, shortcut="A", rng=0), 3),
    "residual_bottleneck": (partial(nn.Bottleneck, 4, 3, 6, stride=2, rng=0), 4),
    "stochastic_depth": (partial(nn.StochasticDepth, 0.4, rng=0), 3),
    "fire": (partial(nn.Fire, 4, 2, 3, rng=0), 4),
    "whitening": (partial(nn.PatchWhitening, 3, 2), 3),
}
LOSSES = "softmax_cross_entropy", "sigmoid_focal_loss", "l1_loss"  # which return their gradient at once
NAMES = (*OPERATIONS, "im2col", "batch_norm", "batch_norm_relu", *LOSSES, *BLOCKS, *models.names())
NETWORKS = "ghostnet", "ghostnet_short", "quicknet", "resnet20"  # which "all" checks: each takes seconds
ALL = tuple(name for name in NAMES if name not in models.names() or name in NETWORKS)


def pieces(name, seed=0):
    """What to hand to `check` for a name: tuples (words, layer or pair, inputs), one for each twin.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    seed : int
        Of inputs and weights.
    """
    rng = np.random.default_rng(seed)
    if name in OPERATIONS:
        operation, shapes, options = OPERATIONS[name]
        spread = ops.ACTIVATIONS[name].spread if name in ops.ACTIVATIONS else 1.0
        inputs = [spread * rng.normal(size=shape) for shape in shapes.values()]
        return [_named(operation, twin, shapes, options, inputs) for twin in _twins(operation)]
    if name.startswith("batch_norm"):
        inputs = [rng.normal(size=(3, 4, 5, 2)), rng.uniform(0.5, 1.5, 2), rng.normal(size=2)]
        return [_batch_norm(twin, inputs, name.endswith("relu")) for twin in ("", "_reference")]
    if name == "im2col":
        return [_im2col(twin, rng.normal(size=(2, 5, 6, 2))) for twin in ("", "_reference")]
    if name in LOSSES:
        x, options = rng.normal(size=(4, 5)), _loss_options(name, rng)
        return [_loss(f"{name}{twin}", x, options) for twin in ("", "_reference")]
    if name in BLOCKS:
        build, channels = BLOCKS[name]
        layer = perturbed(build(), rng)
        return [(type(layer).__name__, layer, rng.normal(size=(3, 5, 4, channels)))]
    layer, side = perturbed(models.create(name, width=0.25, num_classes=5, rng=0), rng), ABOUT[name].side
    return [(name, layer, rng.normal(size=(6, side, side, 3)))]


def _twins(operation):
    """The suffixes that there are."""
    return [twin for twin in ("", "_reference") if hasattr(ops, f"{operation}_forward{twin}")]


def _named(operation, twin, shapes, options, inputs):
    forward = getattr(ops, f"{operation}_forward{twin}")
    backward = getattr(ops, f"{operation}_backward{twin}")
    return f"{operation}{twin}", (_with_names(partial(forward, **options), shapes), backward), inputs


def _with_names(function, names):
    """The function with the inputs' names where `inspect` finds them; `*xs` has none."""
    from inspect import Parameter, Signature

    def named(*inputs):
        return function(*inputs)

    signature = Signature([Parameter(name, Parameter.POSITIONAL_ONLY) for name in names])
    named.__signature__ = signature  # type: ignore[attr-defined]  # `inspect` looks here first
    return named


def _batch_norm(twin, inputs, relu):
    forward = getattr(ops, f"batch_norm_forward{twin}")

    def training(x, gamma, beta):
        return forward(x, gamma, beta, np.zeros(len(gamma)), np.ones(len(gamma)), True, relu=relu)

    return f"batch_norm{twin}", (training, getattr(ops, f"batch_norm_backward{twin}")), inputs


def _loss_options(name, rng):
    """With all that it can do; the last row is ignored."""
    if name == "softmax_cross_entropy":
        labels, weight = np.array([0, 4, 2, -1]), rng.uniform(0.5, 2, 5)
        return {"labels": labels, "smoothing": 0.1, "weight": weight, "ignore_index": -1}
    if name == "sigmoid_focal_loss":
        return {"labels": np.array([0, 4, -1, -2]), "alpha": 0.3, "gamma": 1.5}
    return {"target": rng.normal(size=(4, 5)), "beta": 0.7}


def _loss(name, x, options):
    forward = partial(getattr(ops, name), **options)
    return name, (forward, lambda dout, dx: dout * dx), [x]


def _im2col(twin, x):
    """col2im is the backward of im2col: where windows overlap, gradients add up."""
    geometry = {"kernel_size": (3, 2), "stride": 2, "padding": 1}

    def forward(x):
        return getattr(ops, f"im2col{twin}")(x, **geometry), x.shape

    def backward(dout, shape):
        return getattr(ops, f"col2im{twin}")(dout, shape, **geometry)

    return f"im2col{twin}", (forward, backward), [x]


def perturbed(layer, rng):
    """Vectors that begin at 0 or 1 would hide a missing factor."""
    for parameter in layer.parameters():
        parameter.data = parameter.data + 0.2 * rng.normal(size=parameter.shape).astype(parameter.data.dtype)
    return layer
