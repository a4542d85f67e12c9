# %% [markdown]
# # The channel shuffle
#
# Grouped 1x1 convolutions cost G times less than dense ones, and share one defect: the groups never meet, however many
# layers follow one another. ShuffleNet (Zhang et al. 2018) puts a fixed permutation between two of them, without a
# weight and without a multiplication. What exactly is lost without it? What does it restore, and what not? We measure
# both by asking which inputs a group sees, and through how wide an opening.
#
# Run it with `python tutorials/22_channel_shuffle.py`; it needs no network and takes a few seconds.

# %%
import math

import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn

rng = np.random.default_rng(0)

# %% [markdown]
# ## A table, read the other way
#
# Write the channels as a table with a row for each group, and read it column by column. The next layer's groups are
# consecutive channels again, so each gets C/G^2 channels from every group before it, as long as G^2 divides C.

# %%
C, G = 12, 3
channels = np.arange(C, dtype=np.float64).reshape(1, 1, 1, C)
shuffled, _ = mg.ops.channel_shuffle_forward(channels, G)
print("table:\n" + str(np.arange(C).reshape(G, C // G)))
print("column by column:", shuffled.ravel().astype(int))
assert np.array_equal(shuffled.ravel(), np.arange(C).reshape(G, C // G).T.ravel())
assert np.array_equal(mg.ops.channel_shuffle_forward(shuffled, C // G)[0], channels)  # C/G groups: the inverse
dout = rng.normal(size=channels.shape)
dx = mg.ops.channel_shuffle_backward(dout, G)
assert np.array_equal(mg.ops.channel_shuffle_forward(dx, G)[0], dout)  # a gradient goes where its number came from

# %% [markdown]
# ## Which inputs does a group see?
#
# As in tutorial 05, the backward knows: put a random gradient at the outputs of one group, and see at which input
# channels anything arrives. We stack grouped 1x1 convolutions, with and without a shuffle between.


# %%
def stack(C, G, layers, shuffle):
    modules = [nn.Conv2d(C, C, 1, groups=G, bias=False, rng=rng)]
    for _ in range(layers - 1):
        if shuffle:
            modules.append(nn.ChannelShuffle(G))
        modules.append(nn.Conv2d(C, C, 1, groups=G, bias=False, rng=rng))
    return nn.Sequential(*modules).astype(np.float64)


def matrix(model, C):
    """The linear map of 1x1 layers, (C, OC): one pixel for each input channel."""
    return model(np.eye(C).reshape(C, 1, 1, C)).reshape(C, -1)


def sight(model, C, G, side=1):
    """(G, C) matrix: does anything in output group g depend on input channel c?"""
    rows = []
    for group in np.split(np.arange(C), G):
        out = model(np.random.default_rng(1).normal(size=(2, side, side, C)))
        dout = np.zeros_like(out)
        dout[..., group] = rng.normal(size=dout[..., group].shape)
        rows.append((model.backward(dout) != 0).any(axis=(0, 1, 2)))
    return np.array(rows)


print("\nshare of the input channels that a group sees, by the number of layers")
seen = {}
for C, G in ((16, 2), (16, 4), (16, 8), (128, 16)):
    for shuffle in (False, True):
        seen[C, G, shuffle] = [sight(stack(C, G, layers, shuffle), C, G).mean() for layers in range(1, 6)]
        label = "shuffled" if shuffle else "not"
        print(f"C={C:3} G={G:2} {label:9}", " ".join(f"{share:5.0%}" for share in seen[C, G, shuffle]))
    assert seen[C, G, False] == [1 / G] * 5  # as many layers as you like
    expected = [min(1, (C / G) ** (layers - 1) / G) for layers in range(1, 6)]
    assert seen[C, G, True] == expected and expected[-1] == 1

# %% [markdown]
# Without a shuffle a group sees 1/G of the inputs forever. With it, each layer multiplies the number of groups that
# it has seen by C/G, the channels of a group. If C/G is at least G, as in the ShuffleNets of full width, one shuffle
# is enough. (With 16 channels in 8 groups it takes three shuffles.)
#
# ## What is lost without
#
# The stack without shuffle is a block-diagonal matrix, and a product of such matrices is block-diagonal. So it is G
# independent networks side by side. Let the task be a random mixture of *all* inputs, and let each output use its
# inputs as well as it can (least squares): it explains 1/G of what is asked, the share that it sees.

# %%
C, N = 16, 20000
x = rng.normal(size=(N, C))
wanted = x @ rng.normal(size=(C, C))
explained = {}
for G in (1, 2, 4, 8, 16):
    residual = 0
    for group in np.split(np.arange(C), G):
        best = np.linalg.lstsq(x[:, group], wanted[:, group], rcond=None)[0]
        residual += ((wanted[:, group] - x[:, group] @ best) ** 2).sum()
    explained[G] = 1 - residual / (wanted**2).sum()
print("\nexplained without a shuffle:", ", ".join(f"G={G} {share:.0%}" for G, share in explained.items()))
for G, share in explained.items():
    assert abs(share - 1 / G) < 0.12

# %% [markdown]
# ## And with: everything, through a keyhole
#
# With one shuffle every output group sees every input. But what it sees of another group has passed through C/G^2
# channels. So if we cut the matrix of two layers into G x G blocks, each block has at most rank C/G^2, where a dense
# matrix would have C/G. Two grouped layers with a shuffle have 2*C^2/G weights; a dense one has C^2. Something had to
# give.

# %%
C = 64
print("groups   rank of a block   dense   weights, two grouped layers : one dense")
for G in (2, 4, 8):
    whole = matrix(stack(C, G, 2, shuffle=True), C)
    blocks = whole.reshape(G, C // G, G, C // G).transpose(0, 2, 1, 3)
    ranks = np.linalg.matrix_rank(blocks)
    print(f"{G:6} {ranks.max():17} {C // G:7}   {2 * C * C // G:5} : {C * C}")
    assert (ranks == C // G**2).all() and np.linalg.matrix_rank(whole) == C  # nothing is lost, it is mixed sparingly
    without = matrix(stack(C, G, 2, shuffle=False), C).reshape(G, C // G, G, C // G).transpose(0, 2, 1, 3)
    assert np.array_equal(np.linalg.matrix_rank(without), np.eye(G, dtype=int) * (C // G))

# %% [markdown]
# ## Would any permutation do?
#
# With C = G^2 each group has to send exactly one channel to every group. Of all permutations of the channels only
# (G!)^(2G) / C! do that; for G = 4 one in 190. We count them by drawing at random.

# %%
G = 4
C, draws = G * G, 40000
from_group = rng.permuted(np.tile(np.arange(C), (draws, 1)), axis=1).reshape(draws, G, G) // G
meeting = np.array([[len(set(group)) for group in groups] for groups in from_group.tolist()])
found, expected = (meeting == G).all(axis=1).mean(), math.factorial(G) ** (2 * G) / math.factorial(C)
print(f"\nG={G}: a group meets {meeting.mean():.2f} of {G} by chance; all meet in {found:.2%} (exactly {expected:.2%})")
assert abs(found - expected) < 0.0015 and meeting.mean() < 3
by_shuffle = mg.ops.channel_shuffle_forward(np.arange(16.0).reshape(1, 1, 1, 16), G)[0].reshape(G, G) // G
assert all(set(group) == set(range(G)) for group in by_shuffle)

# %% [markdown]
# ## In ShuffleNet
#
# The same question to the unit itself, with its ReLUs, its depthwise convolution and its shortcut. The shuffle is
# *within* the unit, between the two grouped convolutions, once. (A ReLU may hide a channel, so we give it a few
# pixels.)

# %%
C, G = 48, 3
units = {}
for shuffle in (True, False):
    for number in (1, 2):
        layers = [nn.ShuffleUnit(C, C, G, rng=rng) for _ in range(number)]
        if not shuffle:
            for unit in layers:
                unit.shuffle = None
        model = nn.Sequential(*layers).astype(np.float64).eval()
        units[shuffle, number] = sight(model, C, G, side=6)
        print(
            f"units: {number}, {'shuffled' if shuffle else 'not':8}: a group sees {units[shuffle, number].mean():.0%}"
        )
        assert units[shuffle, number].mean() == (1 if shuffle else 1 / G)

# %% [markdown]
# It is free of weights and multiply-adds, but not of time: every number is read and written once. And its inverse does
# the same job: Megvii's code shuffles the other way round than the paper, so weights must not be carried over as if
# both were one. `minighost/ops/channel_shuffle.py` and `minighost/nn/shuffle_unit.py` say which is which.

# %%
figure = Figure(figsize=(11, 6.2), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(1, 1.15))
C, G, shades = 16, 4, np.array(["#12384f", "#e07a3f", "#8fc1de", "#77933c"])
order = mg.ops.channel_shuffle_forward(np.arange(16.0).reshape(1, 1, 1, C), G)[0].ravel().astype(int)
wires, *panels = above.subplots(1, 4, width_ratios=(1.5, 1, 1, 1))
for target, source in enumerate(order):
    wires.plot([source + source // 4 * 0.7, target + target // 4 * 0.7], [1, 0], color=shades[source // 4], lw=1.5)
for place in range(C):
    for height, owner in ((1, place), (0, order[place])):
        wires.plot(place + place // 4 * 0.7, height, "s", ms=8, color=shades[owner // 4])
wires.set_title("the shuffle, 16 channels in 4 groups", fontsize=10)
wires.axis("off")
for ax, (title, model) in zip(
    panels,
    {
        "two layers": stack(C, G, 2, False),
        "shuffled between": stack(C, G, 2, True),
        "dense": nn.Conv2d(C, C, 1, bias=False, rng=rng).astype(np.float64),
    }.items(),
    strict=True,
):
    weights = matrix(model, C).T
    bound = np.percentile(abs(weights), 97)
    ax.imshow(weights, cmap="RdBu_r", vmin=-bound, vmax=bound)
    ax.set(xticks=np.arange(3.5, 15, 4), yticks=np.arange(3.5, 15, 4), xticklabels=[], yticklabels=[])
    ax.grid(color="#444444", lw=0.8)
    ax.set_title(title, fontsize=10)
    ax.set_xlabel("input channel", fontsize=9)
panels[0].set_ylabel("output channel", fontsize=9)
left, middle, right = below.subplots(1, 3)
for (C, G), colour in zip(((16, 4), (16, 8), (128, 16)), ("#2a6f97", "#e07a3f", "#77933c"), strict=True):
    left.plot(range(1, 6), seen[C, G, True], "o-", color=colour, lw=2, label=f"{C} channels, {G} groups")
    left.plot(range(1, 6), seen[C, G, False], ":", color=colour, lw=2)
left.set(xlabel="layers", ylabel="inputs that a group sees", ylim=(0, 1.5), xticks=range(1, 6), yticks=[0, 0.5, 1])
left.set_title("shuffled; dotted: not", fontsize=10)
left.legend(frameon=False, fontsize=9, loc="upper left")
middle.bar([str(G) for G in explained], list(explained.values()), color="#2a6f97")
middle.set(xlabel="groups", ylabel="explained of a mixture of all")
middle.set_title("without a shuffle: 1/G", fontsize=10)
counts = np.bincount(meeting.ravel(), minlength=G + 1)[1:] / meeting.size
right.bar(range(1, len(counts) + 1), counts, color="#8fc1de", label="random permutation")
right.plot(4, 1, "o", ms=9, color="#e07a3f", label="shuffle")
right.set(xlabel="groups of 4 that a group meets", ylabel="share", xticks=[1, 2, 3, 4], xlim=(0.4, 4.6), ylim=(0, 1.3))
right.set_title("would any permutation do?", fontsize=10)
right.legend(frameon=False, fontsize=9, loc="upper left")
for ax in (left, middle, right):
    ax.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "channel_shuffle.png")

# %% [markdown]
# ## Try it
#
# 1. ShuffleNet v2 has no groups; it leaves half of the channels untouched and shuffles with G = 2 at the end. Ask
#    `sight` after how many `nn.SplitShuffleUnit`s the first half has met the second.
# 2. Replace the shuffle by its inverse in `stack`. Do the shares change when C/G is not G?
# 3. Fit the random mixture with two grouped layers and a shuffle, by gradient descent. How much do they explain, and
#    how does that compare with the keyhole?
#
# Read on in `minighost/ops/channel_shuffle.py`. In `minighost learn`, exercises 14 and 15 are the grouped convolution
# and exercise 39 is the shuffle.
