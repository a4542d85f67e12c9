"""The mathematics: pure functions, each with a reference twin and a backward written by hand.

``out, cache = NAME_forward(x, ...)`` and ``dx, ... = NAME_backward(dout, cache)``; the reference twins carry the suffix
``_reference`` and live in the same file, above the compiled ones. Activations are (N, H, W, C).
"""

from minighost.ops.batch_norm import *
from minighost.ops.buffers import *
from minighost.ops.conv2d import *
from minighost.ops.crelu import *
from minighost.ops.cross_entropy import *
from minighost.ops.depthwise import *
from minighost.ops.dropout import *
from minighost.ops.engine import threads as threads
from minighost.ops.hard import *
from minighost.ops.im2col import *
from minighost.ops.join import *
from minighost.ops.linear import *
from minighost.ops.pointwise import *
from minighost.ops.pooling import *
from minighost.ops.relu import *
from minighost.ops.scale import *
