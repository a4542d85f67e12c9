# %% [markdown]
# # Re-parameterisation
#
# What is good to train need not be good to run. RepVGG (Ding et al. 2021) trains each 3x3 convolution with a 1x1 one
# and an identity beside it, and afterwards adds the three up into a single kernel: same outputs, one convolution. Why
# is that possible, what do the branches gain, and why not start with the single kernel at once? The answer to the last
# question is batch norm, and it can be shown exactly.
#
# Run it with `python tutorials/27_reparameterisation.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn

rng = np.random.default_rng(0)

# %% [markdown]
# ## Adding kernels instead of results
#
# A convolution is linear in its kernel. So two of them on the same input, added, are one with the sum of the kernels. A
# 1x1 kernel is a 3x3 one that is zero except at its centre, and the identity is a 1x1 kernel with a 1 from each channel
# to itself.

# %%
C = 6
x = rng.normal(size=(4, 7, 7, C))
three, one = rng.normal(size=(3, 3, C, C)), rng.normal(size=(1, 1, C, C))


def conv(x, w):
    return mg.ops.conv2d_forward(x, w, padding=w.shape[0] // 2)[0]


def at_centre(w):
    return np.pad(w, ((1, 1), (1, 1), (0, 0), (0, 0)))


identity = np.eye(C)[None, None]
merged = three + at_centre(one) + at_centre(identity)
assert np.allclose(conv(x, three) + conv(x, one) + x, conv(x, merged), atol=1e-12)
print(f"three branches have {three.size + one.size} weights, their sum {merged.size}")

# %% [markdown]
# ## Batch norm, in evaluation
#
# In the real unit each branch ends in a batch norm of its own. In evaluation that is a scale and a shift per channel,
# which a kernel and a bias can take in. `nn.merge_branches` does so. We give a unit some statistics first, by running
# it on a few batches.

# %%
unit = nn.ConvBranches(C, C, 3, rng=1).astype(np.float64)
for bn in (module for module in unit.modules() if isinstance(module, nn.BatchNorm2d)):
    bn.weight.data[:], bn.bias.data[:] = rng.uniform(0.5, 1.5, C), rng.normal(0, 0.3, C)
for _ in range(30):
    unit(rng.normal(0.5, 2, size=(16, 7, 7, C)))
unit.eval()


def by_hand(unit, statistics):
    """The kernel and the bias of the sum; statistics(bn) -> mean and variance of each branch's result."""
    w, b = np.zeros((3, 3, C, C)), np.zeros(C)
    kernels = unit.kernels[0].conv.weight.data, at_centre(unit.pointwise.conv.weight.data), at_centre(identity)
    for kernel, bn in zip(kernels, (unit.kernels[0].bn, unit.pointwise.bn, unit.identity), strict=True):
        mean, variance = statistics(bn)
        scale = bn.weight.data / np.sqrt(variance + bn.eps)
        w += kernel * scale
        b += bn.bias.data - mean * scale
    return w, b


w, b = by_hand(unit, lambda bn: (bn.running_mean.data, bn.running_var.data))
fused = nn.merge_branches(unit)
print(f"largest difference between branches and merged: {np.abs(unit(x) - fused(x)).max():.1e}")
assert np.allclose(unit(x), np.maximum(conv(x, w) + b, 0), atol=1e-12)
assert np.allclose(unit(x), fused(x), atol=1e-12)
assert np.allclose(fused.conv.weight.data, w, atol=1e-12) and np.allclose(fused.conv.bias.data, b, atol=1e-12)

# %% [markdown]
# ## Why not from the start? Without batch norm there is nothing to gain
#
# Train three branches *without* batch norm by gradient descent, and the merged kernel beside them. The 3x3 and the 1x1
# kernel get the same gradient at the centre, so that their sum takes its step twice. That is all: the branches are the
# single kernel, with twice the learning rate at its centre.

# %%
target, lr = rng.normal(size=x.shape), 0.05
rate = at_centre(np.full((1, 1, 1, 1), lr)) + lr  # 2 lr at the centre


def gradient(x, w, target):
    out, cache = mg.ops.conv2d_forward(x, w, padding=w.shape[0] // 2)
    return out, lambda dout: mg.ops.conv2d_backward(dout, cache)[1]


branches, single = [three.copy(), one.copy()], merged.copy()
losses = []
for _ in range(20):
    (out3, back3), (out1, back1) = (gradient(x, w, target) for w in branches)
    error = (out3 + out1 + x - target) / len(x)
    branches = [branches[0] - lr * back3(error / 49), branches[1] - lr * back1(error / 49)]
    out, back = gradient(x, single, target)
    losses.append(((out - target) ** 2).mean())
    single = single - rate * back((out - target) / len(x) / 49)
print(f"20 steps: mean square error {losses[0]:.2f} -> {losses[-1]:.2f}; branches and single kernel stay equal")
assert losses[-1] < losses[0]
assert np.allclose(branches[0] + at_centre(branches[1]) + at_centre(identity), single, atol=1e-12)

# %% [markdown]
# ## With batch norm it is another thing
#
# In training a batch norm divides by the deviation of *this* batch. For a given batch the unit is still one convolution
# with one bias - we compute it below from the batch's own statistics - but for the next batch it is another. There is
# no kernel to merge into until the statistics stand still; in evaluation they do. And the normalisation acts before the
# sum: each branch contributes as much as its gamma says, however small its kernel has become.

# %%
unit.train()
kernels = []
for _ in range(8):
    batch = rng.normal(0, 1, size=(4, 7, 7, C))
    results = conv(batch, unit.kernels[0].conv.weight.data), conv(batch, unit.pointwise.conv.weight.data), batch
    bns = unit.kernels[0].bn, unit.pointwise.bn, unit.identity
    moments = {id(bn): (y.mean(axis=(0, 1, 2)), y.var(axis=(0, 1, 2))) for bn, y in zip(bns, results, strict=True)}
    w, b = by_hand(unit, lambda bn, moments=moments: moments[id(bn)])
    assert np.allclose(unit(batch), np.maximum(conv(batch, w) + b, 0), atol=1e-12)  # one convolution, for this batch
    kernels.append(w)
centres = np.array([w[1, 1, 0, 0] for w in kernels])
print("the same weight of the merged kernel, batch by batch:", centres.round(3))
assert np.ptp(centres) > 0.01

before = unit(x)
unit.pointwise.conv.weight.data[:] *= 100
assert np.allclose(unit(x), before, atol=1e-4)  # its batch norm takes the factor out again
print("the 1x1 kernel times 100: in training the output is the same")

# %% [markdown]
# ## What training gains
#
# Stack 24 units and look at the gradient on its way back, in a new network. Through plain 3x3 convolutions with batch
# norm it grows at every unit: the first layers get steps that suit the last ones badly. An identity branch carries part
# of it past each kernel, and it grows less.

# %%
DEPTH = 24
start = rng.normal(size=(16, 8, 8, 16)).astype(np.float32)


def gradients(kind, seed):
    """Norm of the gradient in front of each unit, as a multiple of that at the end."""
    draw = np.random.default_rng(seed)
    layers = [kind(16, 16, 3, rng=draw) for _ in range(DEPTH)]
    y = start
    for layer in layers:
        y = layer(y)
    d = draw.normal(size=y.shape).astype(np.float32)
    norms = [np.linalg.norm(d)]
    for layer in reversed(layers):
        d = layer.backward(d)
        norms.append(np.linalg.norm(d))
    return np.array(norms[::-1]) / norms[0]


plain, branched = (
    np.mean([gradients(kind, seed) for seed in range(2)], axis=0) for kind in (nn.ConvBNAct, nn.ConvBranches)
)
print(
    f"gradient at the first of {DEPTH} units: {plain[0]:.0f} times that at the end if plain, {branched[0]:.0f} if not"
)
assert plain[0] > 1.4 * branched[0]

# %% [markdown]
# That is a symptom and no proof of accuracy; for that see the ablations of the paper, or train `repvgg_cifar` in both
# forms (`form="fused"` is the plain network, by count).
#
# ## What inference saves
#
# Three families, as they are trained and as they are run. GhostNetV3 and MobileOne have several branches of the full
# kernel size, so they save more.

# %%
families = {"RepVGG-A0": ("repvgg", "A0"), "MobileOne-S0": ("mobileone", "s0"), "GhostNetV3": ("ghostnetv3", None)}
saved = {}
for name, (model, variant) in families.items():
    counts = []
    for form in ("training", "fused"):
        with nn.without_weights():
            network = mg.models.create(model, form=form, **({"variant": variant} if variant else {}))
        rows = mg.analysis.count(network, (224, 224, 3))
        counts.append((sum(row.params for row in rows), sum(row.macs for row in rows)))
    saved[name] = counts
    (p, m), (p_fused, m_fused) = counts
    print(f"{name:13} parameters {p:,} -> {p_fused:,}, multiply-adds {m / 1e6:.0f} -> {m_fused / 1e6:.0f} million")
assert saved["RepVGG-A0"] == [(9_108_968, 1_512_581_120), (8_309_384, 1_361_451_008)]
assert saved["MobileOne-S0"] == [(5_293_272, 1_051_935_232), (2_078_504, 275_110_400)]
assert saved["GhostNetV3"] == [(8_129_028, 404_128_320), (6_147_588, 167_048_288)]

unit = nn.ConvBranches(64, 64, 3, groups=64, branches=4, rng=1).eval()  # as in MobileOne-S0
fused, image = nn.merge_branches(unit), rng.normal(size=(2, 8, 8, 64)).astype(np.float32)
kinds = [[type(m) for m in module.modules()] for module in (unit, fused)]
layers = [sum(found.count(kind) for kind in (nn.Conv2d, nn.BatchNorm2d)) for found in kinds]
print(f"a depthwise unit of MobileOne: {layers[0]} convolutions and batch norms in training, {layers[1]} afterwards")
assert layers == [11, 1] and np.allclose(unit(image), fused(image), atol=1e-4)
assert np.allclose(nn.fold(unit)(image), fused(image), atol=1e-4)  # folding a network merges by itself

# %%
figure = Figure(figsize=(12, 5.6), layout="constrained")
above, below = figure.subfigures(2, 1)
above.suptitle("Channel 0 to channel 0: kernels are added")
limit = np.abs(merged[:, :, 0, 0]).max()
pictures = {"3x3": three, "1x1": at_centre(one), "identity": at_centre(identity), "merged": merged}
for ax, (name, kernel) in zip(above.subplots(1, 4), pictures.items(), strict=True):
    ax.imshow(kernel[:, :, 0, 0], cmap="RdBu", vmin=-limit, vmax=limit)
    ax.set(title={"3x3": "3x3", "merged": "= merged"}.get(name, f"+ {name}"), xticks=[], yticks=[])
    for (i, j), value in np.ndenumerate(kernel[:, :, 0, 0]):
        ax.text(j, i, f"{value:.2f}", ha="center", va="center", color="white" if abs(value) > 0.6 * limit else "black")
    ax.spines[:].set_visible(False)
left, middle, right = below.subplots(1, 3)
left.plot(centres, "o-", color="#aa3377")
left.set(title="with batch norm, in training", xlabel="batch", ylabel="a weight of the merged kernel")
middle.semilogy(plain, ".-", color="#9aa5b1", label="plain 3x3, batch norm")
middle.semilogy(branched, ".-", color="#2a6f97", label="with branches")
middle.set(title="the gradient on its way back", xlabel="unit", ylabel="norm, 1 at the end")
middle.legend(frameon=False)
place = np.arange(3)
for offset, form, colour, name in ((-0.2, 0, "#9aa5b1", "trained"), (0.2, 1, "#2a6f97", "run")):
    right.bar(place + offset, [c[form][1] / 1e6 for c in saved.values()], 0.4, color=colour, label=name)
right.set_xticks(place, list(saved))
right.set(title="what inference saves", ylabel="million multiply-adds")
right.legend(frameon=False)
for ax in (left, middle, right):
    ax.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "reparameterisation.png")

# %% [markdown]
# ## Try it
#
# 1. Put one batch norm *after* the sum in place of one in each branch. Is there anything left to gain?
# 2. What is the identity as a kernel of a convolution with two groups? `minighost/nn/reparameterize.py` knows.
# 3. Why is there no identity branch where the stride is 2?
# 4. Time `unit(image)`, `fused(image)` and `nn.fold(unit)(image)` with larger images. Where are multiply-adds time?
#
# Read on in `minighost/nn/branches.py` and `minighost/nn/reparameterize.py`; the networks are in
# `minighost/models/repvgg.py`, `minighost/models/mobileone.py` and `minighost/models/ghostnetv3.py`. Tutorial 16 merges
# the batch norm of a single branch, which is the same idea.
