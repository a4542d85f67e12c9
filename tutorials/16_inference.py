# %% [markdown]
# # Inference: folding batch norm
#
# In training batch norm looks at the whole batch. Afterwards it is `scale * x + shift` with fixed numbers - and in
# front of it is a convolution, which multiplies and adds anyway. Why do it twice? We fold one into the other by hand,
# see that nothing changes, meet three cases where it must not be done, and count what is saved.
#
# Run it with `python tutorials/16_inference.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn

# %% [markdown]
# ## Five lines
#
# With the running statistics batch norm computes, channel by channel, `gamma * (y - mean) / sqrt(var + eps) + beta`.
# Multiply out: a scale and a shift. The convolution is linear, so scaling its output is scaling its weights.

# %%
rng = np.random.default_rng(0)
unit = nn.ConvBNAct(6, 8, 3, rng=rng).astype(np.float64)
for _ in range(20):
    unit(rng.normal(1, 2, size=(8, 9, 9, 6)))  # batch norm learns mean and variance
unit.bn.weight.data, unit.bn.bias.data = rng.normal(1, 0.3, 8), rng.normal(0, 0.3, 8)

bn, w = unit.bn, unit.conv.weight.data
scale = bn.weight.data / np.sqrt(bn.running_var.data + bn.eps)
shift = bn.bias.data - bn.running_mean.data * scale
folded = w * scale, shift  # scale meets the last axis, the output channels

x = rng.normal(1, 2, size=(4, 9, 9, 6))
by_hand = np.maximum(mg.ops.conv2d_forward(x, *folded, padding=1)[0], 0)
expected = unit.eval()(x)
print(f"largest difference: {np.abs(by_hand - expected).max():.1e}")
assert np.allclose(by_hand, expected, atol=1e-12)

# %% [markdown]
# Four vectors - gamma, beta, mean, variance - have become one bias. And in single precision? The same up to rounding,
# because the weights are rounded after the product instead of before.

# %%
narrow = np.maximum(mg.ops.conv2d_forward(*(v.astype(np.float32) for v in (x, *folded)), padding=1)[0], 0)
print(f"in single precision: {np.abs(narrow - expected).max():.1e}")
assert 0 < np.abs(narrow - expected).max() < 1e-4

# %% [markdown]
# ## Three cases where it must not be done
#
# *In training.* There the scale depends on the batch, and the gradient goes through it.
#
# *After a ReLU.* `scale * max(y, 0)` is `max(scale * y, 0)` only if the scale is positive, and a shift never passes.
#
# *In front of a padded convolution.* A batch norm can be folded into the convolution *after* it, too: the scale goes
# into the weights' input axis, and the shift, seen by all taps, into the bias. But padding is zeros, which no batch
# norm has shifted. So the border comes out wrong, and only the border, where few people look.

# %%
different = np.abs(unit.train()(x) - by_hand).max()
print(f"training against folded: {different:.2f} apart")
assert different > 0.1

y, s, t = rng.normal(size=1000), -0.5, 0.2
assert not np.allclose(s * np.maximum(y, 0), np.maximum(s * y, 0))
assert not np.allclose(np.maximum(y, 0) + t, np.maximum(y + t, 0))

norm, conv = nn.BatchNorm2d(6).astype(np.float64), nn.Conv2d(6, 8, 3, padding=1, bias=False, rng=1).astype(np.float64)
for _ in range(20):
    norm(rng.normal(1, 2, size=(8, 9, 9, 6)))
right = conv(norm.eval()(x))
scale = norm.weight.data / np.sqrt(norm.running_var.data + norm.eps)
shift = norm.bias.data - norm.running_mean.data * scale
w = conv.weight.data
wrong = mg.ops.conv2d_forward(x, w * scale[:, None], np.einsum("uvck,c->k", w, shift), padding=1)[0]
border = np.abs(wrong - right).max(axis=(0, 3))
print(f"batch norm in front: wrong by {border[0].max():.2f} at the border, {border[1:-1, 1:-1].max():.0e} inside")
assert border[1:-1, 1:-1].max() < 1e-12 and border[[0, -1]].min() > 0.1 and border[:, [0, -1]].min() > 0.1

# %% [markdown]
# ## What is saved
#
# Not multiplications, those are few, but passes over memory. Layer by layer, what a convolution computes is written,
# read and written again by batch norm, and once more by the ReLU: five passes. Folded, it is written once, finished.
# We count for a whole GhostNet at 224x224 the numbers that leave each convolution, and every pass over them.

# %%
model = mg.models.create("ghostnet", rng=0)
rows = mg.analysis.count(model, (224, 224, 3))
passes = {"layer by layer": 0, "batch norm with ReLU": 0, "folded": 0}
layers = dict(model.named_modules())
norms = vectors = 0
for row in rows:
    if row.kind == "BatchNorm2d":
        numbers = int(np.prod(row.output_shape))
        relu = layers[row.path].relu
        passes["layer by layer"] += numbers * (1 + 2 + 2 * relu)  # written; read, written; read, written
        passes["batch norm with ReLU"] += numbers * (1 + 2)  # the ReLU in the same pass
        passes["folded"] += numbers
        norms, vectors = norms + 1, vectors + row.output_shape[-1]
for name, numbers in passes.items():
    print(f"{name:21} {4 * numbers / 1e6:6.1f} MB after the convolutions of one image")
print(f"{norms} batch norms: {4 * vectors:,} numbers become {vectors:,} biases")
assert passes["batch norm with ReLU"] == 3 * passes["folded"] and passes["layer by layer"] > 4 * passes["folded"]

# %% [markdown]
# ## mg.nn.fold
#
# `mg.nn.fold(model)` does this for every layer that it knows, and leaves the others as they are. It *copies* the
# weights; train on, and you must fold again. We train a small network for a moment, fold, and compare - labels, too.

# %%
data = mg.data.shapes10(1000)
mean, std = mg.data.channel_statistics(data.images)
images = mg.data.normalize(data.images, mean, std)
rng = np.random.default_rng(0)
stages = [nn.GhostModule(c, n, 3, pool=2, rng=rng) for c, n in ((3, 16), (16, 32))]
model = nn.Sequential(*stages, nn.SqueezeExcite(32, 8, rng=rng), nn.GlobalAvgPool(), nn.Linear(32, 10, rng=rng))
sgd = mg.train.SGD(model.parameters(), lr=0.2, momentum=0.9)


def train(steps):
    for step in range(steps):
        batch = slice(50 * step, 50 * step + 50)
        model.zero_grad()
        model.backward(mg.ops.softmax_cross_entropy(model.train()(images[batch]), data.labels[batch])[1])
        sgd.step()


train(10)
predict = nn.fold(model)
before = predict(images[:200])
with nn.fusing(False):
    layers = model.eval()(images[:200])
same = np.abs(before - layers).max()
print(f"folded and layer by layer differ by at most {same:.1e} in logits of size {np.abs(before).max():.1f}")
assert same < 1e-4 and (before.argmax(axis=1) == layers.argmax(axis=1)).mean() > 0.99

train(10)
assert np.array_equal(predict(images[:200]), before)  # the old weights still
moved = np.abs(nn.fold(model)(images[:200]) - before).max()
print(f"ten steps later the old program still returns the same logits; a new one differs by {moved:.1f}")
assert moved > 0.01

# %% [markdown]
# A model in evaluation does the same by itself: it keeps a fold, asks at each call whether anything has changed since,
# and if so makes another. So nobody can be given old numbers by accident.

# %%
assert np.array_equal(model.eval()(images[:200]), nn.fold(model)(images[:200]))
model[0].primary.conv.weight.data *= 2
with nn.fusing(False):
    layers = model(images[:200])
assert np.abs(model(images[:200]) - layers).max() < 1e-3 * np.abs(layers).max()

# %% [markdown]
# How long does it take? Measured on your machine, and not asserted:

# %%
rng = np.random.default_rng(1)
times = {}
net = mg.models.create("ghostnet", width=0.5, num_classes=10, stem_stride=1, rng=0).eval()
fast = nn.fold(net)
for N in (1, 16, 128):
    x = rng.normal(size=(N, 32, 32, 3)).astype(np.float32)
    with nn.fusing(False):
        layers = mg.bench.measure(lambda x=x: net(x), repeats=5).least / N
    times[N] = [layers, mg.bench.measure(lambda x=x: fast(x), repeats=5).least / N]
    print(f"{N:4} images at a time: {1e3 * times[N][0]:.3f} ms per image, folded {1e3 * times[N][1]:.3f} ms")

# %% [markdown]
# More than folding is at work there: a folded network is a program that one kernel carries out on a few images at a
# time, so that activations stay in the cache from layer to layer (`docs/engine.md`).

# %%
figure = Figure(figsize=(10.5, 3.4), layout="constrained")
first, second, third = figure.subplots(1, 3)
picture = first.imshow(border, cmap="magma")
first.set(title="folded in the wrong direction", xticks=[], yticks=[])
figure.colorbar(picture, ax=first, shrink=0.8, label="error")
second.barh(list(passes), [4 * numbers / 1e6 for numbers in passes.values()], color=("#9aa5b1", "#2a6f97", "#e07a3f"))
second.invert_yaxis()
second.set(title="after GhostNet's convolutions", xlabel="MB to and from memory, one image")
for k, (name, colour) in enumerate((("layer by layer", "#2a6f97"), ("folded", "#e07a3f"))):
    third.bar(np.arange(3) + 0.4 * k - 0.2, [1e3 * t[k] for t in times.values()], 0.4, color=colour, label=name)
third.set_xticks(range(3), list(times))
third.set(title="GhostNet 0.5x, on this machine", xlabel="images at a time", ylabel="ms per image")
third.legend(frameon=False)
for ax in (second, third):
    ax.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "inference.png")

# %% [markdown]
# ## Try it
#
# 1. Fold a batch norm into the *linear* layer after it. Is there a border?
# 2. A maximum over windows between convolution and batch norm: when does folding through it go wrong? Try a negative
#    gamma, then see why `_merged` in `folding.py` leaves that pair alone.
# 3. Pad with the value that batch norm maps to zero, instead of zeros. Does the wrong fold become right?
#
# Read on in `minighost/nn/folding.py`, then `minighost/nn/folded.py`.
