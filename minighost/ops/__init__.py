"""The mathematics: pure functions, each with a reference twin and a backward written by hand.

``out, cache = NAME_forward(x, ...)`` and ``dx, ... = NAME_backward(dout, cache)``; the reference twins carry the suffix
``_reference`` and live in the same file, above the compiled ones. Activations are (N, H, W, C).

What a file offers is in its own ``__all__``; `__all__` here is all of these together.
"""

from types import ModuleType as _Module

from minighost.engine.launch import threads as threads
from minighost.engine.memory import pool_bytes as pool_bytes
from minighost.engine.memory import release_pool as release_pool
from minighost.ops.activations import *
from minighost.ops.adaptive_avg_pool import *
from minighost.ops.adaptive_max_pool import *
from minighost.ops.add import *
from minighost.ops.avg_pool import *
from minighost.ops.batch_norm import *
from minighost.ops.channel_shuffle import *
from minighost.ops.concat import *
from minighost.ops.conv2d import *
from minighost.ops.conv_transpose2d import *
from minighost.ops.crelu import *
from minighost.ops.cross_entropy import *
from minighost.ops.depth_to_space import *
from minighost.ops.depthwise import *
from minighost.ops.dropout import *
from minighost.ops.flatten import *
from minighost.ops.focal_loss import *
from minighost.ops.global_avg_pool import *
from minighost.ops.global_max_pool import *
from minighost.ops.im2col import *
from minighost.ops.l1_loss import *
from minighost.ops.linear import *
from minighost.ops.local_response_norm import *
from minighost.ops.max_pool import *
from minighost.ops.pad import *
from minighost.ops.pointwise import *
from minighost.ops.resize_bilinear import *
from minighost.ops.resize_nearest import *
from minighost.ops.scale import *
from minighost.ops.scale_map import *
from minighost.ops.shift import *
from minighost.ops.shift_max import *
from minighost.ops.softmax import *
from minighost.ops.space_to_batch import *
from minighost.ops.stochastic_depth import *
from minighost.ops.subsample import *
from minighost.ops.transposed_methods import *

__all__ = sorted(name for name, value in globals().items() if not (name.startswith("_") or isinstance(value, _Module)))
