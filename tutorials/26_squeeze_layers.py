# %% [markdown]
# # Squeeze layers
#
# AlexNet has 61 million parameters, 240 MB of them. SqueezeNet (Iandola et al. 2016) recognises as much with 1.2
# million. Where had the parameters been, where are they now, and what was the price? The answer is one module of three
# convolutions, and a surprise: almost fifty times fewer parameters are not less work at all.
#
# Run it with `python tutorials/26_squeeze_layers.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn

rng = np.random.default_rng(0)


def cost(model, side, parts=("",)):
    """{part: (parameters, multiply-adds)} of the layers in whose path the part occurs."""
    rows = mg.analysis.count(model, (side, side, 3))
    found = {part: [row for row in rows if part in row.path] for part in parts}
    return {part: (sum(r.params for r in chosen), sum(r.macs for r in chosen)) for part, chosen in found.items()}


with nn.without_weights():
    alexnet, squeezenet = mg.models.create("alexnet"), mg.models.create("squeezenet")

# %% [markdown]
# ## Where they had been
#
# AlexNet's convolutions end in 6x6 pixels of 256 channels. The first fully connected layer gives each of those 9216
# numbers a weight of its own for each of 4096 outputs.

# %%
before = cost(alexnet, 227, ("conv", "hidden1", "hidden2", "classifier"))
total, work = cost(alexnet, 227)[""]
for part, (parameters, macs) in before.items():
    print(f"AlexNet {part:10} {parameters:11,} parameters {parameters / total:6.1%}{macs / work:8.1%} of the work")
assert total == sum(parameters for parameters, _ in before.values()) == 60_965_224
assert before["hidden1"][0] == (9216 + 1) * 4096 and before["conv"][0] < 0.04 * total

# %% [markdown]
# So the first step is none of the paper's: no fully connected layers. A 1x1 convolution makes a map for each class, and
# its mean is the class's logit. That leaves the convolutions, and three strategies for them (§3.1):
#
# 1. many 1x1 in the place of 3x3 convolutions, with nine times fewer weights each;
# 2. few input channels for those 3x3 that remain: *squeeze* them first;
# 3. reduce the planes late, which costs no weights and keeps detail.
#
# ## The fire module
#
# The first two make a module. A 1x1 convolution squeezes C channels to s; on these work a 1x1 and a 3x3 convolution
# side by side, with e outputs each.


# %%
def fire(x, squeeze, expand1, expand3):
    """Each a pair (weights, bias); x (N, H, W, C) -> (N, H, W, 2e)."""
    y = np.maximum(x @ squeeze[0] + squeeze[1], 0)  # (N, H, W, s)
    left = np.maximum(y @ expand1[0] + expand1[1], 0)
    right = np.maximum(mg.ops.conv2d_forward(y, *expand3, padding=1)[0], 0)
    return np.concatenate([left, right], axis=3)


C, s, e = 128, 16, 64
module = nn.Fire(C, s, e, rng=1).astype(np.float64)
squeeze, expand1, expand3 = (
    (p[0].weight.data, p[0].bias.data) for p in (module.squeeze, module.expand1, module.expand3)
)
x = rng.normal(size=(2, 6, 5, C))
out = fire(x, (squeeze[0][0, 0], squeeze[1]), (expand1[0][0, 0], expand1[1]), expand3)
assert np.allclose(out, module(x), atol=1e-12)

fires, plain = sum(p.size for p in module.parameters()), (9 * C + 1) * 2 * e
print(f"\n{C} -> {2 * e} channels: 3x3 {plain:,} parameters, fire module {fires:,}: {plain / fires:.1f} times fewer")
assert fires == (C + 1) * s + (s + 1) * e + (9 * s + 1) * e == 12_432
assert plain / fires > 11

# %% [markdown]
# Which of the two strategies does it? Take either alone.

# %%
ones = C * e + 9 * C * e  # half of the 3x3 become 1x1
narrow = C * s + 9 * s * 2 * e  # all 3x3, on squeezed channels
print(f"weights: 3x3 {9 * C * 2 * e:,}; half of them 1x1 {ones:,}; squeezed {narrow:,}; both {C * s + 10 * s * e:,}")
assert ones > 3 * narrow

# %% [markdown]
# The squeeze does it. And it has a price: whatever a pixel's 128 channels say must pass through 16 numbers. Written as
# one matrix, without the ReLU in between, squeeze and expand have rank 16 where a matrix of their size could have 64.
# (Tutorial 25 tells why a later network has no ReLU at such a place.)

# %%
both = squeeze[0][0, 0] @ expand1[0][0, 0]
ranks = np.linalg.matrix_rank(both), np.linalg.matrix_rank(rng.normal(size=both.shape))
print(f"{both.shape[0]} -> {both.shape[1]} channels: rank {ranks[0]} through the squeeze, {ranks[1]} without")
assert ranks == (16, 64)

# %% [markdown]
# Backward, the squeezed map was seen twice, so that it gets two gradients, and their sum goes on.

# %%
x = rng.normal(size=(1, 4, 4, 6))
module = nn.Fire(6, 3, 4, rng=2).astype(np.float64)
dout = rng.normal(size=module(x).shape)
dx = module.backward(dout)
module(x)  # a forward serves one backward
one, three = module.expand1.backward(dout[..., :4]), module.expand3.backward(dout[..., 4:])
assert np.allclose(module.squeeze.backward(one + three), dx, atol=1e-12)

# %% [markdown]
# ## The network from five numbers
#
# Eight fire modules. Number i has 128 + 128 * floor(i / 2) outputs; half of them are 3x3; an eighth as many are
# squeezed to. So the table of the paper follows from five numbers (§5.1), and we may turn two of them: the squeeze
# ratio, and the share of 3x3.


# %%
def parameters(ratio=0.125, share=0.5):
    """Of a SqueezeNet with this squeeze ratio and this share of 3x3 outputs."""
    total, channels = (49 * 3 + 1) * 96, 96
    for i in range(8):
        outputs = 128 + 128 * (i // 2)
        s, e3 = int(ratio * outputs), int(share * outputs)
        total += (channels + 1) * s + (s + 1) * (outputs - e3) + (9 * s + 1) * e3
        channels = outputs
    return total + (channels + 1) * 1000


parts = cost(squeezenet, 224, ("stem", "squeeze", "expand1", "expand3", "classifier"))
total, work = cost(squeezenet, 224)[""]
print()
for part, (p, macs) in parts.items():
    print(f"SqueezeNet {part:10} {p:9,} parameters {p / total:6.1%}{macs / work:8.1%} of the work")
assert total == sum(p for p, _ in parts.values()) == parameters() == 1_248_424
print(f"AlexNet has {60_965_224 / total:.1f} times as many; as float32 SqueezeNet is {4 * total / 2**20:.1f} MiB")

# %% [markdown]
# The paper's figure 3 turns them: with a ratio of 0.75, for 19 MB, the accuracy (top-5) rises from 80.3 to 86.0 %, and
# stays there; and more than half of 3x3 gain nothing. The squeeze is cheap, and not free.

# %%
for ratio in (0.125, 0.25, 0.5, 0.75, 1.0):
    print(f"squeeze ratio {ratio:5}: {parameters(ratio):9,} parameters, {4 * parameters(ratio) / 2**20:4.1f} MiB")
assert round(4 * parameters(0.125) / 2**20, 1) == 4.8 and 18 < 4 * parameters(0.75) / 2**20 < 19

# %% [markdown]
# ## Not less work
#
# A weight of a convolution is used at every pixel. With the third strategy the planes stay large, and so SqueezeNet has
# *more* multiply-adds than AlexNet. Version 1.1, by the same authors, reduces them earlier: the same parameters, the
# same accuracy, 2.3 times less work.

# %%
with nn.without_weights():
    newer = mg.models.create("squeezenet", version="1.1")
table = {"AlexNet": cost(alexnet, 227)[""], "1.0": cost(squeezenet, 224)[""], "1.1": cost(newer, 224)[""]}
for name, (p, macs) in table.items():
    print(f"{name:8}{p:11,} parameters {macs:12,} multiply-adds: each parameter is used {macs / p:.0f} times")
assert table["1.0"][1] > table["AlexNet"][1] > 2 * table["1.1"][1]
assert table["1.0"][0] < 1.02 * table["1.1"][0] and table["1.0"][1] > 2.3 * table["1.1"][1]

# %%
figure = Figure(figsize=(12, 3.9), layout="constrained")
left, middle, right = figure.subplots(1, 3, width_ratios=(1.15, 1, 1))
bars = [(f"AlexNet {part}", p, "#9aa5b1") for part, (p, _) in before.items()]
bars += [(f"SqueezeNet {part}", p, "#2a6f97") for part, (p, _) in parts.items()]
left.barh([name for name, _, _ in bars], [p for _, p, _ in bars], color=[colour for _, _, colour in bars])
left.invert_yaxis()
left.set(title="where the parameters are", xlabel="parameters (logarithmic)", xscale="log", xlim=(1e4, 1e8))

rows = np.arange(len(parts))
for offset, column, whole, colour, name in (
    (-0.2, 0, total, "#2a6f97", "parameters"),
    (0.2, 1, work, "#e07a3f", "multiply-adds"),
):
    middle.barh(rows + offset, [100 * c[column] / whole for c in parts.values()], 0.4, color=colour, label=name)
middle.set_yticks(rows, list(parts))
middle.invert_yaxis()
middle.set(title="SqueezeNet 1.0, shares", xlabel="share (%)")
middle.legend(frameon=False, loc="upper right", bbox_to_anchor=(1, 0.75))

grid = np.linspace(0.125, 1, 15)
right.plot(grid, [parameters(ratio) / 1e6 for ratio in grid], ".-", color="#2a6f97", label="squeeze ratio turned")
shares = np.linspace(0, 1, 17)
right.plot(
    shares,
    [parameters(0.5, share) / 1e6 for share in shares],
    ".-",
    color="#e07a3f",
    label="share of 3x3 turned\n(squeeze ratio 0.5)",
)
right.plot(0.125, total / 1e6, "o", color="#2a6f97", ms=9)
right.annotate("SqueezeNet", (0.125, total / 1e6), (10, -4), textcoords="offset points", color="#2a6f97")
right.set(title="two of five numbers", xlabel="ratio, share", ylabel="million parameters", ylim=(0, None))
right.legend(frameon=False, loc="upper left")
for ax in (left, middle, right):
    ax.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "squeeze_layers.png")

# %% [markdown]
# ## Try it
#
# 1. SqueezeNet's classifier is two fifths of its parameters. How many are left for ten classes?
# 2. Replace the 3x3 convolution of the module with a depthwise and a 1x1 one (tutorial 05). Does the squeeze still pay?
# 3. What would AlexNet's first fully connected layer cost if it took the mean of each map, as SqueezeNet does?
#
# Read on in `minighost/nn/fire.py` and `minighost/models/squeezenet.py`. The squeeze of tutorial 09 is another: that
# one reduces the plane to one number per channel, this one the channels.
