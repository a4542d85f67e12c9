# %% [markdown]
# # Separable in space, separable in depth
#
# Two quite different things are called a *separable convolution*. In image processing a kernel is separable if it is
# a column times a row: k*k weights become 2k. In networks it is a depthwise convolution followed by a 1x1: k*k*C*OC
# become k*k*C + C*OC. Both say that a table of numbers has rank 1; they lay out the table differently. The singular
# value decomposition tells how nearly true that is. We ask it about famous kernels, then about those that a network
# learnt.
#
# Run it with `python tutorials/21_separable_twice.py`; it needs no network and takes a few seconds.

# %%
import copy

import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn

rng = np.random.default_rng(0)

# %% [markdown]
# ## In space: a column times a row
#
# A kernel is a table of rows by columns. If it has rank 1, `kernel[u, v] = column[u] * row[v]`, the double sum over
# (u, v) falls apart into a sum of sums. `nn.separate` finds the column and the row; if the rank is larger, it finds
# the nearest product and says how much is missing (Eckart and Young 1936).

# %%
offsets = np.arange(-3, 4)
bell = np.exp(-(offsets**2) / 4)
kernels = {
    "Sobel": np.outer([1.0, 2, 1], [-1, 0, 1]),
    "Gaussian": np.outer(bell, bell),
    "Laplacian": np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "diagonal": np.eye(5),
    "disc": (offsets[:, None] ** 2 + offsets**2 <= 9).astype(float),
    "random": rng.normal(size=(7, 7)),
}
parts = {name: nn.separate(kernel) for name, kernel in kernels.items()}
for name, (column, row, rank, error) in parts.items():
    print(f"{name:10} rank {rank}, a column times a row misses {error:.0%}")
    missing = np.linalg.norm(kernels[name] - np.outer(column, row)) / np.linalg.norm(kernels[name])
    assert abs(missing - error) < 1e-12
assert [part.rank for part in parts.values()] == [1, 1, 2, 5, 3, 7]
assert abs(parts["diagonal"].error - np.sqrt(4 / 5)) < 1e-12  # five equal singular values, one is kept

# %% [markdown]
# `SpatiallySeparableConv2d` does the column, then the row, each channel by itself. With kernels of rank 1 it equals
# the depthwise convolution. Nothing may stand between the two, not even a ReLU: the equality is that of a product.

# %%
image = rng.normal(size=(1, 20, 24, 2))
pair = np.stack([np.outer([1.0, 2, 1], [-1, 0, 1]), np.outer([1.0, 1, 1], [1, 1, 1])], axis=2)
layer = nn.SpatiallySeparableConv2d(2, 3).astype(np.float64).set_kernels(pair)
at_once, _ = mg.ops.depthwise_forward(image, pair[:, :, :, None], padding=1)
np.testing.assert_allclose(layer(image), at_once, atol=1e-12)
with_relu = layer.row(np.maximum(layer.column(image), 0))
print(f"a ReLU between column and row changes the result by up to {abs(with_relu - at_once).max():.1f}")
assert abs(with_relu - at_once).max() > 1
assert sum(p.size for p in layer.parameters()) == 2 * (3 + 3) < pair.size

# %% [markdown]
# A kernel of rank r is the sum of r such products, 2k*r weights: for a 7x7 it pays up to rank 3. That is the disc's,
# for its seven rows have only three widths.
#
# ## In depth: where, then what
#
# Now the whole layer, w of shape (k, k, C, OC). Fix an input channel c, and lay out its weights as a table of *taps
# by outputs*, k*k by OC. Rank 1 means: all outputs look at this channel with the same k x k filter, each with its own
# factor. That is the depthwise filter and the 1x1 weights of `SeparableConv2d`; the filter itself need not be a
# column times a row. Rank r takes r filters per channel, the *multiplier* of a depthwise convolution, so even an
# arbitrary layer is depthwise and 1x1, with r = k*k.


# %%
def in_space(w, r):
    """The weights (k, k, C, OC) nearest to w whose k x k kernels have rank r."""
    tables = w.transpose(2, 3, 0, 1)  # (C, OC, k, k)
    return nearest(tables, r).transpose(2, 3, 0, 1)


def in_depth(w, r):
    """The weights (k, k, C, OC) nearest to w that a depthwise convolution with multiplier r and a 1x1 can have."""
    k, _, C, OC = w.shape
    tables = w.transpose(2, 0, 1, 3).reshape(C, k * k, OC)
    return nearest(tables, r).reshape(C, k, k, OC).transpose(1, 2, 0, 3)


def nearest(tables, r):
    columns, scales, rows = np.linalg.svd(tables, full_matrices=False)
    return (columns[..., :r] * scales[..., None, :r]) @ rows[..., :r, :]


C, OC = 4, 12
x, w = rng.normal(size=(2, 9, 8, C)), rng.normal(size=(3, 3, C, OC))
for r in (1, 2, 9):
    tables = in_depth(w, r).transpose(2, 0, 1, 3).reshape(C, 9, OC)
    columns, scales, rows = np.linalg.svd(tables, full_matrices=False)
    filters = (columns * scales[:, None])[:, :, :r].transpose(1, 0, 2).reshape(3, 3, C, r)
    halves = mg.ops.depthwise_forward(x, filters, padding=1)[0] @ rows[:, :r].reshape(C * r, OC)
    np.testing.assert_allclose(mg.ops.conv2d_forward(x, in_depth(w, r), padding=1)[0], halves, atol=1e-12)
np.testing.assert_allclose(in_depth(w, 9), w, atol=1e-12)
np.testing.assert_allclose(in_space(w, 3), w, atol=1e-12)

separable = nn.SeparableConv2d(C, OC, 3, rng=0).astype(np.float64)
product = separable.depthwise.weight.data.transpose(0, 1, 3, 2) * separable.pointwise.weight.data  # (3, 3, C, OC)
np.testing.assert_allclose(mg.ops.conv2d_forward(x, product, padding=1)[0], separable(x), atol=1e-12)
np.testing.assert_allclose(in_depth(product, 1), product, atol=1e-12)

# %% [markdown]
# What does each save? The two are independent: `SpatiallySeparableConv2d` and a 1x1 after it are separable in both
# ways.

# %%
C, k = 64, 7
costs = {
    "dense": k * k * C * C,
    "in depth": k * k * C + C * C,
    "both": 2 * k * C + C * C,
}
built = {
    "dense": nn.Conv2d(C, C, k, bias=False),
    "in depth": nn.SeparableConv2d(C, C, k),
    "both": nn.Sequential(nn.SpatiallySeparableConv2d(C, k), nn.Conv2d(C, C, 1, bias=False)),
}
print(f"\na {k}x{k} layer, {C} -> {C} channels")
for name, module in built.items():
    weights = sum(p.size for p in module.parameters())
    print(f"{name:10} {weights:8,} weights, {weights / costs['dense']:.1%}")
    assert weights == costs[name]

# %% [markdown]
# In depth it saves almost everything; what is left is the 1x1, and the space between 49 and 14 weights per channel
# hardly matters. That is why networks separate in depth, and in space only where kernels are long (the attention of
# GhostNetV2 has 1x5 and 5x1).
#
# ## What a network learns
#
# Is a trained layer nearly separable, so that one could cut it afterwards? We train an ordinary network on shapes10
# for a few seconds, and beside it one that is separable in depth from the start.

# %%
train, test = mg.data.shapes10(2000), mg.data.shapes10(200, split="test")
mean, std = mg.data.channel_statistics(train.images)
loader = mg.data.Loader(train, 50, mean=mean, std=std)
images = mg.data.normalize(test.images, mean, std)
widths = (3, 16), (16, 32), (32, 64)


def network(Layer):
    rng, modules = np.random.default_rng(0), []
    for position, (c, n) in enumerate(widths):
        conv = Layer(c, n, 3, rng=rng) if position else nn.Conv2d(c, n, 3, padding=1, bias=False, rng=rng)
        modules += [conv, nn.MaxPool2d(2), nn.BatchNorm2d(n, relu=True)]
    return nn.Sequential(*modules, nn.GlobalAvgPool(), nn.Linear(64, 10, rng=rng)).skip_input_gradient()


def dense(c, n, k, rng):
    return nn.Conv2d(c, n, k, padding=1, bias=False, rng=rng)


def accuracy(model):
    return float((model.eval()(images).argmax(axis=1) == test.labels).mean())


def trained(model, epochs=4):
    sgd = mg.train.SGD(model.parameters(), lr=0.4, momentum=0.9, nesterov=True, weight_decay=5e-4)
    rate = mg.train.schedules.OneCycle(0.4, epochs * len(loader), len(loader), anneal="linear")
    for epoch in range(epochs):
        for step, (x, labels) in enumerate(loader.epoch(epoch), epoch * len(loader)):
            sgd.lr = rate(step)
            _, dlogits = mg.ops.softmax_cross_entropy(model(x), labels)
            model.zero_grad()
            model.backward(dlogits)
            sgd.step()
    return model


ordinary, separate = trained(network(dense)), trained(network(nn.SeparableConv2d))
for name, model in (("ordinary", ordinary), ("separable in depth", separate)):
    weights = sum(p.size for p in model.parameters())
    print(f"{name:18} {weights:7,} parameters, {accuracy(model):.1%} of the test images correct")
    assert accuracy(model) > 0.3  # chance is 0.1

# %% [markdown]
# Now cut the ordinary one: replace the weights of its second and third layer by the nearest ones of rank r, in space
# or in depth, and train no further.

# %%
cuts = {"in space": (in_space, range(1, 4)), "in depth": (in_depth, (1, 2, 3, 4, 6, 9))}
missing, kept = {}, {}
for name, (cut, ranks) in cuts.items():
    print(f"\n{name}: rank, share of the third layer's weights that is lost (of random ones), accuracy")
    for r in ranks:
        model = copy.deepcopy(ordinary)
        for place in (3, 6):
            weight = model[place].weight
            chance = rng.normal(size=weight.shape)
            learnt, weight.data[:] = weight.data.copy(), cut(weight.data, r)
            missing[name, r] = [np.linalg.norm(v - cut(v, r)) / np.linalg.norm(v) for v in (learnt, chance)]
        kept[name, r] = accuracy(model)
        print(f"{r:3} {missing[name, r][0]:8.0%} ({missing[name, r][1]:3.0%}) {kept[name, r]:8.1%}")
    errors = [missing[name, r][0] for r in ranks]
    assert all(a > b for a, b in zip(errors, errors[1:], strict=False)) and errors[-1] < 1e-5
    assert missing[name, 1][0] < missing[name, 1][1]  # learnt weights are nearer to rank 1 than random ones
    assert abs(kept[name, ranks[-1]] - accuracy(ordinary)) < 0.02
assert missing["in space", 1][0] < missing["in depth", 1][0]
assert accuracy(separate) > kept["in depth", 1]

# %% [markdown]
# Training brings kernels nearer to rank 1 than chance does, in both ways, but not near. In space this network can do
# with rank 2 of 3, which saves nothing; in depth it needs most of the nine filters per channel. A network that is
# *built* separable has learnt to make do with one, and about a sixth of the weights. That is the difference between
# approximating a layer and choosing a smaller family of layers to learn from.

# %%
figure = Figure(figsize=(11, 6.6), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(1.15, 1))
for column, (name, kernel) in zip(above.subplots(2, len(kernels)).T, kernels.items(), strict=True):
    product, bound = np.outer(parts[name].column, parts[name].row), abs(kernel).max()
    for ax, shown in zip(column, (kernel, product), strict=True):
        ax.imshow(shown, cmap="RdBu_r", vmin=-bound, vmax=bound)
        ax.set(xticks=[], yticks=[])
    column[0].set_title(f"{name}, rank {parts[name].rank}", fontsize=10)
    column[1].set_xlabel(f"misses {parts[name].error:.0%}", fontsize=10)
left, right = below.subplots(1, 2)
for (name, (_, ranks)), colour in zip(cuts.items(), ("#2a6f97", "#e07a3f"), strict=True):
    both = [missing[name, r] for r in ranks]
    left.plot(ranks, [pair[0] for pair in both], "o-", color=colour, lw=2, label=f"{name}, learnt")
    left.plot(ranks, [pair[1] for pair in both], "o:", color=colour, lw=1.2, ms=4, label=f"{name}, random")
    right.plot(ranks, [kept[name, r] for r in ranks], "o-", color=colour, lw=2, label=f"cut {name}")
right.axhline(accuracy(separate), color="#444444", ls="--", label="trained separable in depth")
left.set(xlabel="rank r", ylabel="lost share of the weights", ylim=(-0.03, 1))
right.set(xlabel="rank r", ylabel="accuracy", ylim=(0, 1.03))
left.set_title("How separable are weights?", fontsize=10)
right.set_title("Cut after training", fontsize=10)
for ax in (left, right):
    ax.legend(frameon=False, fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "separable_twice.png")

# %% [markdown]
# ## Try it
#
# 1. Separate the filters of `separate`'s depthwise convolutions with `nn.separate`. What rank do they have, and what
#    accuracy is left if they are cut to rank 1?
# 2. There is a third table: k*k*C by OC, taps and channels against outputs. What pair of layers does rank r mean there?
# 3. A column of k taps, a row of k taps and a 1x1 from C to OC channels may come in any order. Which is the cheapest if
#    OC is less than C, and which if the row has a stride?
#
# Read on in `minighost/nn/spatially_separable.py` and `minighost/nn/separable.py`; tutorial 05 has the cost of
# separating in depth. In `minighost learn`, exercise 19 is the separable convolution and exercise 43 separates
# kernels by SVD.
