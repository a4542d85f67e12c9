# %% [markdown]
# # The ghost module
#
# Many feature maps of a trained network look like cheap copies of one another. A ghost module (Han et al. 2020)
# computes only a few *intrinsic* maps with an ordinary convolution and derives the rest - the *ghosts* - with a
# depthwise convolution, which costs a few multiplications per pixel. Here we build one, count it, and take its two
# halves apart. Then we ask whether the premise is true: how well does a 3x3 filter predict one map of a trained network
# from another?
#
# Run it with `python tutorials/11_ghost_module.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg

# %% [markdown]
# ## Half of the channels, twice
#
# With `ratio=2` one map in two is intrinsic. 64 channels in, 64 out: 32 come from a 3x3 convolution, 32 from a 3x3
# depthwise convolution *of those 32*. The output holds both halves side by side.

# %%
ghost = mg.nn.GhostModule(64, 64, kernel_size=3, ratio=2, rng=0)
plain = mg.nn.GhostModule(64, 64, kernel_size=3, ratio=1, rng=0)  # ratio 1 makes no ghosts: an ordinary convolution

x = np.random.default_rng(0).normal(size=(1, 16, 16, 64)).astype(np.float32)
out = ghost(x)
plain(x)
print("ghost module:", x.shape, "->", out.shape)

# %% [markdown]
# ## What it costs
#
# Per output pixel the convolution multiplies `c*k*k` numbers for each intrinsic map, the depthwise one only `d*d` for
# each ghost. So the cost falls almost by the ratio s - "almost", because of the `d*d`: by `s*c*k*k / (c*k*k +
# (s-1)*d*d)`.


# %%
def cost(module):
    """Parameters, and multiply-adds for one image."""
    return sum(p.size for p in module.parameters()), sum(m.macs for m in module.modules())


for name, module in (("plain", plain), ("ghost", ghost)):
    parameters, macs = cost(module)
    print(f"{name}: {parameters:,} parameters, {macs:,} multiply-adds")

saved = cost(plain)[1] / cost(ghost)[1]
c, k, d, s = 64, 3, 3, 2
print(f"multiply-adds saved: {saved:.3f} times; by the formula {s * c * k * k / (c * k * k + (s - 1) * d * d):.3f}")
assert abs(saved - 1.969) < 1e-3

# %% [markdown]
# ## A ghost depends on one map only
#
# Silence one intrinsic map - here the fifth - and exactly one ghost changes. In evaluation mode batch norm is a fixed
# scale and shift, so nothing else can mix the channels.

# %%
ghost.eval()
before = ghost(x).copy()
ghost.primary.bn.weight.data[4] = 0
after = ghost(x)
changed = np.flatnonzero((before != after).any(axis=(0, 1, 2)))
print("channels that changed:", changed, "- the map itself, and its ghost 32 channels further on")
assert changed.tolist() == [4, 36]

# %% [markdown]
# ## Backward: a map is seen twice
#
# An intrinsic map reaches the loss directly and through its ghost; its gradient is the sum of both.
# `GhostModule.backward` says just that, in five lines. We check it against a finite difference along a random
# direction, in double precision.

# %%
module = mg.nn.GhostModule(3, 6, kernel_size=1, rng=1).astype(np.float64)
rng = np.random.default_rng(2)
x, direction = rng.normal(size=(2, 5, 5, 3)), rng.normal(size=(2, 5, 5, 3))
dout = rng.normal(size=module(x).shape)  # random: an all-ones gradient would hide batch norm's mistakes
by_hand = (module.backward(dout) * direction).sum()
h = 1e-5
by_difference = ((module(x + h * direction) - module(x - h * direction)) * dout).sum() / (2 * h)
print(f"slope by hand {by_hand:.8f}, by difference {by_difference:.8f}")
assert abs(by_hand - by_difference) < 1e-6

# %% [markdown]
# ## A look at the two halves
#
# Top: the intrinsic maps of an image, bottom: their ghosts. The kernels are still random, yet the family resemblance
# shows.

# %%
image = mg.data.shapes10(10, seed=3, split="train").images[4:5]
look = mg.nn.GhostModule(3, 16, kernel_size=3, rng=4)
maps = look(mg.data.normalize(image, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))[0]
figure = Figure(figsize=(9, 3.2), layout="constrained")
axes = figure.subplots(2, 9)
axes[0, 0].imshow(image[0])
axes[0, 0].set_title("image", fontsize=9)
for column in range(8):
    for row, name in enumerate(("map", "ghost")):
        axes[row, column + 1].imshow(maps[:, :, column + 8 * row], cmap="magma")
        axes[row, column + 1].set_title(f"{name} {column}", fontsize=9)
for ax in axes.flat:
    ax.axis("off")
mg.plots.show(figure, "ghost_module.png")

# %% [markdown]
# ## Are maps redundant?
#
# That was by construction: a ghost has to resemble its map. The paper's argument is about *ordinary* networks: some
# of their maps look like copies. So we train an ordinary one, three convolutions on shapes10, for a few seconds.

# %%
train, test = mg.data.shapes10(2000), mg.data.shapes10(200, split="test")
mean, std = mg.data.channel_statistics(train.images)
loader = mg.data.Loader(train, 50, mean=mean, std=std)
images = mg.data.normalize(test.images, mean, std)


def network():
    rng = np.random.default_rng(0)
    stages = [mg.nn.ConvBNAct(c, n, 3, pool=2, rng=rng) for c, n in ((3, 16), (16, 32), (32, 64))]
    return mg.nn.Sequential(*stages, mg.nn.GlobalAvgPool(), mg.nn.Linear(64, 10, rng=rng)).skip_input_gradient()


model, untrained = network(), network()
epochs = 4
sgd = mg.train.SGD(model.parameters(), lr=0.4, momentum=0.9, nesterov=True, weight_decay=5e-4)
rate = mg.train.schedules.OneCycle(0.4, epochs * len(loader), len(loader), anneal="linear")
for epoch in range(epochs):
    for step, (x, labels) in enumerate(loader.epoch(epoch), epoch * len(loader)):
        sgd.lr = rate(step)
        untrained(x)  # it learns nothing, but batch norm sees the images
        _, dlogits = mg.ops.softmax_cross_entropy(model(x), labels)
        model.zero_grad()
        model.backward(dlogits)
        sgd.step()
accuracy = (model.eval()(images).argmax(axis=1) == test.labels).mean()
untrained.eval()
print(f"trained: {100 * accuracy:.1f} % of the test images correct")
assert accuracy > 0.6

# %% [markdown]
# ## One map from another
#
# For every pair (i, j) of maps of a layer we look for the 3x3 filter that best turns map i into map j: nine numbers, by
# least squares over 100 images. Then, on 100 *other* images, what share of map j's variance does the filtered map
# explain? 1 is a perfect copy. Only the pattern within an image counts, not that one image is brighter than the next:
# brightness alone would make any two maps copies. For each map j the best i counts.


# %%
def centred(maps):
    """Each map of each image with its mean taken away."""
    return maps.astype(np.float64) - maps.mean(axis=(1, 2), keepdims=True)


def neighbours(maps):
    """For each map the nine neighbours of each pixel, every one centred: (C, N*H*W, 9)."""
    N, H, W, C = maps.shape
    padded = np.pad(maps, [(0, 0), (1, 1), (1, 1), (0, 0)])
    columns = [centred(padded[:, u : u + H, v : v + W]) for u in range(3) for v in range(3)]
    return np.stack(columns, axis=-1).reshape(N * H * W, C, 9).transpose(1, 0, 2)


def predictable(maps):
    """Of each map: the share explained by the best other one, and which that is."""
    known, asked = (centred(half).reshape(-1, maps.shape[3]) for half in (maps[:100], maps[100:]))
    shares = []
    for a, b in zip(neighbours(maps[:100]), neighbours(maps[100:]), strict=True):
        filters = np.linalg.lstsq(a, known, rcond=None)[0]  # from this map to all others at once
        shares.append(1 - ((asked - b @ filters) ** 2).sum(axis=0) / (asked**2).sum(axis=0))
    shares = np.array(shares)
    np.fill_diagonal(shares, -np.inf)  # a map is no ghost of itself
    return shares.max(axis=0), shares.argmax(axis=0)


explained, maps = {}, {"trained": images, "random": images}
for layer in range(3):
    for name, net in (("trained", model), ("random", untrained)):
        maps[name] = net[layer](maps[name])
        explained[name, layer] = predictable(maps[name])[0]
    t, r = explained["trained", layer], explained["random", layer]
    print(
        f"layer {layer + 1}, {len(t)} maps: a typical one is explained by {np.median(t):.2f} ({np.median(r):.2f} "
        f"at random); nearly copies, above 0.9: {(t > 0.9).sum()} ({(r > 0.9).sum()})"
    )
    assert np.median(t) > np.median(r) and (t > 0.9).mean() < (0.5 if layer == 0 else 0.1)
    assert layer == 0 or np.median(t) < 0.7

# %% [markdown]
# What does that say, and what does it not say? Training makes maps *more* alike than chance does, in all three layers.
# But near copies are few, and there are hardly any in deeper layers: there, a filter of one other map tells part of the
# story. So the premise holds in part, for this small network. A ghost module does not need it to hold for an ordinary
# network: it is trained *with* its ghosts, and finds intrinsic maps of which cheap copies are useful. Whether that pays
# is a question of accuracy and cost together; `docs/results/README.md` has one comparison, and how to read it.

# %%
maps = model[0](images)
share, source = predictable(maps)
show = np.argsort(share)[[-1, -2, len(share) // 2, 0]]  # the two best copies, a typical map, the most independent one
figure = Figure(figsize=(10, 4.4), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=(1, 1.1))
axes = left.subplots(3, 4)
for column, j in zip(axes.T, show, strict=True):
    i, seen = source[j], 158  # an image in which all of these maps have something to show
    a, b = (neighbours(some)[0] for some in (maps[:100, ..., [i]], maps[[seen]][..., [i]]))
    guess = b @ np.linalg.lstsq(a, centred(maps[:100])[..., j].ravel(), rcond=None)[0]
    pictures = maps[seen, ..., i], guess.reshape(16, 16) + maps[seen, ..., j].mean(), maps[seen, ..., j]
    titles = f"map {i}", "filtered 3x3", f"map {j}: {share[j]:.2f}"
    for ax, picture, title in zip(column, pictures, titles, strict=True):
        ax.imshow(picture, cmap="magma")
        ax.set_title(title, fontsize=9)
        ax.axis("off")
ax = right.subplots()
for (name, layer), shares in explained.items():
    colour = ("#12384f", "#2a6f97", "#8fc1de") if name == "trained" else ("#a34f1d", "#e07a3f", "#f2c1a2")
    ordered, label = np.sort(shares)[::-1], f"layer {layer + 1}, {name}"
    ax.plot(np.linspace(0, 1, len(shares)), ordered, color=colour[layer], label=label)
ax.set(xlabel="share of the maps, the most predictable first", ylabel="explained by the best other map", ylim=(0, 1.2))
ax.legend(frameon=False, fontsize=9, ncols=2, loc="upper right")
ax.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "redundant_maps.png")

# %% [markdown]
# ## Try it
#
# 1. Predict a map from *two* others. How much does the typical share rise, and what would such a ghost cost?
# 2. Give the network ghost modules (`mg.nn.GhostModule(c, n, 3, pool=2, rng=rng)`) and train again. Compare accuracy
#    and multiply-adds, with three seeds each before you believe a difference.
# 3. Use `dw_size=5`: what does the formula say about the saving, and what does `cost` count?
#
# Read on in `minighost/nn/ghost.py`; tutorial 12 builds the network. In `minighost learn`, exercises 28 and 29 are the
# ghost module and exercise 30 its bottleneck.
