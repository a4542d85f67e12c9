# %% [markdown]
# # Inverted residuals and the linear bottleneck
#
# A ReLU throws the negative half of every channel away. With many channels nobody misses it: what one of them loses,
# another still has. With few channels it is gone for good. MobileNetV2 (Sandler et al. 2018) is built around this one
# observation: its blocks are wide where they compute and narrow where they connect, and nothing is cut off at the
# narrow ends. We repeat the experiment of the paper's figure 1, find the law behind it, and then build the block.
#
# Run it with `python tutorials/25_linear_bottlenecks.py`; it needs no network and takes a few seconds.

# %%
from math import comb

import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn

rng = np.random.default_rng(0)

# %% [markdown]
# ## A spiral in n channels
#
# Take points of the plane, m = 2 numbers each. A random matrix writes them into n channels, as a 1x1 convolution does;
# then comes a ReLU. How much of the point can a linear layer still read? We give it every chance and take the best
# there is, by least squares. The measure is the share of the points' variance that comes back; without the ReLU it is
# all of it.

# %%
turn = np.linspace(0, 1, 400)
spiral = turn[:, None] * np.stack([np.cos(12 * turn), np.sin(12 * turn)], axis=1)


def there_and_back(x, n, relu=True):
    """The points (P, m) after n channels and the best linear way back."""
    z = x @ rng.normal(size=(x.shape[1], n))
    if relu:
        z = np.maximum(z, 0)
    z = np.column_stack([z, np.ones(len(z))])  # a bias
    return z @ np.linalg.lstsq(z, x, rcond=None)[0]


def kept(x, back):
    return 1 - ((back - x) ** 2).sum() / ((x - x.mean(axis=0)) ** 2).sum()


CHANNELS = 2, 3, 5, 15, 30
readable = {n: np.mean([kept(spiral, there_and_back(spiral, n)) for _ in range(50)]) for n in CHANNELS}
for n, share in readable.items():
    print(f"{n:2} channels: {share:6.1%} of the variance is left after a ReLU, on average over 50 matrices")
assert kept(spiral, there_and_back(spiral, 2, relu=False)) > 1 - 1e-12
assert readable[2] < 0.75 < 0.99 < readable[15]

# %% [markdown]
# ## The law behind it
#
# A channel that is positive passes its number on, unharmed. So a point can be computed exactly from what is left where
# at least m of the n channels are positive: that many linear equations have one solution. (Not a linear layer's one,
# for which channels these are changes from point to point.) With random weights each channel is positive for half of
# the points, and so
#
#     P(nothing is lost) = P(at least m heads in n throws)


# %%
def law(n, m):
    return sum(comb(n, k) for k in range(m, n + 1)) / 2**n


points = rng.normal(size=(100, 2))
print("channels   share of the points from which nothing is lost, and the law")
for n in CHANNELS:
    positive = np.mean([(points @ rng.normal(size=(2, n)) > 0).sum(axis=1) >= 2 for _ in range(500)])
    print(f"{n:8}   {positive:.3f} {law(n, 2):.3f}")
    assert abs(positive - law(n, 2)) < 0.03

# %% [markdown]
# Is half realistic? Ask batch norm: it stands in front of every ReLU of the network and makes each channel's mean 0.
#
# Now let m grow, for a network has more than two numbers per pixel. If there are just as many channels, *all* must be
# positive. Six times as many, which is MobileNetV2's expansion, are always enough.

# %%
z = spiral @ rng.normal(1, 1, (2, 64)) + rng.normal(0, 3, 64)  # as far from the middle as you like
normal = nn.BatchNorm2d(64)(z[:, None, None].astype(np.float32))
print(f"channels that are positive after batch norm: {(normal > 0).mean():.0%}")
assert abs((normal > 0).mean() - 0.5) < 0.1
for m in (3, 8, 24):
    print(f"m = {m:2}: nothing lost with m channels {law(m, m):.1g}, 2m {law(2 * m, m):.2f}, 6m {law(6 * m, m):.6f}")
    assert law(m, m) == 2.0**-m and law(2 * m, m) > 0.5 and law(6 * m, m) > 0.999

# %% [markdown]
# A trained network has biases and may shift its channels out of harm's way. But a channel that is positive everywhere
# has no ReLU any more: at narrow places the network would have to learn what we can simply write down.
#
# ## The same on images
#
# The three colours of a pixel, through 3, 6 and 18 channels. Nothing looks at a neighbour: only the colours suffer.

# %%
images = mg.data.shapes10(6, split="test").images.astype(np.float64) / 255
sheet = images.reshape(2, 3, 32, 32, 3).transpose(0, 2, 1, 3, 4).reshape(64, 96, 3)
colours = sheet.reshape(-1, 3) - sheet.mean(axis=(0, 1))  # as batch norm would
shown = {"without ReLU": there_and_back(colours, 3, relu=False)}
for n in (3, 6, 18):
    tries = sorted((there_and_back(colours, n) for _ in range(15)), key=lambda back: kept(colours, back))
    shown[f"{n} channels"] = tries[7]  # the median
for name, back in shown.items():
    print(f"{name:12}: {kept(colours, back):.1%} of the colours' variance")
shares = [kept(colours, back) for back in shown.values()]
assert shares[0] > 1 - 1e-12 and shares[1] < 0.9 < 0.98 < shares[3]

# %% [markdown]
# ## The block
#
# So: expand with a 1x1 convolution, cut off there, where it does no harm; filter each channel; project back, and do
# *not* cut off. The shortcut joins the narrow ends. A residual block of ResNet-50 is the other way round, wide at its
# ends and narrow within; hence the name.
#
# In a new network batch norm only divides by sqrt(1 + eps) in evaluation, so that the block is four lines:


# %%
def inverted_residual(x, expand, depthwise, project):
    """x (N, H, W, C); expand (C, wide), depthwise (3, 3, 1, wide), project (wide, C)."""
    y = np.clip(x @ expand, 0, 6)
    y = np.clip(mg.ops.conv2d_forward(y, depthwise, padding=1, groups=y.shape[3])[0], 0, 6)
    return y @ project  # linear


block = nn.InvertedResidual(8, 48, 8, rng=1).eval().astype(np.float64)
expand, depthwise, project = (
    layer.conv.weight.data / np.sqrt(1 + layer.bn.eps) for layer in (block.expand, block.depthwise, block.project)
)
expand, project = expand[0, 0], project[0, 0]
x = rng.normal(size=(2, 6, 5, 8))
out = x + inverted_residual(x, expand, depthwise, project)
print("largest difference from nn.InvertedResidual:", np.abs(out - block(x)).max())
assert block.project.act is None and np.allclose(out, block(x), atol=1e-12)

# %% [markdown]
# ## Narrow outside: what must be kept
#
# Between two blocks only the narrow end exists. And the wide middle never needs to exist at once: no channel of it
# meets another before the projection, and the projection is a sum. So it may be done in slices of a few channels
# (§5 of the paper). A shortcut at the wide place would have forbidden that.

# %%
slices = [slice(k, k + 8) for k in range(0, 48, 8)]
in_slices = x + sum(inverted_residual(x, expand[:, s], depthwise[..., s], project[s]) for s in slices)
assert np.allclose(in_slices, out, atol=1e-12)

with nn.without_weights():
    model = mg.models.create("mobilenet_v2")
rows = mg.analysis.count(model, (224, 224, 3))
blocks = [(path, b) for path, b in model.named_modules() if isinstance(b, nn.InvertedResidual)]
narrow = {path: int(np.prod(b.output_shape)) for path, b in blocks}
wide = {path: int(np.prod(b.expand.output_shape)) for path, b in blocks if b.expand is not None}
print(f"numbers in the largest map: {max(narrow.values()):,} at narrow ends, {max(wide.values()):,} within the blocks")
assert len(blocks) == 17 and all(b.project.act is None for _, b in blocks)
assert max(narrow.values()) == 112 * 112 * 16 and max(wide.values()) == 6 * max(narrow.values())

# %% [markdown]
# And wide inside: is it not expensive? The 3x3 convolution in the middle is depthwise, and costs less than either of
# the two 1x1 convolutions.

# %%
work = {
    name: sum(row.macs for row in rows if row.path.endswith(f".{name}.conv"))
    for name in ("expand", "depthwise", "project")
}
total = sum(row.macs for row in rows)
for name, macs in work.items():
    print(f"{name:10}{macs / total:6.1%} of {total:,} multiply-adds")
assert total == 300_774_272 and work["depthwise"] < min(work["expand"], work["project"]) / 2

# %%
figure = Figure(figsize=(12, 5.6), layout="constrained")
above, below = figure.subfigures(2, 1)
above.suptitle("A spiral in n channels, after a ReLU and the best linear way back")
examples = {"before": (spiral, 1.0)}
for n in CHANNELS:
    tries = sorted((there_and_back(spiral, n) for _ in range(15)), key=lambda back: kept(spiral, back))
    examples[f"n = {n}"] = tries[7], kept(spiral, tries[7])
for ax, (name, (back, share)) in zip(above.subplots(1, 6), examples.items(), strict=True):
    ax.scatter(*back.T, c=turn, cmap="viridis", s=5)
    ax.set(title=name, xlabel=f"{share:.0%} kept", xticks=[], yticks=[], xlim=(-1.2, 1.2), ylim=(-1.35, 1.1))
    ax.set_aspect("equal")
    ax.spines[:].set_visible(False)
left, right = below.subfigures(1, 2, width_ratios=(1.55, 1))
left.suptitle("The colours of images")
for ax, (name, back) in zip(left.subplots(1, 4), shown.items(), strict=True):
    ax.imshow(np.clip(back.reshape(sheet.shape) + sheet.mean(axis=(0, 1)), 0, 1))
    ax.set(title=name, xlabel=f"{kept(colours, back):.0%} kept", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
ax = right.subplots()
for m, colour in ((2, "#2a6f97"), (8, "#e07a3f"), (24, "#228833")):
    factors = np.arange(1, 6 * m + 1) / m
    ax.plot(factors, [law(n, m) for n in range(1, 6 * m + 1)], color=colour, label=f"m = {m}")
ax.set(title="P(a ReLU loses nothing)", xlabel="expansion n / m", xlim=(0.9, 6), ylim=(-0.03, 1.05))
ax.legend(frameon=False, loc="lower right")
ax.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "linear_bottlenecks.png")

# %% [markdown]
# ## Try it
#
# 1. Give the spiral's channels a bias of 3 before the ReLU. What comes back, and what has become of the ReLU?
# 2. Put a leaky ReLU, `np.where(z > 0, z, 0.1 * z)`, in its place. Is anything lost at n = 2?
# 3. CReLU (tutorial 08) passes on both halves. How many channels does it need for m numbers?
#
# Read on in `minighost/nn/inverted_residual.py` and `minighost/models/mobilenet_v2.py`. The block returns, with a gate,
# in `minighost/models/mobilenet_v3.py` and `minighost/models/efficientnet.py`.
