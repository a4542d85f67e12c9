# %% [markdown]
# # ReLU, CReLU, and a claim put to the test
#
# ReLU cuts off everything below zero. What does it throw away? Shang et al. (2016) looked at trained filters and found
# them in pairs: a filter, and nearly its negative. If a network learns both phases because ReLU shows it only one of
# them, it wastes filters; their CReLU keeps both phases of each filter instead. Is that so? We look at what ReLU and
# CReLU do, train a small network, compute their pairing statistic - and one more number, which tells a different
# story.
#
# Run it with `python tutorials/08_relu_and_crelu.py`; it needs no network and takes ten seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn

rng = np.random.default_rng(0)

# %% [markdown]
# ## ReLU, and how a unit dies
#
#     out = max(x, 0)                dx = dout where x > 0, else 0
#
# Backward it is a gate: open where x was positive. A unit whose x is negative for *every* image has its gate shut: no
# gradient reaches its weights, they do not move, and as long as its inputs stay as they are it stays negative. It is
# dead. One large step that throws a bias far down is enough.

# %%
image = rng.normal(size=(8, 10, 10, 3))
conv, act = nn.Conv2d(3, 4, 3, rng=1).astype(np.float64), nn.ReLU()
conv.bias.data[2] = -20  # thrown far down
out = act(conv(image))
conv.backward(act.backward(rng.normal(size=out.shape)))
moved = np.abs(conv.weight.grad).max(axis=(0, 1, 2))
print("largest output of each unit: ", out.max(axis=(0, 1, 2)).round(2))
print("largest gradient of its weights:", moved.round(2))
assert (out[..., 2] == 0).all() and moved[2] == 0 and (moved[[0, 1, 3]] > 0).all()

# %% [markdown]
# ## CReLU: keep both phases
#
#     out = [max(x, 0), max(-x, 0)]          twice as many channels come out as go in
#     dx  = dout[first half] where x > 0,    -dout[second half] where x < 0
#
# Nothing is lost: the difference of the halves is x, their sum is |x|. And unless x is exactly 0 one of the two gates
# is open, so a unit does not die. The same layer, with its third bias at -20, now keeps learning.

# %%
act = nn.CReLU()
out = act(conv(image))
x = conv(image)
np.testing.assert_array_equal(out[..., :4] - out[..., 4:], x)
np.testing.assert_array_equal(out[..., :4] + out[..., 4:], np.abs(x))
conv.zero_grad()
conv.backward(act.backward(rng.normal(size=out.shape)))
print("the same with CReLU:            ", np.abs(conv.weight.grad).max(axis=(0, 1, 2)).round(2))
assert (np.abs(conv.weight.grad).max(axis=(0, 1, 2)) > 0).all()
mg.gradcheck.check(nn.CReLU(), rng.normal(size=(2, 3, 3, 4)))  # raises if the backward is wrong

# %% [markdown]
# ## The claim as a number
#
# Take a layer's filters as vectors f_1 ... f_n of k*k*C numbers, each of length 1. The *pairing filter* of f_i is the
# one that points most against it, and the statistic is how much (Shang et al. 2016, section 2):
#
#     m_i = min over j != i of  <f_i, f_j>             -1: there is an exact negative
#
# The minimum over many cosines is negative for random filters, too. So on its own it means nothing: it must be compared
# with random filters of the same number and size, layer by layer.


# %%
def extremes(w):
    """For each filter of w (k, k, C, n): its smallest and its largest cosine with another one, and the partner."""
    f = w.reshape(-1, w.shape[3]).T.astype(np.float64)
    f = f / np.linalg.norm(f, axis=1, keepdims=True)
    cosines = f @ f.T
    below, above = cosines + 2 * np.eye(len(f)), cosines - 3 * np.eye(len(f))  # a filter is not its own partner
    return below.min(axis=1), above.max(axis=1), below.argmin(axis=1)


twins = rng.normal(size=(5, 5, 3, 16))
assert np.allclose(extremes(np.concatenate([twins, -twins], axis=3))[0], -1)  # real pairs would show

# %% [markdown]
# ## Train, and look
#
# Two small networks on shapes10, the same except for the first layer: 32 5x5 filters and ReLU, or 16 filters and CReLU.
# The second layer gets 32 channels in either case. A few seconds each: enough for a network that is far better than
# chance (10 %), not for a good one.


# %%
def network(first):
    """Three convolutions, each with batch norm and activation, and a linear classifier."""
    init, n = np.random.default_rng(0), 16 if first is nn.CReLU else 32
    return nn.Sequential(
        nn.Conv2d(3, n, 5, stride=2, padding=2, bias=False, rng=init),
        nn.BatchNorm2d(n),
        first(),
        nn.ConvBNAct(32, 32, 3, stride=2, rng=init),
        nn.ConvBNAct(32, 64, 3, stride=2, rng=init),
        nn.GlobalAvgPool(),
        nn.Linear(64, 10, rng=init),
    )


train, test = mg.data.shapes10(2000), mg.data.shapes10(500, split="test")
mean, std = mg.data.channel_statistics(train.images)
loader = mg.data.Loader(train, 64, mean=mean, std=std, drop_last=True)


def trained(first, epochs=7, rate=0.3):
    """The network after some epochs, and its share of right answers on test images."""
    model = network(first).skip_input_gradient()
    optimizer = mg.train.SGD(model.parameters(), lr=rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
    steps = epochs * len(loader)
    for epoch in range(epochs):
        for k, (x, labels) in enumerate(loader.epoch(epoch)):
            optimizer.lr = rate * (1 - (epoch * len(loader) + k) / steps)
            _, dlogits = mg.ops.softmax_cross_entropy(model(x), labels)
            model.zero_grad()
            model.backward(dlogits)
            optimizer.step()
    answers = model.eval()(mg.data.normalize(test.images, mean, std)).argmax(axis=1)
    return model, (answers == test.labels).mean()


models = {}
for first in (nn.ReLU, nn.CReLU):
    models[first], right = trained(first)
    filters = models[first][0].weight.data
    print(f"{first.__name__:>5}: {filters.shape[3]} filters in the first layer, {right:.0%} of 500 test images right")
    assert right > 0.25

# %% [markdown]
# One run of each, so this does not decide which is better.
#
# Now the statistic. Beside the smallest cosine is the *largest*: is there also a filter that is nearly the same?
# Random filters have both, equal by symmetry. To claim that networks seek opposite phases, you must find more at one
# end than at the other.

# %%
relu = models[nn.ReLU]
layers = {"first": relu[0].weight.data, "second": relu[3].conv.weight.data, "third": relu[4].conv.weight.data}
found = {}
print("\nReLU network    filters   smallest cosine   (random)   largest cosine   (random)")
for name, w in layers.items():
    low, high, _ = extremes(w)
    null_low, null_high, _ = np.mean([extremes(rng.normal(size=w.shape)) for _ in range(20)], axis=(0, 2))
    found[name] = low.mean(), null_low, high.mean(), null_high
    ends = f"{low.mean():17.2f} {null_low:10.2f} {high.mean():16.2f} {null_high:10.2f}"
    print(f"{name + ' layer':>12} {w.shape[3]:10} {ends}")

low, null_low, high, null_high = found["first"]
assert low < null_low - 0.15  # opposite filters, far beyond chance ...
assert abs(low + high) < 0.15  # ... and similar ones just as much
low, null_low, high, null_high = found["third"]
assert high > -low + 0.05  # deep down the similar ones outweigh

# %% [markdown]
# What do we find?
#
# *The observation holds.* The first layer's filters have far better negatives than random ones, and it fades with
# depth: the third layer is near what chance gives.
#
# *The explanation does not follow.* In the first layer the largest cosine is as far out as the smallest. Filters
# resemble each other *and* each other's negatives, equally. A search for the missing phase would have made the negative
# end the longer one. There is a simpler reason for both ends: filters crowd into a few directions, the edges and
# colours that occur in these images. In a handful of dimensions, 32 vectors must nearly meet, one way or the other.
#
# We can test that. Mix the trained filters with random weights. The mixtures lie in the same few directions, and know
# nothing about phases. Are their ends as far out?

# %%
f = layers["first"].reshape(75, 32).astype(np.float64)
f = f / np.linalg.norm(f, axis=0)
spread = np.linalg.eigvalsh(f.T @ f)
mixed = [extremes((f @ rng.normal(size=(32, 32))).reshape(5, 5, 3, 32)) for _ in range(50)]
mixed_low, mixed_high, _ = np.mean(mixed, axis=(0, 2))
print(f"\nthe 32 filters spread over about {spread.sum() ** 2 / (spread**2).sum():.0f} of 75 dimensions")
print(f"first layer, mixed at random: smallest cosine {mixed_low:.2f}, largest {mixed_high:.2f}")
assert abs(mixed_low - found["first"][0]) < 0.15 and abs(mixed_high - found["first"][2]) < 0.15

# %% [markdown]
# They are: crowding is enough to explain the pairs here. Nor do the pairs go away when CReLU makes them unnecessary:

# %%
w = models[nn.CReLU][0].weight.data
crelu = extremes(w)[0].mean()
halves = [rng.permutation(32)[:16] for _ in range(200)]  # 16 of ReLU's 32: the minimum depends on the number
alike = np.mean([extremes(layers["first"][..., half])[0] for half in halves])
null = np.mean([extremes(rng.normal(size=w.shape))[0] for _ in range(50)])
print(f"mean of m_i, 16 filters: trained with CReLU {crelu:.2f}, with ReLU {alike:.2f}, random {null:.2f}")
assert crelu < null - 0.1 and alike < null - 0.1

# %% [markdown]
# This is a small network, a few seconds old, on generated images, from one seed. Shang et al. looked at AlexNet,
# trained on photographs. So this is no refutation. It is a reason to compute the other end, too, before believing a
# mechanism. And CReLU does not need it: it gets two channels from one filter, and its units do not die.

# %%
low, high, partner = extremes(layers["first"])
pairs, chosen = [], np.argsort(low)
for i in chosen:  # each pair once
    if not any({i, partner[i]} & {*pair} for pair in pairs):
        pairs.append((i, partner[i]))
figure = Figure(figsize=(11, 3.9), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=(1, 1.15))
for ax, pair in zip(left.subplots(1, 5), pairs, strict=False):
    shown = [0.5 + 0.5 * f / np.abs(f).max() for f in (layers["first"][..., i] for i in pair)]
    ax.imshow(np.concatenate([shown[0], np.ones((1, 5, 3)), shown[1]]))
    ax.set_title(f"{low[pair[0]]:.2f}", fontsize=10)
    ax.axis("off")
left.suptitle("Filters of the first layer (above), the most opposite one\n(below), and their cosine", fontsize=10)
axes = right.subplots(2, 1, sharex=True)
for ax, name in zip(axes, ("first", "third"), strict=True):
    bins, w = np.linspace(-1, 1, 51), layers[name]
    low, high, _ = extremes(w)
    draws = np.array([extremes(rng.normal(size=w.shape))[:2] for _ in range(50)])
    weights = np.full(draws.size // 2, len(low) / (draws.size // 2))
    for end, null, colour, label in (
        (low, draws[:, 0], "#ee6677", "smallest"),
        (high, draws[:, 1], "#4477aa", "largest"),
    ):
        ax.hist(end, bins, color=colour, alpha=0.6, label=f"{label}, trained")
        ax.hist(null.ravel(), bins, weights=weights, histtype="step", color=colour, label=f"{label}, random")
    ax.set_title(f"{name} layer: each filter's smallest and largest cosine", fontsize=10)
    ax.set(yticks=[], xlim=(-1, 1))
    ax.spines[["top", "right", "left"]].set_visible(False)
axes[1].legend(frameon=False, fontsize=8, loc="upper left")
axes[1].set_xlabel("cosine")
mg.plots.show(figure, "relu_and_crelu.png")

# %% [markdown]
# ## Try it
#
# 1. Draw random filters of the first layer's shape, but smooth them: convolve each with a 3x3 mean. What happens to
#    both ends? Are there pairs now?
# 2. Train longer (`epochs=20`) or on more images. Does one end of the first layer move away from the other?
# 3. CReLU has twice the channels, so the *next* layer costs twice as much, unless you halve the filters as here.
#    Count the parameters of the first two layers of both networks.
#
# Read on in `minighost/ops/activations.py` (how NaN passes through) and `minighost/ops/crelu.py`. In `minighost learn`,
# exercise 24 is ReLU and exercise 25 CReLU.
