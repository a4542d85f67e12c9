"""The mathematics: pure functions, each with a reference twin and a backward written by hand.

``out, cache = NAME_forward(x, ...)`` and ``dx, ... = NAME_backward(dout, cache)``; the reference twins carry the suffix
``_reference`` and live in the same file, above the compiled ones. Activations are (N, H, W, C).
"""

from minighost.engine.launch import threads
from minighost.engine.memory import pool_bytes, release_pool
from minighost.ops.add import add_backward, add_backward_reference, add_forward, add_forward_reference
from minighost.ops.avg_pool import (
    avg_pool_backward,
    avg_pool_backward_reference,
    avg_pool_forward,
    avg_pool_forward_reference,
)
from minighost.ops.batch_norm import (
    batch_norm_backward,
    batch_norm_backward_reference,
    batch_norm_forward,
    batch_norm_forward_reference,
)
from minighost.ops.concat import concat_backward, concat_backward_reference, concat_forward, concat_forward_reference
from minighost.ops.conv2d import conv2d_backward, conv2d_backward_reference, conv2d_forward, conv2d_forward_reference
from minighost.ops.crelu import crelu_backward, crelu_backward_reference, crelu_forward, crelu_forward_reference
from minighost.ops.cross_entropy import softmax, softmax_cross_entropy, softmax_cross_entropy_reference
from minighost.ops.depthwise import (
    depthwise_backward,
    depthwise_backward_reference,
    depthwise_forward,
    depthwise_forward_reference,
)
from minighost.ops.dropout import dropout_backward, dropout_forward
from minighost.ops.global_avg_pool import (
    global_avg_pool_backward,
    global_avg_pool_backward_reference,
    global_avg_pool_forward,
    global_avg_pool_forward_reference,
)
from minighost.ops.hard import (
    clip_gate_backward,
    clip_gate_backward_reference,
    clip_gate_forward,
    clip_gate_forward_reference,
    hard_sigmoid_backward,
    hard_sigmoid_backward_reference,
    hard_sigmoid_forward,
    hard_sigmoid_forward_reference,
    hard_swish_backward,
    hard_swish_backward_reference,
    hard_swish_forward,
    hard_swish_forward_reference,
)
from minighost.ops.im2col import col2im, col2im_reference, im2col, im2col_reference
from minighost.ops.linear import linear_backward, linear_backward_reference, linear_forward, linear_forward_reference
from minighost.ops.max_pool import (
    max_pool_backward,
    max_pool_backward_reference,
    max_pool_forward,
    max_pool_forward_reference,
)
from minighost.ops.pointwise import (
    pointwise_backward,
    pointwise_backward_reference,
    pointwise_forward,
    pointwise_forward_reference,
)
from minighost.ops.relu import (
    relu6_backward,
    relu6_backward_reference,
    relu6_forward,
    relu6_forward_reference,
    relu_backward,
    relu_backward_reference,
    relu_forward,
    relu_forward_reference,
)
from minighost.ops.scale import scale_backward, scale_backward_reference, scale_forward, scale_forward_reference

__all__ = [
    "add_backward",
    "add_backward_reference",
    "add_forward",
    "add_forward_reference",
    "avg_pool_backward",
    "avg_pool_backward_reference",
    "avg_pool_forward",
    "avg_pool_forward_reference",
    "batch_norm_backward",
    "batch_norm_backward_reference",
    "batch_norm_forward",
    "batch_norm_forward_reference",
    "clip_gate_backward",
    "clip_gate_backward_reference",
    "clip_gate_forward",
    "clip_gate_forward_reference",
    "col2im",
    "col2im_reference",
    "concat_backward",
    "concat_backward_reference",
    "concat_forward",
    "concat_forward_reference",
    "conv2d_backward",
    "conv2d_backward_reference",
    "conv2d_forward",
    "conv2d_forward_reference",
    "crelu_backward",
    "crelu_backward_reference",
    "crelu_forward",
    "crelu_forward_reference",
    "depthwise_backward",
    "depthwise_backward_reference",
    "depthwise_forward",
    "depthwise_forward_reference",
    "dropout_backward",
    "dropout_forward",
    "global_avg_pool_backward",
    "global_avg_pool_backward_reference",
    "global_avg_pool_forward",
    "global_avg_pool_forward_reference",
    "hard_sigmoid_backward",
    "hard_sigmoid_backward_reference",
    "hard_sigmoid_forward",
    "hard_sigmoid_forward_reference",
    "hard_swish_backward",
    "hard_swish_backward_reference",
    "hard_swish_forward",
    "hard_swish_forward_reference",
    "im2col",
    "im2col_reference",
    "linear_backward",
    "linear_backward_reference",
    "linear_forward",
    "linear_forward_reference",
    "max_pool_backward",
    "max_pool_backward_reference",
    "max_pool_forward",
    "max_pool_forward_reference",
    "pointwise_backward",
    "pointwise_backward_reference",
    "pointwise_forward",
    "pointwise_forward_reference",
    "pool_bytes",
    "release_pool",
    "relu6_backward",
    "relu6_backward_reference",
    "relu6_forward",
    "relu6_forward_reference",
    "relu_backward",
    "relu_backward_reference",
    "relu_forward",
    "relu_forward_reference",
    "scale_backward",
    "scale_backward_reference",
    "scale_forward",
    "scale_forward_reference",
    "softmax",
    "softmax_cross_entropy",
    "softmax_cross_entropy_reference",
    "threads",
]
