# %% [markdown]
# # Grouped, depthwise, separable
#
# An ordinary convolution lets every output channel look at every input channel. Must it? Split the channels into G
# groups, let each group mind its own business, and the cost falls G-fold. Go on to G = C, one channel per group, and
# the convolution is *depthwise*: nearly free, and blind to all other channels. A 1x1 convolution restores the view.
# What does each step cost, what does it see, and what can it no longer express?
#
# Run it with `python tutorials/05_grouped_and_depthwise.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg

rng = np.random.default_rng(0)

# %% [markdown]
# ## From one group to C groups
#
# With G groups, a filter has k*k*C/G weights, and there are OC of them, OC/G in each group. The output still has OC
# channels. So parameters and multiply-adds are those of the ordinary convolution divided by G. (One group alone costs
# 1/G^2 of the whole, because it has C/G inputs *and* OC/G outputs; there are G of them.)

# %%
C = OC = 64
k, H, W = 3, 32, 32
x = rng.normal(size=(1, H, W, C)).astype(np.float32)
print(f"a {k}x{k} convolution, {C} -> {OC} channels, on {H}x{W} pixels")
print("groups   weights' shape   parameters  multiply-adds   an output sees")
for G in (1, 2, 4, 8, 16, 32, 64):
    layer = mg.nn.Conv2d(C, OC, k, padding=1, groups=G, bias=False, rng=0)
    assert layer(x).shape == (1, H, W, OC)
    parameters = layer.weight.size
    print(f"{G:6}   {str(layer.weight.shape):16} {parameters:9,} {layer.macs:14,}   {C // G:2} channels")
    assert parameters == k * k * C * OC // G and layer.macs == H * W * parameters

# %% [markdown]
# The idea is older than its fame as a way to save work: AlexNet (Krizhevsky et al. 2012) split its channels into two
# groups because one GPU's memory could not hold the network; its third convolution reads both halves.
#
# ## What does an output see?
#
# Ask the backward. Put a 1 at one output channel and 0 at all others: the gradient is nonzero at exactly the input
# channels that this output depends on.


# %%
def sight(layers, channels):
    """(OC, C) matrix: does output channel o depend on input channel c?"""
    x = rng.normal(size=(1, 5, 5, channels))
    rows = []
    for o in range(layers(x).shape[3]):
        dout = np.zeros_like(layers(x))
        dout[..., o] = 1
        rows.append((layers.backward(dout) != 0).any(axis=(0, 1, 2)))
    return np.array(rows)


def conv(k, groups):
    return mg.nn.Conv2d(8, 8, k, padding=k // 2, groups=groups, rng=1).astype(np.float64)


seen = {
    "ordinary, G=1": sight(conv(3, 1), 8),
    "G=2": sight(conv(3, 2), 8),
    "G=4": sight(conv(3, 4), 8),
    "depthwise, G=8": sight(conv(3, 8), 8),
    "twice G=2": sight(mg.nn.Sequential(conv(3, 2), conv(3, 2)), 8),
    "depthwise,\nthen 1x1": sight(mg.nn.Sequential(conv(3, 8), conv(1, 1)), 8),
}
for G in (1, 2, 4, 8):
    blocks = np.kron(np.eye(G), np.ones((8 // G, 8 // G)))
    assert any(np.array_equal(matrix, blocks) for matrix in seen.values())
assert np.array_equal(seen["twice G=2"], seen["G=2"])  # stacking does not help: the halves never meet
assert seen["depthwise,\nthen 1x1"].all()  # everything sees everything again

# %% [markdown]
# A grouped convolution is an ordinary one with most of its weights held at zero, and G separate convolutions side by
# side. Its backward is theirs. Both are easy to check.

# %%
x8, w = rng.normal(size=(2, 6, 5, 8)), rng.normal(size=(3, 3, 4, 6))  # C/G = 4, so G = 2; OC = 6
out, cache = mg.ops.conv2d_forward(x8, w, padding=1, groups=2)
dout = rng.normal(size=out.shape)
dx, dw, _ = mg.ops.conv2d_backward(dout, cache)
for g in range(2):
    ins, outs = slice(4 * g, 4 * g + 4), slice(3 * g, 3 * g + 3)
    part, part_cache = mg.ops.conv2d_forward(x8[..., ins], w[..., outs], padding=1)
    dx_part, dw_part, _ = mg.ops.conv2d_backward(dout[..., outs], part_cache)
    np.testing.assert_allclose(out[..., outs], part, atol=1e-12)
    np.testing.assert_allclose(dx[..., ins], dx_part, atol=1e-12)
    np.testing.assert_allclose(dw[..., outs], dw_part, atol=1e-12)

with_zeros = np.zeros((3, 3, 8, 6))
with_zeros[:, :, :4, :3], with_zeros[:, :, 4:, 3:] = w[..., :3], w[..., 3:]
np.testing.assert_allclose(mg.ops.conv2d_forward(x8, with_zeros, padding=1)[0], out, atol=1e-12)
print("\ntwo groups = two convolutions side by side = one with a zero in every second block of weights")

# %% [markdown]
# ## Separable: look around, then mix
#
# A depthwise convolution looks around in each channel, a pointwise (1x1) one mixes the channels. One after the other
# they are a *depthwise separable* convolution (MobileNet, Howard et al. 2017). Per output pixel that takes k*k*C +
# C*OC multiplications instead of k*k*C*OC, a fraction of
#
#     1/OC + 1/k^2
#
# So a 3x3 kernel saves at most 9 times, and with few output channels much less. The textbook example, 3 channels in
# and 4 out:


# %%
def weights(C, OC, k):
    """Of the ordinary convolution, of the depthwise half, of the pointwise half."""
    return tuple(
        mg.nn.Conv2d(*channels, size, groups=groups, bias=False, rng=0).weight.size
        for channels, size, groups in (((C, OC), k, 1), ((C, C), k, C), ((C, OC), 1, 1))
    )


dense, depthwise, pointwise = weights(3, 4, 3)
print(
    f"3 -> 4 channels, 3x3: {dense} weights; separable {depthwise} + {pointwise} = {depthwise + pointwise}, "
    f"{dense / (depthwise + pointwise):.2f} times fewer"
)
assert (dense, depthwise, pointwise) == (108, 27, 12)
for OC in (4, 64, 512):
    dense, depthwise, pointwise = weights(64, OC, 3)
    share = (depthwise + pointwise) / dense
    print(
        f"64 -> {OC:3} channels: {1 / share:.2f} times fewer; "
        f"{pointwise / (depthwise + pointwise):.0%} of the rest is in the 1x1 half"
    )
    assert abs(share - (1 / OC + 1 / 9)) < 1e-12 and 1 / share < 9

# %% [markdown]
# ## What is lost
#
# A separable convolution is an ordinary one too, with the weights
#
#     w[u, v, c, o] = depthwise[u, v, c] * pointwise[c, o]
#
# Read it slowly: for one input channel c, *all* output channels use the same k x k pattern, only scaled. As a matrix
# of taps by outputs it has rank 1, while the ordinary one may have rank k*k. That is the price.

# %%
d, p = rng.normal(size=(3, 3, 8, 1)), rng.normal(size=(8, 12))
halves = mg.ops.depthwise_forward(x8, d, padding=1)[0] @ p
as_dense = d * p  # (3, 3, 8, 1) * (8, 12): exactly the formula
np.testing.assert_allclose(mg.ops.conv2d_forward(x8, as_dense, padding=1)[0], halves, atol=1e-12)
ranks = [int(np.linalg.matrix_rank(v[:, :, 0].reshape(9, 12))) for v in (as_dense, rng.normal(size=(3, 3, 8, 12)))]
print(f"taps against outputs, one input channel: rank {ranks[0]} if separable, {ranks[1]} if not")
assert ranks == [1, 9]

# %% [markdown]
# ## Fewer multiplications are not less time
#
# A depthwise convolution reads as many numbers as an ordinary one, and does little with each. Count the multiply-adds
# per number that is read or written, once each:

# %%
C = 64
work = {}
for name, numbers, macs in (
    ("ordinary 3x3", 2 * H * W * C + 9 * C * C, H * W * 9 * C * C),
    ("pointwise", 2 * H * W * C + C * C, H * W * C * C),
    ("depthwise 3x3", 2 * H * W * C + 9 * C, H * W * 9 * C),
):
    work[name] = macs / numbers
    print(f"{name:>13}: {macs:11,} multiply-adds, {work[name]:6.1f} per number moved")
assert work["depthwise 3x3"] < 5 < 30 < work["pointwise"] < work["ordinary 3x3"]

# %% [markdown]
# A processor can do many multiply-adds in the time in which one number comes from memory. So the depthwise half waits
# for memory, and 64 times fewer multiplications do not make it 64 times faster. `minighost bench depthwise` measures
# it on your machine.
#
# The picture shows both halves of the story: at the top what each kind sees, at the bottom what separating saves.

# %%
figure = Figure(figsize=(11, 5.6), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(1, 1.25))
for ax, (title, matrix) in zip(above.subplots(1, len(seen)), seen.items(), strict=True):
    ax.imshow(matrix, cmap="Blues", vmin=0, vmax=1.4)
    ax.set_title(title, fontsize=10)
    ax.set(xticks=np.arange(8) - 0.5, yticks=np.arange(8) - 0.5, xticklabels=[], yticklabels=[])
    ax.tick_params(length=0)
    ax.grid(color="white", lw=1.5)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("input channel", fontsize=9)
above.axes[0].set_ylabel("output channel", fontsize=9)
ax = below.subplots()
channels = np.arange(1, 513)
for size, colour in ((3, "#4477aa"), (5, "#228833"), (7, "#ee6677")):
    ax.semilogx(channels, 1 / (1 / channels + 1 / size**2), color=colour, lw=2)
    ax.axhline(size**2, color=colour, lw=1, ls=":")
    ax.text(1.05, size**2 + 0.7, f"{size}x{size}: at most {size**2} times", color=colour, fontsize=10)
ax.set(xlabel="output channels OC", ylabel="times fewer multiplications", ylim=(0, 54), xlim=(1, 512))
ax.set_title("A separable convolution saves 1 / (1/OC + 1/k^2)", fontsize=11)
ax.set_xticks([1, 4, 16, 64, 256], ["1", "4", "16", "64", "256"])
ax.minorticks_off()
ax.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "grouped_and_depthwise.png")

# %% [markdown]
# ## Try it
#
# 1. Between two convolutions with two groups, reorder the channels as 0, 4, 1, 5, 2, 6, 3, 7: ShuffleNet's shuffle.
#    What does each output see now?
# 2. Put the 1x1 convolution *before* the depthwise one. Is the cost the same when C and OC differ? Is the rank?
# 3. A ghost module (tutorial 11) makes half of its channels with a depthwise convolution of the other half. Draw what
#    it sees.
#
# Read on in `minighost/ops/depthwise.py` and, for groups, `minighost/ops/conv2d.py`. In `minighost learn`, exercises
# 14 to 17 are grouped and depthwise convolutions, 18 the pointwise and 19 the separable one.
