# %% [markdown]
# # Papers, and what we measure
#
# "Half the cost." "Scales with the width squared." "Nine times cheaper." Sentences like these are true under
# conditions, and the conditions get lost between the paper and those who quote it. We take the common ones about cheap
# convolutions, count with minighost's own networks, and then time what was counted: multiply-adds are not milliseconds.
#
# Run it with `python tutorials/17_papers_and_measurements.py`; it needs no network and takes about ten seconds. Counts
# are asserted; times are those of your machine and only printed.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn


def cost(model, shape):
    """Parameters, and multiply-adds for one image."""
    rows = mg.analysis.count(nn.Sequential(model), shape)
    return sum(row.params for row in rows), sum(row.macs for row in rows)


# %% [markdown]
# ## What a ghost module is
#
# Often described wrongly, so let the module itself answer. Of n maps m = n/s are intrinsic. Each yields s - 1 ghosts,
# *not* s: it is the s-th map itself. So there are `m * (s - 1)` ghosts, and they are put beside the m, not added to
# them. The cheap operation is just a depthwise convolution: no 1x1 convolution follows.

# %%
n = 24
for s in (2, 3, 4):
    module = nn.GhostModule(16, n, 1, ratio=s)
    m, ghosts = module.primary.conv.weight.shape[3], module.cheap.conv.weight.shape[3]
    print(f"s = {s}: {m} intrinsic maps, {ghosts} ghosts; n/(s(s-1)), as some have it, would be {n / (s * (s - 1)):g}")
    assert (m, ghosts) == (n // s, n // s * (s - 1)) and m + ghosts == n
    assert module.cheap.conv.groups == m and len(list(module.cheap.children())) == 2  # with a batch norm

# %% [markdown]
# And about GhostNet: cheap kernels are 3x3 everywhere, although the table says 5 in seven of its rows; the second ghost
# module of a bottleneck has no ReLU, and nothing follows the sum.

# %%
ghostnet = mg.models.create("ghostnet")
layers = dict(ghostnet.named_modules())
cheap = {layer.kernel_size for path, layer in layers.items() if path.endswith("cheap.conv")}
fives = {path.split(".")[-2] for path, layer in layers.items() if getattr(layer, "kernel_size", None) == (5, 5)}
print("cheap kernels:", cheap, " 5x5 kernels are in:", fives)
assert cheap == {(3, 3)} and fives <= {"depthwise", "0"}  # the strided one, and the first of the shortcut's two
assert not any(layer.relu for path, layer in layers.items() if "ghost2" in path and isinstance(layer, nn.BatchNorm2d))

# %% [markdown]
# ## "s times cheaper"
#
# The ratio of multiply-adds is `s*c*k*k / (c*k*k + (s-1)*d*d)`: near s only if a window of the primary convolution,
# c*k*k numbers, is much larger than the cheap one's d*d. For 3x3 and 64 channels it is. But GhostNet's are 1x1.


# %%
def saved(c, k, s, d=3):
    """Counted: an ordinary convolution's multiply-adds over a ghost module's."""
    plain, ghost = (cost(nn.GhostModule(c, 48, k, ratio, dw_size=d), (8, 8, c))[1] for ratio in (1, s))
    return plain / ghost


for c, k, s in ((64, 3, 2), (16, 1, 2), (16, 1, 4), (160, 1, 2)):
    formula = s * c * k * k / (c * k * k + (s - 1) * 9)
    print(f"c = {c:3}, {k}x{k}, s = {s}: {saved(c, k, s):.2f} times cheaper")
    assert abs(saved(c, k, s) - formula) < 1e-9
assert round(saved(16, 1, 2), 2) == 1.28 and saved(64, 3, 2) > 1.96
whole = [cost(mg.models.create("ghostnet", ratio=ratio), (224, 224, 3))[1] for ratio in (1, 2)]
print(f"all of GhostNet: {whole[0]:,} multiply-adds without ghosts, {whole[1]:,} with: {whole[0] / whole[1]:.2f} times")
assert whole[1] == 141_150_512 and whole[0] / whole[1] < 1.8

# %% [markdown]
# ## "Scales with the width squared"
#
# If cost is width to the power p, what is p? Between half and full width, it is closer to 1 for parameters: the 1280
# features and the classifier, half of all parameters, have at most one side that scales.

# %%
full, half = (cost(mg.models.create("ghostnet", width=width), (224, 224, 3)) for width in (1.0, 0.5))
power = [np.log(b / a) / np.log(2) for a, b in zip(half, full, strict=True)]
print(f"parameters grow with the width to the power {power[0]:.2f}, multiply-adds to the power {power[1]:.2f}")
assert abs(power[0] - 1.0) < 0.05 and 1.6 < power[1] < 1.8

# %% [markdown]
# ## "A separable convolution is nine times cheaper"
#
# Depthwise k x k, then 1x1, costs `1/OC + 1/(k*k)` of the ordinary convolution. For 3x3 that is *at most* nine times
# less, with infinitely many outputs. The usual example, 3 channels to 4, has 108 weights against 27 + 12 = 39.
#
# What then dominates is the 1x1. MobileNet (Howard et al. 2017) says: 95 % of the multiply-adds. We build it and count.


# %%
def separable(c, n, stride=1, k=3):
    return nn.Sequential(nn.ConvBNAct(c, c, k, stride, groups=c), nn.ConvBNAct(c, n, 1))


weights = [layer.weight.size for layer in separable(3, 4).modules() if isinstance(layer, nn.Conv2d)]
print(f"3 to 4 channels: {weights[0]} + {weights[1]} against {9 * 3 * 4} weights, {108 / sum(weights):.2f} times less")
assert weights == [27, 12] and round(108 / 39, 2) == 2.77
for n in (4, 64, 1024):
    dense, pair = (cost(layer, (8, 8, 3))[1] for layer in (nn.Conv2d(3, n, 3, padding=1, bias=False), separable(3, n)))
    assert abs(pair / dense - (1 / n + 1 / 9)) < 1e-12 and dense / pair < 9

c, blocks = 32, [nn.ConvBNAct(3, 32, 3, 2)]
for n, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)):
    blocks.append(separable(c, n, stride))
    c = n
mobilenet = nn.Sequential(*blocks, nn.GlobalAvgPool(), nn.Linear(1024, 1000))
rows, kinds = mg.analysis.count(mobilenet, (224, 224, 3)), dict(mobilenet.named_modules())
macs = sum(row.macs for row in rows)
ones = sum(row.macs for row in rows if getattr(kinds[row.path], "kernel_size", None) == (1, 1))
print(f"MobileNet: {sum(row.params for row in rows):,} parameters, {macs:,} multiply-adds, {ones / macs:.1%} in 1x1")
assert round(macs / 1e6) == 569 and round(ones / macs, 2) == 0.95  # as in the paper

# %% [markdown]
# ## Multiply-adds are not milliseconds
#
# Five layers with exactly the same number of multiply-adds. What differs is how many bytes each must move for them, and
# how well the work fills the processor. Look at your own times before you read on.

# %%
equal = {
    "1x1, 192 channels": (nn.Conv2d(192, 192, 1, bias=False), (16, 16, 192)),
    "3x3, 64 channels": (nn.Conv2d(64, 64, 3, padding=1, bias=False), (16, 16, 64)),
    "3x3, 16 groups of 16": (nn.Conv2d(256, 256, 3, padding=1, groups=16, bias=False), (16, 16, 256)),
    "depthwise 3x3, 256": (nn.Conv2d(256, 256, 3, padding=1, groups=256, bias=False), (64, 64, 256)),
    "linear, 3072 features": (nn.Linear(3072, 3072, bias=False), (3072,)),
}
rng, times = np.random.default_rng(0), {}
for name, (layer, shape) in equal.items():
    x = rng.normal(size=(8, *shape)).astype(np.float32)
    out = layer(x)
    assert layer.macs == 9 * 2**20
    moved = x.nbytes + out.nbytes + layer.weight.data.nbytes
    times[name] = 1e3 * mg.bench.measure(lambda layer=layer, x=x: layer(x), repeats=5).least / 8
    print(
        f"{name:21} {layer.macs:,} multiply-adds, {2 * 8 * layer.macs / moved:6.1f} operations per byte: "
        f"{times[name]:6.3f} ms per image"
    )

# %% [markdown]
# A depthwise convolution does few operations with each byte and waits for memory (tutorial 15 has the reason),
# and so does a linear layer on few images. The 3x3 may even beat the 1x1: counts are those of the definition,
# and Winograd's method, `engine/kernels/winograd.py`, computes 16 outputs with 36 multiplications instead of 144.
#
# So a network that trades dense multiply-adds for depthwise ones may save less time than its count says. GhostNet with
# its ghosts and without, on 32x32 images, in inference and in training:

# %%
x, labels = rng.normal(size=(32, 32, 32, 3)).astype(np.float32), rng.integers(0, 10, 32)
seconds, counted = {}, {}
for ratio in (1, 2):
    model = mg.models.create("ghostnet_cifar_fast", width=0.5, ratio=ratio)
    counted[ratio] = cost(model, (32, 32, 3))[1]
    predict = nn.fold(model)

    def step(model=model):
        model.zero_grad()
        model.backward(mg.ops.softmax_cross_entropy(model(x), labels)[1])

    seconds[ratio] = [mg.bench.measure(call, repeats=5).least for call in (lambda predict=predict: predict(x), step)]
print(f"multiply-adds: {counted[1] / counted[2]:.2f} times fewer with ghosts")
for name, without, ghosts in zip(("inference", "training"), *seconds.values(), strict=True):
    print(f"{name}: {1e3 * without:.1f} ms without ghosts, {1e3 * ghosts:.1f} ms with: {without / ghosts:.2f} times")
assert counted[1] > 1.3 * counted[2]

# %% [markdown]
# And these are not even equal networks: where a ghost module is a 1x1 convolution with 3x3 ghosts, the plain 1x1 sees
# no neighbours. Nor are machines equal: the paper measured on the ARM processor of a phone. When you read "faster",
# ask: on what, with how many images at a time, at equal accuracy? Then measure.

# %%
figure = Figure(figsize=(10.5, 3.8), layout="constrained")
left, right = figure.subplots(1, 2)
channels = np.arange(4, 161, 4)
for s, colour in ((2, "#2a6f97"), (3, "#6a7f4f"), (4, "#e07a3f")):
    for k, style in ((3, "--"), (1, "-")):
        ratio = [s * c * k * k / (c * k * k + (s - 1) * 9) for c in channels]
        left.plot(channels, ratio, style, color=colour, label=f"s = {s}, {k}x{k}")
left.set(title="a ghost module: times fewer multiply-adds", xlabel="input channels", ylim=(0, 4.1))
left.legend(frameon=False, ncols=3, fontsize=9)
right.barh(list(times), list(times.values()), color="#2a6f97")
right.invert_yaxis()
right.set(title="the same 9,437,184 multiply-adds, on this machine", xlabel="ms per image")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "papers_and_measurements.png")

# %% [markdown]
# ## Try it
#
# 1. Choose n, c and k so that a ghost module with s = 2 has *more* multiply-adds than the convolution. What is d then?
# 2. Time the five layers with one image instead of eight. Which changes most, and why is it the linear one?
# 3. `minighost bench ghostnet --width 0.5 --set stem_stride=1 --set ratio=1`, and without the ratio: what share of the
#    roof does each reach?
#
# Read on in `minighost/bench/cost.py`, and in `docs/results/README.md` how peers are compared. In `minighost learn`,
# exercise 38 counts GhostNet.
