# %% [markdown]
# # GhostNet from its table
#
# A paper gives a network as a table. How much of it is between the lines? Here we read the table of GhostNet (Han et
# al. 2020, table 1) aloud, line by line, until our parameters and multiply-adds equal the published ones to the last
# digit. Then we see where they go, what a width multiplier really multiplies, and what must change for small images.
#
# Run it with `python tutorials/12_ghostnet.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn

# %% [markdown]
# ## The table
#
# One row per bottleneck: kernel size of its depthwise convolution, channels inside, channels out, whether it has a
# squeeze-and-excite block, stride. A bottleneck is two ghost modules: the first expands, the second reduces, and a
# shortcut leads around both. At stride 2 there is a depthwise convolution between them.

# %%
TABLE = [
    (3, 16, 16, 0, 1),
    (3, 48, 24, 0, 2),
    (3, 72, 24, 0, 1),
    (5, 72, 40, 1, 2),
    (5, 120, 40, 1, 1),
    (3, 240, 80, 0, 2),
    (3, 200, 80, 0, 1),
    (3, 184, 80, 0, 1),
    (3, 184, 80, 0, 1),
    (3, 480, 112, 1, 1),
    (3, 672, 112, 1, 1),
    (5, 672, 160, 1, 2),
    (5, 960, 160, 0, 1),
    (5, 960, 160, 1, 1),
    (5, 960, 160, 0, 1),
    (5, 960, 160, 1, 1),
]
print(f"{len(TABLE)} bottlenecks, {sum(row[3] for row in TABLE)} with squeeze-and-excite")
assert len(TABLE) == 16 and sum(row[3] for row in TABLE) == 7

# %% [markdown]
# ## What the table does not say
#
# Five things are left open, and each changes the count:
#
# 1. All channel numbers are rounded to multiples of 4, but never down by more than a tenth.
# 2. The squeeze-and-excite block is a quarter as wide as the *inside*, rounded likewise.
# 3. The shortcut is the identity where shapes allow; otherwise a depthwise and a 1x1 convolution.
# 4. The 1x1 convolution after the last row goes to as many channels as that row has inside, 960. The layer to 1280
#    features comes after the mean over the plane; it has a bias and no batch norm.
# 5. The kernel size is that of the strided and the shortcut's depthwise convolutions; cheap operations are always 3x3.

# %%
rounded = mg.models.make_divisible
print("72/4 and 120/4 as multiples of 4:", rounded(72 / 4, 4), rounded(120 / 4, 4), "- halves go up")
assert (rounded(72 / 4, 4), rounded(120 / 4, 4), rounded(13.9, 4)) == (20, 32, 16)  # 12 would be 14 % less than 13.9


def ghostnet(width=1.0, classes=1000, stem_stride=2, rng=0):
    rng = np.random.default_rng(rng)
    channels = rounded(16 * width, 4)
    layers = [nn.ConvBNAct(3, channels, 3, stem_stride, rng=rng)]
    for kernel, inside, out, se, stride in TABLE:
        mid, out = rounded(inside * width, 4), rounded(out * width, 4)
        hidden = rounded(mid / 4, 4) if se else 0
        layers.append(nn.GhostBottleneck(channels, mid, out, kernel, stride, hidden, rng=rng))
        channels = out
    layers += [nn.ConvBNAct(channels, mid, 1, rng=rng), nn.GlobalAvgPool(), nn.Linear(mid, 1280, rng=rng), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(0.2, rng), nn.Linear(1280, classes, rng=rng))


# %% [markdown]
# ## Counting
#
# Parameters are what is learnt: weights, biases, batch norm's two vectors. Multiply-adds are those of convolutions and
# linear layers for one image. The paper rounds to 5.2 million and 141 million; the authors' code has exactly these:

# %%
model = ghostnet()
rows = mg.analysis.count(model, (224, 224, 3))
parameters, macs = sum(row.params for row in rows), sum(row.macs for row in rows)
print(f"{parameters:,} parameters, {macs:,} multiply-adds at 224x224")
assert (parameters, macs) == (5_182_508, 141_150_512)

# %% [markdown]
# ## Where the cost is
#
# We group the layers by the size of the maps that they work on. The two linear layers are half of the parameters and
# almost none of the multiply-adds, because they see one pixel. The stem and the first bottlenecks are the other way
# round.


# %%
def stages(model, side):
    """{stage: (parameters, multiply-adds)} on images of side x side."""
    found = {}
    for block in mg.analysis.blocks(model, mg.analysis.count(model, (side, side, 3))):
        H = block.output_shape[0]
        name = {"ConvBNAct": "stem" if not found else "1x1 to 960", "GhostBottleneck": f"ghosts, {H}x{H}"}
        name = name.get(block.kind, "linear layers")
        p, m = found.get(name, (0, 0))
        found[name] = p + block.params, m + block.macs
    return found


shares = stages(model, 224)
for name, (p, m) in shares.items():
    print(f"{name:15}{p:12,} parameters {p / parameters:6.1%}{m:14,} multiply-adds {m / macs:6.1%}")
linear = shares["linear layers"]
assert linear[0] / parameters > 0.48 and linear[1] / macs < 0.02

# %% [markdown]
# And by kind of layer? Ghosts are half of the maps of every ghost module, for less than a tenth of all multiply-adds.
# Most of the rest is 1x1 convolutions.

# %%
leaves, kinds = dict(model.named_modules()), dict.fromkeys(("1x1", "ghosts", "other depthwise", "stem", "linear"), 0)
for row in rows:
    layer = leaves[row.path]
    if isinstance(layer, nn.Linear):
        kinds["linear"] += row.macs
    elif isinstance(layer, nn.Conv2d) and layer.groups > 1:
        kinds["ghosts" if ".cheap." in row.path else "other depthwise"] += row.macs
    elif isinstance(layer, nn.Conv2d):
        kinds["1x1" if layer.kernel_size == (1, 1) else "stem"] += row.macs
print("multiply-adds: " + ", ".join(f"{name} {share / macs:.1%}" for name, share in kinds.items()))
assert sum(kinds.values()) == macs and kinds["1x1"] > 0.8 * macs and kinds["ghosts"] < 0.1 * macs

# %% [markdown]
# Equal counts can still be a different network. So we put the weights into minighost's own GhostNet and compare what
# comes out, in evaluation mode.

# %%
theirs = mg.models.create("ghostnet", rng=1).eval()
names = list(theirs.state_dict())
theirs.load_state_dict(dict(zip(names, model.eval().state_dict().values(), strict=True)))
x = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype(np.float32)
difference = np.abs(model(x) - theirs(x)).max()
print(f"same weights, same input: the logits differ by {difference}")
assert difference == 0

# %% [markdown]
# ## The width multiplier
#
# Multiply all channels by a and, one reads, cost grows with a squared: a 1x1 convolution has both its channel numbers
# multiplied. But depthwise convolutions grow only with a, 1280 does not grow at all, and rounding plays a part.

# %%
widths = {}
for width in (0.5, 1.0, 1.3):
    counted = mg.analysis.count(ghostnet(width), (224, 224, 3))
    p, m = sum(row.params for row in counted), sum(row.macs for row in counted)
    widths[width] = p / parameters, m / macs
    print(
        f"width {width}: {p:,} parameters, {p / parameters:.2f} of those at width 1; {m:,} multiply-adds, "
        f"{m / macs:.2f}; squared {width**2:.2f}"
    )
assert np.round(widths[0.5], 2).tolist() == [0.50, 0.30] and np.round(widths[1.3], 2).tolist() == [1.42, 1.61]

# %% [markdown]
# ## Small images
#
# The network halves the plane five times. From 224 pixels that leaves 7, from CIFAR-10's 32 a single one: the last four
# bottlenecks then see one pixel and eight padded zeros. `stem_stride=1` keeps the first plane whole; `ghostnet_cifar`
# halves once less still. Neither adds a parameter; what grows is the work.

# %%
small = {
    "stem of stride 2": ghostnet(classes=10),
    "stem of stride 1": ghostnet(classes=10, stem_stride=1),
    "ghostnet_cifar": mg.models.create("ghostnet_cifar"),
}
for name, net in small.items():
    counted = mg.analysis.count(net, (32, 32, 3))
    sides = [block.output_shape[0] for block in mg.analysis.blocks(net, counted) if block.kind == "GhostBottleneck"]
    print(
        f"{name}: maps {sides[0]} ... {sides[-1]} wide, {sum(row.params for row in counted):,} parameters, "
        f"{sum(row.macs for row in counted):,} multiply-adds"
    )
    assert sides[-1] == {"stem of stride 2": 1, "stem of stride 1": 2, "ghostnet_cifar": 4}[name]
    assert sum(row.params for row in counted) == parameters - (1000 - 10) * 1281  # ten classes in place of a thousand

# %%
figure = Figure(figsize=(10, 3.8), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
rows = np.arange(len(shares))
for offset, whole, column, colour, name in (
    (-0.2, parameters, 0, "#2a6f97", "parameters"),
    (0.2, macs, 1, "#e07a3f", "multiply-adds"),
):
    left.barh(rows + offset, [100 * cost[column] / whole for cost in shares.values()], 0.4, color=colour, label=name)
left.set_yticks(rows, list(shares))
left.invert_yaxis()
left.set(title="where the cost of GhostNet is", xlabel="share (%)")
left.legend(frameon=False)

grid = np.linspace(0.25, 1.6, 10)
costs = [mg.analysis.count(ghostnet(width), (224, 224, 3)) for width in grid]
for what, whole, colour in (("params", parameters, "#2a6f97"), ("macs", macs, "#e07a3f")):
    right.plot(grid, [sum(getattr(row, what) for row in cost) / whole for cost in costs], ".-", color=colour)
right.plot(grid, grid**2, "--", color="#9aa5b1")
right.set(title="what a width multiplies", xlabel="width", ylabel="times the cost at width 1", ylim=(0, None))
right.legend(["parameters", "multiply-adds", "width squared"], frameon=False)
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "ghostnet.png")

# %% [markdown]
# ## Try it
#
# 1. `GhostBottleneck(..., ratio=1)` replaces the ghosts with ordinary convolutions. How many multiply-adds did they
#    save? Count before you guess "half".
# 2. Which one row of the table, left out, would save most parameters? Which most multiply-adds?
# 3. `minighost summary --width 1.0 --input 224 --classes 1000` prints all layers. Find the three most expensive.
#
# Read on in `minighost/models/ghostnet.py`, which is this file without the talk, and `minighost/nn/counts.py`,
# which counts. In `minighost learn`, exercise 38 counts GhostNet. What these numbers do not tell, the time it takes, is
# the subject of tutorial 17.
