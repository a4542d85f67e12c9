"""Take one step downhill, with momentum.

Stochastic gradient descent moves a parameter p against its gradient g. A narrow valley makes it swing from side to
side; a buffer b, a running sum of gradients that slowly forgets, lets the swings cancel and the way along the valley
add up (Sutskever et al. 2013). One step, in PyTorch's form:

    g <- g + weight_decay * p                   a pull towards 0, as if the loss had weight_decay/2 * p**2 in it
    b <- momentum * b + g                       the buffer; it starts as zeros
    p <- p - lr * b                             plain
    p <- p - lr * (g + momentum * b)            Nesterov, with the new b: as if one step further on already

Nesterov's line uses the g of the first line, decay included. Beware of other conventions: some papers put lr into the
buffer (b <- momentum*b + lr*g), which differs as soon as lr changes; some scale g by 1 - momentum. Do neither here.

Return new arrays and leave the arguments unchanged. With momentum = 0 the buffer is just g.

A small example: p = 0, g = 1 twice, lr = 1, momentum = 0.5. Plain: b is 1, then 1.5; p is -1, then -2.5. Nesterov: b is
the same; p is -(1 + 0.5) = -1.5, then -1.5 - (1 + 0.75) = -3.25.
"""

# Yours --------------------------------------------------------------------------------------------------------


def sgd_step(p, g, b, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    """Parameter p, gradient g and buffer b, of one shape -> new p, new b."""
    g = g + weight_decay * p
    b = momentum * b + g
    step = g + momentum * b if nesterov else b
    return p - lr * step, b
