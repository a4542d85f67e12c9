"""The operations of `ops` for layers: the same functions, which also take and return lazy values.

A function says in a few lines what it leaves for later. Where an argument is not lazy, or not in the way that is asked
for, arrays go to the function of the same name in `ops`. Read `values`, then `gradients`.
"""

from minighost.nn.functional.activations import (
    activation_backward,
    activation_forward,
    crelu_backward,
    crelu_forward,
)
from minighost.nn.functional.calls import fusing
from minighost.nn.functional.conv import conv2d_backward, conv2d_forward
from minighost.nn.functional.joins import (
    add,
    add_backward,
    add_forward,
    concat_backward,
    concat_forward,
    first_channels_backward,
    first_channels_forward,
)
from minighost.nn.functional.norm import batch_norm_backward, batch_norm_forward
from minighost.nn.functional.shift_max import shift_max_backward, shift_max_forward
from minighost.nn.functional.shuffle import (
    channel_shuffle_backward,
    channel_shuffle_forward,
    channel_unshuffle_backward,
    channel_unshuffle_forward,
    split_channels_backward,
    split_channels_forward,
)
from minighost.nn.functional.squeeze import (
    global_avg_pool_backward,
    global_avg_pool_forward,
    scale_backward,
    scale_forward,
    scale_map_backward,
    scale_map_forward,
)
from minighost.nn.functional.values import Lazy, materialize

__all__ = [
    "Lazy",
    "activation_backward",
    "activation_forward",
    "add",
    "add_backward",
    "add_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "channel_shuffle_backward",
    "channel_shuffle_forward",
    "channel_unshuffle_backward",
    "channel_unshuffle_forward",
    "concat_backward",
    "concat_forward",
    "conv2d_backward",
    "conv2d_forward",
    "crelu_backward",
    "crelu_forward",
    "first_channels_backward",
    "first_channels_forward",
    "fusing",
    "global_avg_pool_backward",
    "global_avg_pool_forward",
    "materialize",
    "scale_backward",
    "scale_forward",
    "scale_map_backward",
    "scale_map_forward",
    "shift_max_backward",
    "shift_max_forward",
    "split_channels_backward",
    "split_channels_forward",
]
