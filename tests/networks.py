"""The laws that every network obeys, whatever its family; tests of a family call them on a narrow one."""

import numpy as np
from folds import assert_folds, nodes_of, perturbed
from numpy.testing import assert_allclose

from minighost import analysis, data, models, nn, ops
from minighost.nn import fold_nodes
from minighost.train.optim import SGD, AdamW

__all__ = ["check_count", "check_folds", "check_fuses", "check_gradients", "check_learns", "count"]

GROUPS = 12  # of parameters whose gradients are checked together


def count(model, shape):
    """Parameters and multiply-adds of a network for one image (H, W, C)."""
    rows = analysis.count(model, shape)
    return sum(row.params for row in rows), sum(row.macs for row in rows)


def check_count(name, options, side, classes, expected):
    """The numbers of a published network, built without its weights."""
    with nn.without_weights():
        model = models.create(name, **options, num_classes=classes)
    assert count(model, (side, side, 3)) == expected


def check_gradients(model, shape, tolerance=1e-5):
    """The backward against central differences in float64, in random directions: of x, and of groups of parameters.

    Parameters
    ----------
    model : Module
        In training mode, without dropout. It is converted and changed.
    shape : tuple
        (N, H, W, C) of the input.
    tolerance : float
        Relative to the largest slope of all directions.
    """
    rng = np.random.default_rng(0)
    model = model.astype(np.float64)
    x = rng.normal(size=shape)
    dout = rng.normal(size=model(x).shape)
    dx = model.backward(dout)
    named = list(model.named_parameters())
    groups = [[("x", x, dx)]]
    groups += [[(path, p.data, p.grad.copy()) for path, p in named[k::GROUPS]] for k in range(min(GROUPS, len(named)))]
    slopes, numeric = [], []
    for group in groups:
        directions = [rng.normal(size=value.shape) * np.abs(value).max(initial=1e-2) for _, value, _ in group]
        slopes.append(sum((grad * d).sum() for (_, _, grad), d in zip(group, directions, strict=True)))
        values = []
        for h in (1e-9, -1e-9):  # short, for a network has many kinks
            start = [value.copy() for _, value, _ in group]
            for (_, value, _), d in zip(group, directions, strict=True):
                value += h * d
            values.append((model(x) * dout).sum())
            for (_, value, _), before in zip(group, start, strict=True):
                value[...] = before
        numeric.append((values[0] - values[1]) / 2e-9)
    for k, group in enumerate(groups):
        where = ", ".join(path for path, _, _ in group)
        assert_allclose(slopes[k], numeric[k], rtol=tolerance, atol=tolerance * max(map(abs, numeric)), err_msg=where)


def check_fuses(model, shape):
    """A step in training computes the same with fused kernels and layer by layer: output, gradients, statistics."""
    rng = np.random.default_rng(0)
    model = perturbed(model).train()
    x, state, answers = rng.normal(size=shape), model.state_dict(), []
    for on in (False, True):
        model.load_state_dict(state).zero_grad()
        with nn.fusing(on):
            out = model(x)
            dx = model.backward(np.random.default_rng(3).normal(size=out.shape))
        gradients = {path: p.grad.copy() for path, p in model.named_parameters()}
        answers.append(
            {"out": out, "dx": dx, **gradients, **{path: b.data.copy() for path, b in model.named_buffers()}}
        )
    for path, plain in answers[0].items():
        scale = np.abs(plain).max(initial=1e-3)
        assert_allclose(answers[1][path], plain, rtol=1e-9, atol=1e-9 * scale, err_msg=path)


def check_folds(model, shape):
    """In evaluation a fold computes what the layers do, and no layer is called as one that nobody knows."""
    rng = np.random.default_rng(0)
    f = assert_folds(perturbed(model), rng.normal(size=shape))
    assert not [node for node in nodes_of(f) if isinstance(node, fold_nodes.Plain)]


def check_learns(model, steps=20, images=20, lr=0.05, every=2, adam=False):
    """Steps of gradient descent on images of shapes10, of which every second pixel is taken, lower the loss.

    `adam` is for networks without batch norm, which start slowly.
    """
    drawn = data.shapes10(images, seed=0)
    x, labels = ((drawn.images[:, ::every, ::every] / 255.0 - 0.5) / 0.25).astype(np.float32), drawn.labels
    parameters, losses = list(model.train().parameters()), []
    optimizer = AdamW(parameters, lr=lr) if adam else SGD(parameters, lr=lr, momentum=0.9)
    for _ in range(steps):
        loss, dout = ops.softmax_cross_entropy(model(x), labels)
        model.zero_grad()
        model.backward(dout)
        optimizer.step()
        losses.append(loss)
    assert np.mean(losses[-3:]) < 0.8 * losses[0], losses
