"""minighost itself, through its public face."""

import numpy as np

import minighost as mg
from minighost.bench import TrainingStep, inference_of
from versus import networks, works
from versus.peers import Runner

__all__ = ["arrays", "build"]


def build(work, threads, variant):
    """A training step, inference, or an operation."""
    mg.threads(threads)
    return {"train": _train, "infer": _infer}.get(work.kind, _operation)(work)


def _train(work):
    x, labels = works.inputs(work)
    model = networks.create(work.subject, **work.options)
    step = TrainingStep(model, x, labels, work.lr)

    def check():
        logits = model(x).copy()
        loss = step()
        after = model(x).copy()
        running = model.eval()(x).copy()
        model.train()
        mg.ops.release_pool()  # what only this check needs is not a training step's
        return {"logits": logits, "loss": np.array(loss), "logits after a step": after, "with running means": running}

    return Runner(step, check)


def _infer(work):
    x, _ = works.inputs(work)
    run = inference_of(networks.create(work.subject, **work.options))
    return Runner(lambda: run(x), lambda: {"logits": run(x).copy()})


def arrays(work):
    """What an operation is applied to: its weights by name, and the gradient that comes back; the same everywhere."""
    x, _ = works.inputs(work)
    rng = np.random.default_rng(3)
    C, K = work.shape[3], work.options.get("kernel", 1)
    out = work.options.get("out", C)
    shapes = {
        "conv": {"w": (K, K, C, out)},
        "depthwise": {"w": (K, K, C, 1)},
        "pointwise": {"w": (C, out)},
        "batch_norm_relu": {"gamma": (C,), "beta": (C,)},
    }[work.subject]
    weights = {name: rng.normal(0.5, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    dout = rng.normal(size=(*work.shape[:3], out)).astype(np.float32)
    return _off_the_kink(x, **weights) if work.subject == "batch_norm_relu" else x, weights, dout


def _off_the_kink(x, gamma, beta):
    """Where batch norm gives almost 0, rounding decides whether the ReLU lets a gradient through: move away from it."""
    std = x.std((0, 1, 2), dtype=np.float64)
    y = gamma * (x - x.mean((0, 1, 2), dtype=np.float64)) / std + beta
    return x + ((np.abs(y) < 1e-4) * (1e-3 * std / gamma)).astype(np.float32)


def _operation(work):
    x, weights, dout = arrays(work)
    forward, backward = _functions(work, weights)

    def both():
        out, cache = forward(x)
        return out, backward(dout, cache)

    def check():
        out, grads = both()
        names = ["dx", *(f"d{name}" for name in weights)]
        found = {"out": out.copy(), **dict(zip(names, (np.array(g) for g in grads if g is not None), strict=True))}
        return found if work.kind == "both" else {"out": found["out"]}

    return Runner(both if work.kind == "both" else lambda: forward(x), check)


def _functions(work, weights):
    ops, padding = mg.ops, work.options.get("kernel", 1) // 2
    if work.subject == "conv":
        return lambda x: ops.conv2d_forward(x, weights["w"], padding=padding), ops.conv2d_backward
    if work.subject == "depthwise":
        return lambda x: ops.depthwise_forward(x, weights["w"], padding=padding), ops.depthwise_backward
    if work.subject == "pointwise":
        return lambda x: ops.pointwise_forward(x, weights["w"]), ops.pointwise_backward
    mean, var = np.zeros(work.shape[3], np.float32), np.ones(work.shape[3], np.float32)
    gamma, beta = weights["gamma"], weights["beta"]
    return (
        lambda x: ops.batch_norm_forward(x, gamma, beta, mean, var, training=True, relu=True),
        ops.batch_norm_backward,
    )
