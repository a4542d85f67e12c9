"""Fused kernels: convolution, batch norm, ReLU, gate and sum in as few passes over memory as there can be.

They are implementations of what `minighost.ops` states plainly: each is tested equal to the composition of the plain
operations. Read `pending` first. Only shapes that fit may be passed, in C-contiguous arrays of one dtype, as `nn.fused`
does: nothing here checks them again.
"""

from minighost.ops.fused.depthwise import depthwise_backward, depthwise_forward
from minighost.ops.fused.gate import gate_backward, plane_mean
from minighost.ops.fused.pending import Pending, PendingGradient, measure, pass_back, plain
from minighost.ops.fused.pointwise import pointwise_backward, pointwise_forward
from minighost.ops.fused.residual import residual_backward, residual_forward

__all__ = [
    "Pending", "PendingGradient", "depthwise_backward", "depthwise_forward", "gate_backward", "measure", "pass_back",
    "plain", "plane_mean", "pointwise_backward", "pointwise_forward", "residual_backward", "residual_forward",
]  # fmt: skip
