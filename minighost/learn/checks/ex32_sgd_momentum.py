"""What exercise 32 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same
from minighost.nn.parameter import Parameter
from minighost.train.optim import SGD

HINTS = (
    "Four lines of the task, one after the other, with new names or g = g + ... instead of g += ...",
    "The buffer has no lr in it. lr multiplies what is subtracted from p, at the very end.",
    "The step is b, or g + momentum * b (with the new b and the decayed g) if nesterov; return p - lr * step, b.",
)

WRONG = {
    "uphill": ("p - lr * step", "p + lr * step", r"uphill|sign"),
    "no momentum": ("momentum * b + g\n", "g\n", r"old buffer"),
    "lr in the buffer": ("b = momentum * b + g\n", "b = momentum * b + lr * g\n", r"no lr"),
    "dampened": ("b = momentum * b + g\n", "b = momentum * b + (1 - momentum) * g\n", r"1 - momentum"),
    "returns the old buffer": (
        "    b = momentum * b + g\n    step = g + momentum * b if nesterov else b\n    return p",
        "    s = momentum * b + g\n    step = g + momentum * s if nesterov else s\n    return p",
        r"old buffer",
    ),
    "Nesterov ignored": ("g + momentum * b if nesterov else b", "b", r"nesterov"),
    "Nesterov without g": ("g + momentum * b if", "momentum * b if", r"g \+ momentum"),
    "Nesterov always": ("if nesterov else b", "if True else b", r"plain step"),
    "no decay": ("g = g + weight_decay * p", "g = g + 0 * p", r"weight_decay"),
    "decay away from 0": ("g = g + weight_decay * p", "g = g - weight_decay * p", r"sign of the decay"),
    "decay after the momentum": (
        "return p - lr * step, b",
        "return p - lr * step - weight_decay * p, b",
        r"weight_decay",
    ),
    "writes into the buffer": ("b = momentum * b + g\n", "b *= momentum\n    b += g\n", r"in place"),
    "writes into the gradient": ("g = g + weight_decay * p", "g += weight_decay * p", r"in place"),
    "buffer not returned": ("p - lr * step, b", "p - lr * step", r"must return 2: new p, new b"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    sgd_step = function(mine, "sgd_step")
    p, g, b = np.array([10.0, -20.0]), np.array([1.0, 3.0]), np.array([4.0, 8.0])
    start = "p = [10, -20], g = [1, 3], b = [4, 8], lr = 0.5"
    for options in (
        {},
        {"momentum": 0.25},
        {"momentum": 0.25, "nesterov": True},
        {"weight_decay": 0.1},
        {"momentum": 0.25, "weight_decay": 0.1},
        {"momentum": 0.25, "nesterov": True, "weight_decay": 0.1},
    ):
        said = ", ".join([start, *(f"{name} = {value}" for name, value in options.items())])
        _compare(sgd_step, p, g, b, 0.5, options, f"sgd_step({said})")
    for nesterov in (False, True):
        _like_minighost(sgd_step, nesterov)


def _right(p, g, b, lr, momentum=0.0, nesterov=False, weight_decay=0.0, dampening=0.0):
    decayed = g + weight_decay * p
    buffer = momentum * b + (1 - dampening) * decayed
    return p - lr * (decayed + momentum * buffer if nesterov else buffer), buffer


def _compare(sgd_step, p, g, b, lr, options, what):
    want_p, want_b = _right(p, g, b, lr, **options)
    momentum, decay = options.get("momentum", 0.0), options.get("weight_decay", 0.0)
    known_b = _buffers(p, g, b, lr, momentum, decay)
    got = several(sgd_step(*frozen(p, g, b), lr, **options), "new p, new b", what)
    same(got[1], want_b, f"{what}: new b", hints=known_b)
    plain = _right(p, g, b, lr, momentum, False, decay)[0]
    known_p = [(2 * p - want_p, "uphill: lr * step must be subtracted")]
    if options.get("nesterov"):
        known_p += [
            (plain, "this is the plain step; with nesterov = True it is lr * (g + momentum * b)"),
            (p - lr * momentum * want_b, "Nesterov's step is g + momentum * b; g is left out"),
            (p - lr * (g + decay * p + momentum * b), "momentum * b takes the old buffer; it must be the new one"),
            (p - lr * (g + momentum * want_b), "Nesterov's g must be the one with weight_decay * p in it"),
        ]
    elif momentum:
        known_p += [
            (_right(p, g, b, lr, momentum, True, decay)[0], "this is Nesterov's step; the plain step is lr * b"),
            (p - lr * (g + decay * p), "this is a step along g; with momentum it goes along the new b"),
        ]
    if decay:
        known_p += [
            (want_p - decay * p, "weight_decay * p is subtracted from p too; it enters g, and nothing else"),
            (want_p - lr * decay * p, "weight_decay * p is counted twice; it enters g, and nothing else"),
        ]
    known_p += [(p - want_b, "lr is left out"), (g - lr * want_b, "begins from g; it must begin from p")]
    same(got[0], want_p, f"{what}: new p", hints=known_p)


def _buffers(p, g, b, lr, momentum, decay):
    """Wrong buffers, and what was done to get them."""
    d = g + decay * p
    known = []
    if decay:
        known += [
            (momentum * b + g, "weight_decay * p is not in it: g <- g + weight_decay * p comes first"),
            (momentum * b + g - decay * p, "the sign of the decay: g + weight_decay * p pulls p towards 0"),
        ]
    if momentum:
        known += [
            (d, "this is g; the old buffer, times momentum, is left out"),
            (b + d, "the old buffer must be multiplied by momentum"),
            (momentum * b + (1 - momentum) * d, "g is multiplied by 1 - momentum; here it is not"),
            (b + momentum * d, "momentum multiplies the old buffer, not g"),
        ]
    known += [
        (momentum * b + lr * d, "no lr belongs in the buffer; it multiplies the step at the end"),
        (b, "this is the old buffer; return the new one"),
        (lr * (momentum * b + d), "no lr belongs in the buffer; it multiplies the step at the end"),
    ]
    return known


def _like_minighost(sgd_step, nesterov):
    """Five steps with a rate that falls, beside the optimizer that trains minighost's networks."""
    rng = np.random.default_rng(32)
    p, b = rng.normal(size=(3, 4)), np.zeros((3, 4))
    parameter = Parameter(p.copy())
    optimizer = SGD([parameter], lr=1.0, momentum=0.9, nesterov=nesterov, weight_decay=0.01)
    for k in range(5):
        g, optimizer.lr = rng.normal(size=p.shape), 1 / (k + 1)
        parameter.grad = g.copy()
        optimizer.step()
        p, b = sgd_step(*frozen(p, g, b), lr=1 / (k + 1), momentum=0.9, nesterov=nesterov, weight_decay=0.01)
        same(p, parameter.data, f"step {k + 1} of 5 with a rate that falls, nesterov = {nesterov}: p")
