# %% [markdown]
# # Looking inside
#
# The loss does not fall. Why? It is one number; the reason is in the millions behind it. A network under a magnifying
# glass shows most problems at once: activations that shrink or grow from layer to layer, gradients that vanish on their
# way down, units that are zero for every image. We build the glass, then look at each problem through it.
#
# Run it with `python tutorials/14_looking_inside.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn

# %% [markdown]
# ## The glass: wrap two methods
#
# Every module has a `forward` and a `backward`. A function that is set on one *object* hides its class's method. So we
# can slip a recorder between a layer and its callers, and delete it afterwards, without touching any class.


# %%
def watch(model, note):
    """Call note(layer, out, dout) in the backward of each layer; returns a function that undoes this."""
    layers = [layer for layer in model.modules() if not list(layer.children())]

    def wrap(layer):
        forward, backward, seen = layer.forward, layer.backward, {}

        def noting_forward(x):
            seen["out"] = forward(x)
            return seen["out"]

        def noting_backward(dout):
            note(layer, seen["out"], dout)
            return backward(dout)

        layer.forward, layer.backward = noting_forward, noting_backward

    def undo():
        for layer in layers:
            del layer.forward, layer.backward

    for layer in layers:
        wrap(layer)
    return undo


rng = np.random.default_rng(0)
model = nn.Sequential(nn.Linear(8, 16, rng=rng), nn.ReLU(), nn.Linear(16, 4, rng=rng))
x, dout = rng.normal(size=(50, 8)).astype(np.float32), rng.normal(size=(50, 4)).astype(np.float32)
notes = []
undo = watch(model, lambda layer, out, dout: notes.append((type(layer).__name__, out.std(), np.sqrt((dout**2).mean()))))
model(x)
model.backward(dout)
undo()
for name, spread, gradient in reversed(notes):
    print(f"{name:7} output spreads by {spread:.3f}, its gradient has a size of {gradient:.3f}")

# %% [markdown]
# `mg.trace` does this with more care: it names layers by their path, survives errors, and sees between layers that
# training would run in one kernel. It keeps only statistics, not arrays. The numbers are the same.

# %%
with mg.trace(model) as trace:
    model(x)
    model.backward(dout)
print(trace)
assert np.allclose([spread for _, spread, _ in reversed(notes)], [layer.output.std for layer in trace], rtol=1e-4)
assert np.allclose([size for _, _, size in reversed(notes)], [layer.dout.rms for layer in trace], rtol=1e-4)
assert "forward" not in vars(model[0])

# %% [markdown]
# ## Scale through depth
#
# Thirty linear layers of 256 units, each with a ReLU. He et al. (2015) draw weights with variance 2 / inputs: a sum of
# n products has n times the variance, and the ReLU takes half of it away. What if the spread is a little off? A ReLU
# does not mind a factor, so factors multiply: layers with c times the weights end up `c^30` times as large, exactly.

# %%
DEPTH, WIDTH = 30, 256
x, dout = rng.normal(size=(2, 100, WIDTH)).astype(np.float32)


class BatchNormRows(nn.BatchNorm2d):
    """Batch norm of rows (N, C), as images of a single pixel."""

    def forward(self, x):
        return super().forward(x[:, None, None])[:, 0, 0]

    def backward(self, dout):
        return super().backward(dout[:, None, None])[:, 0, 0]


def deep(scale, norm=False):
    """Sizes of outputs and gradients after each ReLU, from the first layer to the last."""
    rng, layers = np.random.default_rng(1), []
    for _ in range(DEPTH):
        linear = nn.Linear(WIDTH, WIDTH, rng=rng)
        linear.weight.data[...] = rng.normal(0, scale * np.sqrt(2 / WIDTH), (WIDTH, WIDTH))
        layers += [linear, BatchNormRows(WIDTH)] if norm else [linear]
        layers.append(nn.ReLU())
    model = nn.Sequential(*layers)
    with mg.trace(model) as trace:
        model(x)
        model.backward(dout)
    relus = [layer for layer in trace if layer.kind == "ReLU"]
    return np.array([[layer.output.rms, layer.dout.rms] for layer in relus]).T


sizes = {scale: deep(scale) for scale in (0.7, 1.0, 1.4)}
for scale, (out, gradient) in sizes.items():
    print(
        f"weights times {scale}: layer 1 {out[0]:.2f}, layer 30 {out[-1]:.2g}; "
        f"gradient at layer 30 {gradient[-1]:.2f}, at layer 1 {gradient[0]:.2g}"
    )
assert 0.2 < sizes[1.0][0][-1] < 5
for scale in (0.7, 1.4):
    assert np.isclose(sizes[scale][0][-1] / sizes[1.0][0][-1], scale**DEPTH, rtol=1e-3)
    assert np.isclose(sizes[scale][1][0] / sizes[1.0][1][0], scale ** (DEPTH - 1), rtol=1e-3)

# %% [markdown]
# 0.7 and 1.4 look harmless; thirty layers turn them into 1/44,000 and 24,000. It is the same for the gradient, which
# goes through the same matrices, transposed. Batch norm brings the outputs of every layer back to one size, whatever
# the weights. Not so the gradient: on its way down it *grows* by a fifth per layer, in plain chains of linear, batch
# norm and ReLU (Yang et al. 2019). That is one reason why deep networks have shortcuts.

# %%
sizes["0.7 with batch norm"] = deep(0.7, norm=True)
out, gradient = sizes["0.7 with batch norm"]
growth = (gradient[0] / gradient[-1]) ** (1 / (DEPTH - 1))
print(f"with batch norm: layer 1 {out[0]:.2f}, layer 30 {out[-1]:.2f}; the gradient grows by {growth:.3f} per layer")
assert np.allclose(out, np.sqrt(0.5), atol=0.05) and abs(growth - 1.21) < 0.03
assert 44_000 < 0.7**-30 < 45_000 and 24_000 < 1.4**30 < 25_000

# %% [markdown]
# ## Dead units
#
# A ReLU whose input is negative for every image outputs zero, always. Then its gradient is zero as well, and the unit's
# own weights stop moving. A few overly long steps are enough. We train a small network on shapes10 for 36 steps and
# count, now and then, which of its 112 channels are zero everywhere on 50 images.

# %%
data = mg.data.shapes10(1000)
mean, std = mg.data.channel_statistics(data.images)
images = mg.data.normalize(data.images, mean, std)
probe, labels = images[:50], data.labels[:50]


def train(rate, norm=False):
    """A network after 36 steps, and how many channels were dead after every fourth."""
    rng, layers = np.random.default_rng(0), []
    for c, n in ((3, 16), (16, 32), (32, 64)):
        conv = [nn.ConvBNAct(c, n, 3, rng=rng)] if norm else [nn.Conv2d(c, n, 3, padding=1, rng=rng), nn.ReLU()]
        layers.append(nn.Sequential(*conv, nn.MaxPool2d(2)))
    model, dead = nn.Sequential(*layers, nn.GlobalAvgPool(), nn.Linear(64, 10, rng=rng)), []
    sgd = mg.train.SGD(model.parameters(), rate, momentum=0.9)
    for step in range(36):
        batch = slice(25 * step, 25 * step + 25)
        _, dlogits = mg.ops.softmax_cross_entropy(model(images[batch]), data.labels[batch])
        model.zero_grad()
        model.backward(dlogits)
        sgd.step()
        if step % 4 == 3:
            maps = [probe]
            for stage in layers:
                maps.append(stage(maps[-1]))
            dead.append(sum((y == 0).all(axis=(0, 1, 2)).sum() for y in maps[1:]))
    return model, dead


runs = {f"rate {rate}{', batch norm' if norm else ''}": train(rate, norm) for rate in (0.1, 0.5) for norm in (0, 1)}
for name, (_, dead) in runs.items():
    print(f"{name:21} dead after every fourth step:", *dead)
small, small_norm, large, large_norm = (dead[-1] for _, dead in runs.values())
assert max(small, small_norm) < 8 and min(large, large_norm) > 20

# %% [markdown]
# Batch norm does not help here: its shift is learnt too, and may become as negative as any bias. What helps is a
# smaller rate. The trace of the ruined network tells the story in its `dead` column. Over the same images, all weights
# of a dead channel have a gradient of exactly zero; only a lucky change in the layers below can wake it.

# %%
model, _ = runs["rate 0.5"]
model.zero_grad()
with mg.trace(model) as trace:
    _, dlogits = mg.ops.softmax_cross_entropy(model(probe), labels)
    model.backward(dlogits)
print(trace)
for stage in range(3):
    without = np.abs(model[stage][0].weight.grad).max(axis=(0, 1, 2)) == 0
    assert without.sum() >= trace[f"{stage}.1"].output.dead
shift = runs["rate 0.5, batch norm"][0][2][0].bn.bias.data
print(f"with batch norm: shifts of the third stage, median {np.median(shift):.2f}, lowest {shift.min():.2f}")
assert sum(trace[f"{stage}.1"].output.dead for stage in range(3)) > 20 and shift.min() < -0.5

# %% [markdown]
# `trace.draw` makes a picture of all that; here of a healthy network. And our own, of the three problems.

# %%
with mg.trace(runs["rate 0.1, batch norm"][0]) as healthy:
    model = runs["rate 0.1, batch norm"][0]
    model.backward(mg.ops.softmax_cross_entropy(model(probe), labels)[1])
print("wrote", healthy.draw("trace.png"))

figure = Figure(figsize=(11, 3.4), layout="constrained")
axes = figure.subplots(1, 3)
colours = {0.7: "#2a6f97", 1.0: "#22303c", 1.4: "#e07a3f", "0.7 with batch norm": "#6a7f4f"}
for scale, (out, gradient) in sizes.items():
    for ax, values in zip(axes, (out, gradient), strict=False):
        ax.semilogy(range(1, DEPTH + 1), values, color=colours[scale], label=f"weights x {scale}")
axes[0].set(title="size of the outputs", xlabel="layer")
axes[1].set(title="size of the gradients", xlabel="layer")
axes[0].legend(frameon=False, fontsize=9)
for (name, (_, dead)), style in zip(runs.items(), ("-", "--", "-", "--"), strict=True):
    axes[2].plot(range(4, 37, 4), dead, style, color="#e07a3f" if "0.5" in name else "#2a6f97", label=name)
axes[2].set(title="dead channels of 112", xlabel="step", ylim=(-1, 112))
axes[2].legend(frameon=False, fontsize=9, loc="upper left")
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "looking_inside.png")

# %% [markdown]
# ## Try it
#
# 1. Replace the ReLUs with `nn.CReLU()` (a layer then has twice the inputs). Can a unit still die?
# 2. In the deep network, which scale preserves the *gradient's* size if every layer has twice the outputs of the last?
# 3. `minighost train`'s models are modules too: trace `mg.models.create("ghostnet_cifar")` on one batch. Which layers
#    have the most zeros?
#
# Read on in `minighost/analysis/tracing.py`. In `minighost learn`, exercise 33 is the initialisation.
