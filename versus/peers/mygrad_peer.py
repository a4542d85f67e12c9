"""MyGrad, a teaching framework on NumPy with a tape: the plain convolution."""

import mygrad
import numpy as np
from mygrad.nnet.layers import conv_nd

from versus.peers import Runner
from versus.peers.minighost_peer import arrays

__all__ = ["build"]


def build(work, threads, variant):
    """A convolution; NumPy's BLAS takes its threads from the environment, which the worker's start has set."""
    mygrad.turn_memory_guarding_off()  # faster, as its manual advises for what is known to work
    x, weights, dout = arrays(work)
    x = mygrad.tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    w = mygrad.tensor(np.ascontiguousarray(weights["w"].transpose(3, 2, 0, 1)))
    dout, padding = np.ascontiguousarray(dout.transpose(0, 3, 1, 2)), work.options["kernel"] // 2

    def forward():
        return conv_nd(x, w, stride=1, padding=padding)

    def both():
        out = forward()
        out.backward(dout)
        return out

    def check():
        out = both().data.transpose(0, 2, 3, 1)
        if work.kind == "forward":
            return {"out": out}
        return {"out": out, "dx": x.grad.transpose(0, 2, 3, 1), "dw": w.grad.transpose(2, 3, 1, 0)}

    return Runner(both if work.kind == "both" else forward, check)
