"""Fused kernels: convolution, batch norm, ReLU, gate and sum in as few passes over memory as there can be.

They are the compiled twins of the operations beside this folder: with nothing to fuse they *are* these operations, and
with something each is tested equal to the composition of plain ones. Read `pending` first. Only shapes that fit may be
passed, in plain arrays (`engine.check`) of one dtype, as `nn.fused` does: nothing here checks them again.
"""

from minighost.engine.kernels.border import cut, settle
from minighost.engine.kernels.conv import conv_backward, conv_forward
from minighost.engine.kernels.depthwise import depthwise_backward, depthwise_forward
from minighost.engine.kernels.gate import gate_backward, plane_mean
from minighost.engine.kernels.pending import Pending, PendingGradient, measure, pass_back, plain, plain_gradient
from minighost.engine.kernels.pointwise import pointwise_backward, pointwise_forward
from minighost.engine.kernels.rectified_sum import rectified_sum_backward, rectified_sum_forward
from minighost.engine.kernels.residual import residual_backward, residual_forward

__all__ = [
    "Pending", "PendingGradient", "conv_backward", "conv_forward", "cut", "depthwise_backward", "depthwise_forward",
    "gate_backward", "measure", "pass_back", "plain", "plain_gradient", "plane_mean", "pointwise_backward",
    "pointwise_forward", "rectified_sum_backward", "rectified_sum_forward", "residual_backward", "residual_forward",
    "settle",
]  # fmt: skip
