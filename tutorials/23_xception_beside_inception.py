# %% [markdown]
# # Xception beside Inception
#
# An Inception module looks at its input with several convolutions side by side, each after a 1x1 that chooses what to
# look at. Chollet (2017) read it differently: first mix the channels, then look around *within parts* of them. How many
# parts? Inception has three or four; take it to the extreme, a part for every channel, and it is a depthwise
# convolution. We follow the four figures of his paper, each with an equality to check, and see where the network that
# he made of it, Xception, spends its weights.
#
# Run it with `python tutorials/23_xception_beside_inception.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn
from minighost.analysis import count

rng = np.random.default_rng(0)

# %% [markdown]
# ## Figure 1: the module
#
# GoogLeNet's module "3a" (Szegedy et al. 2015): four branches, of which three begin with a 1x1 (and the fourth, after a
# pooling, ends with one).

# %%
module = nn.InceptionModule(192, 64, 96, 128, 16, 32, 32, rng=0)
rows = [row for row in count(module, (28, 28, 192)) if row.kind == "Conv2d"]
print("convolution          parameters   multiply-adds")
for row in rows:
    print(f"{row.path:20} {row.params:10,} {row.macs:15,}")
assert module(np.zeros((1, 28, 28, 192), np.float32)).shape == (1, 28, 28, 64 + 128 + 32 + 32)
assert sum(row.params for row in rows) == 163_328
spatial = sum(row.params for row in rows if row.path in ("branch3.1.conv", "branch5.1.conv"))
assert spatial / 163_328 > 0.7

# %% [markdown]
# ## Figures 2 and 3: towers are groups
#
# Simplify: drop the pooling and the 5x5, and make all branches alike, T *towers* of a 1x1 and a 3x3. All of them read
# the same x. So their 1x1 convolutions, side by side, are one 1x1 convolution; and each 3x3 reads its own part of
# what that gives, so together they are one *grouped* convolution. `nn.Towers` is that form. With a tower's weights
# copied out of it, the two agree.

# %%
C, OC, T = 6, 12, 3
towers = nn.Towers(C, OC, T, rng=1).astype(np.float64)
x = rng.normal(size=(2, 8, 9, C))
outs = []
for part in np.split(np.arange(OC), T):
    tower = nn.Sequential(
        nn.Conv2d(C, OC // T, 1, bias=False), nn.ReLU(), nn.Conv2d(OC // T, OC // T, 3, padding=1, bias=False)
    ).astype(np.float64)
    tower[0].weight.data[:] = towers.pointwise.weight.data[..., part]
    tower[2].weight.data[:] = towers.spatial.weight.data[..., part]
    outs.append(tower(x))
np.testing.assert_allclose(np.concatenate(outs, axis=3), towers(x), atol=1e-12)
print(f"\n{T} towers side by side = a 1x1 and a 3x3 with {T} groups")

# %% [markdown]
# ## Figure 4: the extreme
#
# More towers, fewer weights: the 3x3 costs k*k*OC*OC/T, until with T = OC each filter has a channel of its own. It is
# now a depthwise convolution. Turn that around: with a budget of weights, how many channels can a layer afford?

# %%
C, budget = 64, 36_864  # an ordinary 3x3 convolution of 64 channels
weights, affordable = {}, {}
for T in (1, 2, 4, 8, 16, 32, 64):
    layer = nn.Towers(C, C, T, rng=0)
    weights[T] = sum(p.size for p in layer.parameters())
    affordable[T] = int((budget / (1 + 9 / T)) ** 0.5)
    print(f"{T:2} towers: {weights[T]:6,} weights; for {budget:,} weights, about {affordable[T]:3} channels")
    assert weights[T] == C * C + 9 * C * C // T
extreme = nn.Towers(C, C, C, rng=0)
n = max(n for n in range(400) if n * n + 9 * n <= budget)
print(f"a tower for every channel, however many: {n} channels")
assert extreme.spatial.weight.shape == (3, 3, 1, C) and n > 3 * affordable[1]

# %% [markdown]
# That is what Xception bets on: three times the channels for the same weights. And the channels of the 3x3 that one of
# its outputs no longer sees? The 1x1 before it has just mixed them all.
#
# ## The order, and what stands between
#
# Figure 4 is almost a separable convolution (tutorial 21). Two things differ: the 1x1 comes first, and Inception has a
# ReLU between. Without the ReLU both are dense convolutions with special weights,
#
#     towers:      w[u, v, c, o] = point[c, o] * space[u, v, o]        a filter for each output
#     separable:   w[u, v, c, o] = space[u, v, c] * point[c, o]        a filter for each input

# %%
C, OC = 5, 7
x = rng.normal(size=(1, 8, 8, C))
linear = nn.Towers(C, OC, OC, act=None, rng=2).astype(np.float64)
kernel = linear.pointwise.weight.data * linear.spatial.weight.data  # (1, 1, C, OC) * (3, 3, 1, OC)
np.testing.assert_allclose(mg.ops.conv2d_forward(x, kernel, padding=1)[0], linear(x), atol=1e-12)
separable = nn.SeparableConv2d(C, OC, 3, rng=2).astype(np.float64)
other = separable.depthwise.weight.data.transpose(0, 1, 3, 2) * separable.pointwise.weight.data
np.testing.assert_allclose(mg.ops.conv2d_forward(x, other, padding=1)[0], separable(x), atol=1e-12)
taps_by_inputs = [np.linalg.matrix_rank(w[:, :, :, 0].reshape(9, C)) for w in (kernel, other)]
taps_by_outputs = [np.linalg.matrix_rank(w[:, :, 0].reshape(9, OC)) for w in (kernel, other)]
print(f"\nrank of taps by inputs: towers {taps_by_inputs[0]}, separable {taps_by_inputs[1]}")
print(f"rank of taps by outputs: towers {taps_by_outputs[0]}, separable {taps_by_outputs[1]}")
assert taps_by_inputs == [1, C] and taps_by_outputs == [OC, 1]

# %% [markdown]
# In a stack the order hardly matters, as the paper says: cut a stack of separable convolutions after each *depthwise*
# one instead of after each 1x1, and towers appear, all but the first and last half.

# %%
points = [nn.Conv2d(4, 4, 1, bias=False, rng=i).astype(np.float64) for i in range(3)]
spaces = [nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False, rng=i).astype(np.float64) for i in range(3, 6)]
separables = [nn.SeparableConv2d(4, 4, 3).astype(np.float64) for _ in range(3)]
for layer, point, space in zip(separables, points, spaces, strict=True):
    layer.depthwise.weight.data[:], layer.pointwise.weight.data[:] = space.weight.data, point.weight.data
middle = [nn.Towers(4, 4, 4, act=None).astype(np.float64) for _ in range(2)]
for layer, point, space in zip(middle, points[:2], spaces[1:], strict=True):
    layer.pointwise.weight.data[:], layer.spatial.weight.data[:] = point.weight.data, space.weight.data
x = rng.normal(size=(1, 9, 9, 4))
np.testing.assert_allclose(nn.Sequential(spaces[0], *middle, points[2])(x), nn.Sequential(*separables)(x), atol=1e-12)

# %% [markdown]
# The ReLU does matter. With it no kernel describes the layer any more; and it hurts: each spatial filter has one
# channel to look at, and would find half of its numbers replaced by zeros. The paper trained both, and without is
# better (its figure 10). How much does a ReLU take away? We ask how much of a channel's variation is left, per
# channel.

# %%
before = nn.Conv2d(64, 64, 1, bias=False, rng=0)(rng.normal(size=(4, 16, 16, 64)).astype(np.float32))
after = np.maximum(before, 0)
left = (after.var(axis=(0, 1, 2)) / before.var(axis=(0, 1, 2))).mean()
print(f"a ReLU sets {(after == 0).mean():.0%} of the numbers to 0, and leaves {left:.0%} of their variance")
assert 0.45 < (after == 0).mean() < 0.55 and abs(left - (0.5 - 0.5 / np.pi)) < 0.02

# %% [markdown]
# ## Figure 5: the network
#
# Xception is 36 convolutions: two ordinary ones, and 34 separable. Where are the weights?

# %%
with nn.without_weights():
    xception = mg.models.create("xception")
rows = [row for row in count(xception, (299, 299, 3)) if row.kind == "Conv2d"]
parts = {
    "depthwise 3x3": [row for row in rows if row.path.endswith("depthwise")],
    "1x1 after it": [row for row in rows if row.path.endswith("pointwise")],
    "stem": [row for row in rows if row.path.startswith("stem")],
    "shortcuts": [row for row in rows if "shortcut" in row.path],
}
total, work = sum(row.params for row in rows), sum(row.macs for row in rows)
shares = {}
print("\nof all convolutions   how many   parameters   multiply-adds")
for name, group in parts.items():
    shares[name] = sum(row.params for row in group) / total, sum(row.macs for row in group) / work
    print(f"{name:21} {len(group):8} {shares[name][0]:12.1%} {shares[name][1]:15.1%}")
assert sum(len(group) for group in parts.values()) == len(rows)
assert len(parts["depthwise 3x3"]) == len(parts["1x1 after it"]) == 34 and len(parts["stem"]) == 2
assert shares["1x1 after it"][0] > 0.9 and shares["depthwise 3x3"][0] < 0.03

# %% [markdown]
# Of an Inception module's weights most are in its 3x3 and 5x5; in Xception nearly all mix channels, and looking
# around is almost free. The picture: which channels of the 1x1 an output of the 3x3 sees, from one tower to the
# extreme; then what that saves, and what it is spent on.

# %%
figure = Figure(figsize=(11, 5.8), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(1, 1.2))
titles = {
    1: "one tower:\na convolution",
    3: "figures 2 and 3:\nthree towers",
    6: "six towers",
    12: "figure 4, the extreme:\ndepthwise",
}
for ax, (T, title) in zip(above.subplots(1, 4), titles.items(), strict=True):
    layer = nn.Towers(4, 12, T, rng=0)
    grid = np.zeros((12, 12))
    for o in range(12):
        first = o // (12 // T) * (12 // T)
        grid[o, first : first + layer.spatial.weight.shape[2]] = 1
    ax.imshow(grid, cmap="Blues", vmin=0, vmax=1.4)
    ax.set(xticks=np.arange(12) - 0.5, yticks=np.arange(12) - 0.5, xticklabels=[], yticklabels=[])
    ax.grid(color="white", lw=1)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title(title, fontsize=10)
    ax.set_xlabel("channel of the 1x1", fontsize=9)
above.axes[0].set_ylabel("channel of the 3x3", fontsize=9)
left, middle, right = below.subplots(1, 3)
left.loglog(list(weights), list(weights.values()), "o-", color="#2a6f97", lw=2, label="1x1 and 3x3")
left.axhline(64 * 64, color="#444444", ls=":", label="1x1 alone")
left.set(xlabel="towers", ylabel="weights, 64 channels")
left.set_title("More towers, fewer weights", fontsize=10)
left.set_xticks([1, 4, 16, 64], ["1", "4", "16", "64"])
left.set_yticks([5000, 10000, 20000, 40000], ["5,000", "10,000", "20,000", "40,000"])
left.legend(frameon=False, fontsize=9)
middle.semilogx(list(affordable), list(affordable.values()), "o-", color="#e07a3f", lw=2)
middle.axhline(n, color="#444444", ls=":", label="a tower per channel")
middle.set(xlabel="towers", ylabel="channels", ylim=(0, 215))
middle.set_title(f"... or more channels for {budget:,}", fontsize=10)
middle.set_xticks([1, 4, 16, 64], ["1", "4", "16", "64"])
middle.legend(frameon=False, fontsize=9, loc="lower right")
places = np.arange(len(shares))
right.bar(places - 0.2, [share[0] for share in shares.values()], 0.4, color="#2a6f97", label="parameters")
right.bar(places + 0.2, [share[1] for share in shares.values()], 0.4, color="#8fc1de", label="multiply-adds")
right.set_xticks(places, [name.replace(" ", "\n", 1) for name in shares], fontsize=9)
right.set_title("Xception's convolutions", fontsize=10)
right.legend(frameon=False, fontsize=9)
for ax in (left, middle, right):
    ax.spines[["top", "right"]].set_visible(False)
    ax.minorticks_off()
mg.plots.show(figure, "xception_beside_inception.png")

# %% [markdown]
# ## Try it
#
# 1. Train `nn.Towers` with 1, 4 and all towers on shapes10, as tutorial 21 does, each as wide as its budget
#    allows. Three seeds each: is wider better?
# 2. Do the same with `act="relu"` and `act=None`. Does the ReLU hurt with few towers, too?
# 3. Compare `minighost zoo --model xception` and `--model mobilenet_v1`. Both are separable: what else differs?
#
# Read on in `minighost/nn/inception.py`, `minighost/nn/xception.py` and `minighost/models/xception.py`; in `minighost
# learn`, exercise 19 is the separable convolution.
