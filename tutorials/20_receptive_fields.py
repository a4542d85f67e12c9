# %% [markdown]
# # Receptive fields: dilate, or pool
#
# How much of the image does one number of a feature map depend on? There is a formula, and there is a measurement: put
# a 1 at that number, run the backward, and see where the gradient arrives. We do both. Then we compare the two ways to
# make the field large with few layers, dilation and pooling. They reach equally far. They differ in what they pay, in
# how many numbers they keep, and in whether a network still knows *where* something was.
#
# Run it with `python tutorials/20_receptive_fields.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn
from minighost.analysis import count, receptive_field

rng = np.random.default_rng(0)

# %% [markdown]
# ## The formula
#
# Walk through the layers with two numbers: the field r, and the *jump* j, how many pixels of the image lie between two
# neighbouring numbers of the map. Both begin with 1. A layer with k taps, dilation D and stride S does
#
#     r = r + D*(k - 1)*j        it reaches D*(k - 1) neighbours further, and those are j pixels apart
#     j = j*S
#
# So dilation adds, while stride multiplies what all *later* layers add. That is the whole formula (Araujo et al. 2019).


# %%
def field(layers):
    r, j = 1, 1
    for k, D, S in layers:
        r, j = r + D * (k - 1) * j, j * S
    return r


conv = (3, 1, 1)
pool = (2, 1, 2)
stacks = {
    "plain": [conv] * 4,
    "dilated 1, 2, 4, 8": [(3, D, 1) for D in (1, 2, 4, 8)],
    "pooled": [conv, pool, conv, pool, conv, pool, conv],
}


def network(layers, C=8, maximum=False):
    """3x3 convolutions of C channels, and 2x2 pooling between; the first has one channel in."""
    Pool, channels, modules = (nn.MaxPool2d if maximum else nn.AvgPool2d), 1, []
    for k, D, S in layers:
        modules.append(Pool(2) if S > 1 else nn.Conv2d(channels, C, k, 1, D, D, bias=False, rng=rng))
        channels = C
    return nn.Sequential(*modules).astype(np.float64)


# %% [markdown]
# ## The measurement
#
# The backward of the central number. Average pooling and convolutions are linear, so any image will do. What arrives is
# not only *whether* a pixel is seen, but how strongly. (Below a trillionth of the largest it is rounding: where a fast
# convolution works on tiles, as Winograd's does, sums that should be 0 only nearly cancel.)


# %%
def influence(model, side=64):
    """How strongly each pixel acts on one number in the middle of the last map: (side, side)."""
    out = model(rng.normal(size=(1, side, side, 1)))
    dout = np.zeros_like(out)
    dout[0, out.shape[1] // 2, out.shape[2] // 2, 0] = 1
    return abs(model.backward(dout)[0, :, :, 0])


def edges(gradient):
    """First and last row, first and last column that are seen."""
    seen = gradient > 1e-12 * gradient.max()
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    return rows[0], rows[-1], columns[0], columns[-1]


def across(gradient):
    top, bottom, left, right = edges(gradient)
    assert bottom - top == right - left
    return int(bottom - top + 1)


seen, costs = {}, {}
print("four 3x3 convolutions     formula   measured   numbers kept   multiply-adds")
for name, layers in stacks.items():
    model = network(layers)
    seen[name] = influence(model)
    rows = count(model, (64, 64, 1))
    kept, macs = model(np.zeros((1, 64, 64, 1))).size, sum(row.macs for row in rows)
    costs[name] = field(layers), kept, macs
    print(f"{name:25} {field(layers):7} {across(seen[name]):10} {kept:14,} {macs:15,}")
    assert field(layers) == across(seen[name]) == receptive_field(model).size[0]
assert [costs[name][0] for name in stacks] == [9, 31, 38]
assert costs["plain"][1:] == costs["dilated 1, 2, 4, 8"][1:]  # dilation costs nothing
assert costs["plain"][1] == 64 * costs["pooled"][1]

# %% [markdown]
# The plain stack would need fifteen layers to come as far as the dilated one, which has the same weights, the same
# multiply-adds, and keeps all numbers. Pooling is the cheap one: after each pool there are four times fewer pixels to
# work on. That is why networks for classification pool, and those that answer for every pixel often dilate.
#
# ## A whole network
#
# Two ReLUs, a shortcut, batch norm: the formula does not care, since only windows and strides move anything sideways;
# where branches meet, the larger field counts. A ReLU blocks some paths, so we ask for all channels of a pixel at
# once. ResNet-20 for CIFAR:

# %%
resnet = mg.models.create("resnet20", features_only=True, rng=0).eval().astype(np.float64)
maps = resnet(rng.normal(size=(1, 128, 128, 3)))
dlast = np.zeros_like(maps[-1])
dlast[0, 16, 16] = rng.normal(size=dlast.shape[3])
whole = abs(resnet.backward([None] * (len(maps) - 1) + [dlast])[0]).sum(axis=2)
expected = receptive_field(mg.models.create("resnet20", rng=0))
print(f"\nResNet-20: {expected.size[0]} pixels by formula, {across(whole)} measured; a jump of {expected.stride[0]}")
assert across(whole) == expected.size[0] == 81 and expected.stride == (4, 4)

# %% [markdown]
# It sees 81 pixels, and CIFAR's images have 32. But look at how the influence is spread.
#
# ## The field's edge is not its weight
#
# With all weights equal, the influence counts the paths from a pixel to the output. A path is a sum of n steps of -1, 0
# or 1, and such sums pile up in the middle: their deviation grows like the root of n, the field like n. So the deeper
# the stack, the smaller the part of its field that it effectively uses (Luo et al. 2016).


# %%
def profile(n):
    """Influence along a line through n layers of 3 taps with equal weights, adding to 1."""
    layers = [nn.Conv2d(1, 1, (1, 3), padding=(0, 1), bias=False) for _ in range(n)]
    chain, side = nn.Sequential(*layers).astype(np.float64), 4 * n + 1
    for layer in layers:
        layer.weight.data[:] = 1 / 3
    dout = np.zeros_like(chain(np.zeros((1, 1, side, 1))))
    dout[0, 0, side // 2] = 1
    return chain.backward(dout)[0, 0, :, 0]


profiles, shares = {n: profile(n) for n in (2, 4, 8, 16, 32)}, {}
print("\nlayers   field   deviation   95 % of the influence lies within")
for n, p in profiles.items():
    offsets = np.arange(len(p)) - len(p) // 2
    deviation = np.sqrt((p * offsets**2).sum())
    inner = next(m for m in range(n + 1) if p[abs(offsets) <= m].sum() >= 0.95)
    shares[n] = (2 * inner + 1) / (2 * n + 1)
    print(f"{n:6} {2 * n + 1:7} {deviation:11.2f} {2 * inner + 1:6} pixels, {shares[n]:.0%} of the field")
    assert abs(p.sum() - 1) < 1e-12 and abs(deviation - np.sqrt(2 * n / 3)) < 1e-9
assert shares[32] < 0.4 < 0.7 < shares[2]

# %% [markdown]
# ## Where was it?
#
# Move the image by one pixel. The dilated network's map moves by one pixel, exactly: it is a convolution. The pooled
# map has a number every 8 pixels, so it can follow only moves of 8; any other changes the numbers themselves. Whoever
# wants to know a position to the pixel has to read it out of those changes. (The maximum is said to hide small moves;
# with these random weights it does no better than the mean.)


# %%
def change(model, move, side=96):
    """How far the moved image's map is from the first map, moved by whole strides; relative to it."""
    image = rng.normal(size=(1, side + 16, side, 1))
    image = mg.ops.avg_pool_forward(image, 3, 1, 1)[0]  # a little smooth, as images are
    here, there = model(image[:, 16:]), model(image[:, 16 - move : 16 - move + side])
    stride = receptive_field(model).stride[0]
    steps, (first, last, edge) = round(move / stride), (pixel // stride for pixel in (40, side - 24, 24))
    a, b = here[:, first - steps : last - steps, edge:-edge], there[:, first:last, edge:-edge]  # no border in sight
    return np.sqrt(((a - b) ** 2).mean() / (a**2).mean())


moves = range(17)
curves = {}
for name, model in (
    ("dilated", network(stacks["dilated 1, 2, 4, 8"])),
    ("pooled, average", network(stacks["pooled"])),
    ("pooled, maximum", network(stacks["pooled"], maximum=True)),
):
    curves[name] = [change(model, move) for move in moves]
    print(f"{name:16} change when moved by 1, 4, 8 pixels:", " ".join(f"{curves[name][m]:.2f}" for m in (1, 4, 8)))
assert max(curves["dilated"]) < 1e-12
for name in ("pooled, average", "pooled, maximum"):
    assert curves[name][0] == 0 and curves[name][8] < 1e-12 > curves[name][16]
    assert min(curves[name][1:8]) > 0.05 and curves[name][4] > 0.4

# %% [markdown]
# Dilation has its own trap, tutorial 06 draws it: repeat the *same* dilation, and the field has holes.

# %%
figure = Figure(figsize=(11, 6.4), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(1, 1))
titles = {**{name: f"{name}: {costs[name][0]} pixels" for name in stacks}, "ResNet-20": "ResNet-20: 81 pixels"}
for ax, (name, gradient) in zip(above.subplots(1, 4), {**seen, "ResNet-20": whole}.items(), strict=True):
    logarithm = np.log10(np.maximum(gradient / gradient.max(), 1e-9))
    ax.imshow(logarithm, cmap="Blues", vmin=-5, vmax=0.3)
    top, bottom, left, right = np.array(edges(gradient)) + (-0.5, 0.5, -0.5, 0.5)
    ax.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color="#e07a3f", lw=1.5)
    ax.set(xticks=[], yticks=[])
    ax.set_title(titles[name], fontsize=10)
left, right = below.subplots(1, 2)
for (n, p), shade in zip(profiles.items(), np.linspace(0.35, 1, len(profiles)), strict=True):
    offsets = np.arange(len(p)) - len(p) // 2
    left.plot(
        offsets[abs(offsets) <= n] / n, p[abs(offsets) <= n] / p.max(), color=(0.16, 0.44, 0.59, shade), lw=2, label=n
    )
left.set(xlabel="place in the field, from edge to edge", ylabel="influence, the middle is 1")
left.set_title("The deeper, the smaller the part that counts", fontsize=10)
left.legend(frameon=False, fontsize=9, title="layers")
for (name, curve), style in zip(curves.items(), ("-", "--", "-"), strict=True):
    right.plot(moves, curve, style, lw=2, color="#2a6f97" if name == "dilated" else "#e07a3f", label=name)
right.set(xlabel="the image moves, pixels", ylabel="change of the moved map", xticks=[0, 4, 8, 12, 16])
right.set_title("Does the map follow?", fontsize=10)
right.legend(frameon=False, fontsize=9, loc="upper right")
right.set_ylim(-0.03, 1.3)
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "receptive_fields.png")

# %% [markdown]
# ## Try it
#
# 1. In the formula, swap a pool and the convolution before it. Which order sees further, and which costs less?
# 2. `receptive_fields(model)` from the same place lists every module. After which block of `mobilenet_v2` does the
#    field exceed an image of 224 pixels?
# 3. Give `profile` dilations 1, 2, 4, 8, 16 and the same number of layers. What is the deviation now, beside the field?
#
# Read on in `minighost/analysis/receptive_field.py` and `minighost/engine/geometry.py`. `minighost zoo --model NAME`
# lists the fields of a network; in `minighost learn`, exercise 13 is dilation.
