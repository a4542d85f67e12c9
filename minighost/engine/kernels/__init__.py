"""Fused kernels: convolution, batch norm, ReLU, gate and sum in as few passes over memory as there can be.

They are compiled twins of the operations in `ops`: with nothing to fuse they *are* these operations, and
with something each is tested equal to the composition of plain ones. Read `deferred` first. Only shapes that fit may be
passed, in plain arrays (`engine.check`) of one dtype, as `nn.functional` does: nothing here checks them again.
"""

from minighost.engine.kernels.add_relu import add_relu_backward, add_relu_forward
from minighost.engine.kernels.border import activation_backward, materialize
from minighost.engine.kernels.concat_add import concat_add_backward, concat_add_forward
from minighost.engine.kernels.conv import conv_backward, conv_forward
from minighost.engine.kernels.deferred import (
    Deferred,
    DeferredGradient,
    batch_norm_backward,
    finalize_stats,
    plain,
    plain_gradient,
)
from minighost.engine.kernels.depthwise import depthwise_backward, depthwise_forward
from minighost.engine.kernels.gate import gate_backward, plane_mean
from minighost.engine.kernels.permute import permute_backward, permute_forward
from minighost.engine.kernels.pointwise import pointwise_backward, pointwise_forward
from minighost.engine.kernels.repeat import repeat_channels, sum_repeated

__all__ = [
    "Deferred",
    "DeferredGradient",
    "conv_backward",
    "conv_forward",
    "activation_backward",
    "depthwise_backward",
    "depthwise_forward",
    "gate_backward",
    "finalize_stats",
    "batch_norm_backward",
    "plain",
    "plain_gradient",
    "permute_backward",
    "permute_forward",
    "plane_mean",
    "pointwise_backward",
    "pointwise_forward",
    "repeat_channels",
    "sum_repeated",
    "add_relu_backward",
    "add_relu_forward",
    "concat_add_backward",
    "concat_add_forward",
    "materialize",
]
