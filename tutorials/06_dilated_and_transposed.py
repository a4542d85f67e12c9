# %% [markdown]
# # Dilated and transposed
#
# Two wishes. See further without more weights and without a smaller picture: spread the taps of the kernel. Make a
# picture larger again with learnt weights: run a strided convolution backwards. The first is called *dilated*, the
# second *transposed*. Both are simple once you ask the right question - which input pixels does an output pixel see,
# and how often? - and that question also explains the checkerboards that networks sometimes draw.
#
# Run it with `python tutorials/06_dilated_and_transposed.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg

rng = np.random.default_rng(0)

# %% [markdown]
# ## Dilated: taps with gaps
#
# With dilation D the taps lie D pixels apart, and k of them reach over D*(k - 1) + 1 pixels. It is the same as a
# larger kernel with zeros in the gaps, except that nobody multiplies by the zeros. Padded by D*(k - 1)/2, the output
# is as large as the input: a dilated convolution looks further, it does not shrink anything.

# %%
x, w = rng.normal(size=(1, 12, 12, 2)), rng.normal(size=(3, 3, 2, 4))
out, _ = mg.ops.conv2d_forward(x, w, padding=2, dilation=2)
gappy = np.zeros((5, 5, 2, 4))
gappy[::2, ::2] = w
np.testing.assert_allclose(out, mg.ops.conv2d_forward(x, gappy, padding=2)[0], atol=1e-12)
assert out.shape[1:3] == x.shape[1:3]
print(f"3x3 with dilation 2 = 5x5 with {(gappy == 0).mean():.0%} zeros; {x.shape[1:3]} -> {out.shape[1:3]}")

# %% [markdown]
# ## How far does a stack see?
#
# Each layer adds its reach: a stack of 3x3 kernels with dilations d1, d2, ... sees 1 + 2*(d1 + d2 + ...) pixels
# across. Doubling the dilation from layer to layer makes the field grow exponentially, with the weights of ordinary
# layers (Yu and Koltun 2016). But which of those pixels are really seen? We ask the backward. All weights are 1; we
# put a 1 at the central output, and the gradient at a pixel then counts the *paths* that lead from it to that output.


# %%
def paths(dilations, side=17):
    """Number of paths from each input pixel to the central output."""
    ones = np.ones((3, 3, 1, 1))
    a, caches = np.zeros((1, side, side, 1)), []
    for d in dilations:
        a, cache = mg.ops.conv2d_forward(a, ones, padding=d, dilation=d)
        caches.append(cache)
    dout = np.zeros_like(a)
    dout[0, side // 2, side // 2] = 1
    for cache in reversed(caches):
        dout, _, _ = mg.ops.conv2d_backward(dout, cache)
    return dout[0, :, :, 0]


fields = {dilations: paths(dilations) for dilations in ((1, 1, 1), (1, 2, 4), (2, 2, 2))}
print("\ndilations   across   pixels seen   most paths to one pixel")
for dilations, count in fields.items():
    columns = np.flatnonzero(count.any(axis=0))
    across, seen = columns[-1] - columns[0] + 1, np.count_nonzero(count)
    print(f"{str(dilations):11} {across:6} {seen:8} of {across**2:3} {count.max():10.0f}")
    assert across == 1 + 2 * sum(dilations) and count.sum() == 9**3
assert [np.count_nonzero(c) for c in fields.values()] == [49, 225, 49]
assert [c.max() for c in fields.values()] == [49, 9, 49]

# %% [markdown]
# Three layers with dilations 1, 2, 4 see every one of 15x15 pixels. Three layers with dilation 2 reach over 13x13, but
# see only every second row and column: 49 pixels, as many as without dilation, and two neighbouring outputs share no
# input at all. The lesson: let dilations grow, do not repeat the same one.
#
# ## Transposed: the backward as a forward
#
# A strided convolution makes a picture smaller. Its backward takes a gradient of the small size to one of the large
# size. Use that as a *forward*, and you have a layer that enlarges. In pictures: every input pixel stamps the kernel,
# times its own value, into the output; stamps lie S pixels apart, and where they overlap they add.
#
#     output size = (H - 1)*S + k - 2P
#
# Its weights have the shape of that convolution's, (k, k, OC, C): it would lead from OC channels back to C.


# %%
def transposed_forward(x, w, stride, padding=0):
    """Stamp w, scaled by each input pixel, into the output."""
    (N, H, W, _), (k, _, OC, _) = x.shape, w.shape
    padded = np.zeros((N, (H - 1) * stride + k, (W - 1) * stride + k, OC))
    for i, j in np.ndindex(H, W):
        padded[:, i * stride : i * stride + k, j * stride : j * stride + k] += np.einsum("nc,uvoc->nuvo", x[:, i, j], w)
    end = -padding or None
    return padded[:, padding:end, padding:end], (x, w, stride, padding)


def transposed_backward(dout, cache):
    """The backward of a backward is the forward: an ordinary strided convolution."""
    x, w, stride, padding = cache
    dx, conv_cache = mg.ops.conv2d_forward(dout, w, stride=stride, padding=padding)
    _, dw, _ = mg.ops.conv2d_backward(x, conv_cache)  # the convolution's dw, with x where its gradient would be
    return dx, dw


x, w = rng.normal(size=(2, 4, 5, 3)), rng.normal(size=(4, 4, 2, 3))
y, _ = transposed_forward(x, w, stride=2, padding=1)
print(f"\ntransposed, 4x4 with stride 2: {x.shape} -> {y.shape}")
assert y.shape == (2, 3 * 2 + 4 - 2, 4 * 2 + 4 - 2, 2)

large = rng.normal(size=y.shape)
small, cache = mg.ops.conv2d_forward(large, w, stride=2, padding=1)  # the convolution that it transposes
np.testing.assert_allclose(y, mg.ops.conv2d_backward(x, cache)[0], atol=1e-12)  # y is that one's dx
left, right = (small * x).sum(), (large * y).sum()
print(f"adjoint: <conv(large), x> = {left:.10f}, <large, transposed(x)> = {right:.10f}")
assert abs(left - right) < 1e-10
print(mg.gradcheck.check((transposed_forward, transposed_backward), [x, w, 2, 1], name="transposed"))

# %% [markdown]
# "Deconvolution" is another name for it, and a misleading one. It undoes the change of *size*. It does not undo the
# convolution:

# %%
back, _ = transposed_forward(small, w, stride=2, padding=1)
assert back.shape == large.shape and np.abs(back - large).max() > 1
print(f"convolve, then transpose: the shape is back, the numbers are off by up to {np.abs(back - large).max():.0f}")

# %% [markdown]
# ## The checkerboard
#
# How many stamps reach an output pixel? Along one axis, the pixel at position h gets the taps u = h, h - S, h - 2S,
# ... So the S *phases* of the output, h mod S, use different taps, and perhaps a different number of them: if S
# divides k, each phase has k/S. If not, some have one more, and the pattern repeats every S pixels. For 3x3 and stride
# 2 the counts are 2 and 1 along each axis, so 4, 2 and 1 in the plane.

# %%
stamps = {}
for k in (2, 3, 4, 5):
    ones = np.ones((1, 9, 9, 1))
    full, _ = transposed_forward(ones, np.ones((k, k, 1, 1)), stride=2)
    stamps[k] = full[0, 4:12, 4:12, 0]  # the middle, where the border is far
    per_phase = [len(range(phase, k, 2)) for phase in (0, 1)]
    assert set(stamps[k].ravel()) == {a * b for a in per_phase for b in per_phase}
    counts = sorted({int(count) for count in stamps[k].ravel()})
    print(f"{k}x{k}, stride 2: taps by phase {per_phase}; an output pixel gets {counts} stamps")

# %% [markdown]
# With random weights, as at the start of training, more stamps mean larger numbers: the deviation of a sum grows as
# the square root of the number of terms. So with 3x3 one pixel in four is twice as loud as another, before anything is
# learnt.

# %%
loudness = {}
for k in (3, 4):
    many, _ = transposed_forward(rng.normal(size=(1, 24, 24, 64)), rng.normal(size=(k, k, 16, 64)), stride=2)
    loudness[k] = [many[:, 4 + a : -4 : 2, 4 + b : -4 : 2].std() for a in (0, 1) for b in (0, 1)]
    print(f"{k}x{k}: deviation by phase", " ".join(f"{v:5.1f}" for v in loudness[k]))
assert 1.7 < loudness[3][0] / loudness[3][3] < 2.3 and max(loudness[4]) / min(loudness[4]) < 1.15

# %% [markdown]
# Is "k divisible by S" a law, then? Neither necessary nor sufficient, it is a fair start (Odena et al. 2016). A flat
# input gives a flat output if the taps of every phase have the same *sum*. The 3x3 kernel of linear interpolation has
# that. A 4x4 kernel can learn to break it. Resizing first and then convolving at stride 1 avoids the question.

# %%
linear = np.outer([1, 2, 1], [1, 2, 1])[:, :, None, None] / 4.0
uneven = np.zeros((4, 4, 1, 1))
uneven[0, 0] = 4.0
smooth, rough = (transposed_forward(np.ones((1, 9, 9, 1)), v, 2)[0][0, 4:12, 4:12, 0] for v in (linear, uneven))
for name, flat in (("3x3 interpolation", smooth), ("an uneven 4x4 kernel", rough)):
    print(f"flat input, {name}: from {flat.min():.0f} to {flat.max():.0f}")
assert np.ptp(smooth) == 0 and np.ptp(rough) == 4

# %% [markdown]
# ## A picture of it all
#
# Top: which pixels the central output sees through three layers; the darker, the more paths. Bottom: a generated image
# enlarged to twice its size with a flat 3x3 kernel and with a flat 4x4 one, and the stamps that each pixel gets.

# %%
figure = Figure(figsize=(10.5, 7), layout="constrained")
above, below = figure.subfigures(2, 1)
for ax, (dilations, count) in zip(above.subplots(1, 3), fields.items(), strict=True):
    shown = np.where(count > 0, np.log2(count + 1), np.nan)
    ax.imshow(shown, cmap="Blues", vmin=-1, vmax=6)
    ax.set(xticks=[], yticks=[])
    ax.set_title(f"dilations {', '.join(map(str, dilations))}: {np.count_nonzero(count)} pixels", fontsize=10)
panels = below.subplots(1, 4)
grey = mg.data.shapes10(10, seed=3).images[6:7, 2:28, 4:30].mean(axis=3, keepdims=True) / 255
for ax, k in zip(panels[::2], (3, 4), strict=True):
    flat = np.full((k, k, 1, 1), 4 / k**2)
    ax.imshow(transposed_forward(grey, flat, 2)[0][0, 2:-2, 2:-2, 0], cmap="gray", vmin=0, vmax=1.3)
    ax.set_title(f"enlarged, {k}x{k}, stride 2", fontsize=10)
for ax, k in zip(panels[1::2], (3, 4), strict=True):
    ax.imshow(stamps[k], cmap="Oranges", vmin=0, vmax=8)
    ax.set_title(f"stamps, {k}x{k}, stride 2", fontsize=10)
    for h, v in np.ndindex(8, 8):
        ax.text(v, h, f"{stamps[k][h, v]:.0f}", ha="center", va="center", fontsize=8)
for ax in panels:
    ax.set(xticks=[], yticks=[])
mg.plots.show(figure, "dilated_and_transposed.png")

# %% [markdown]
# ## Try it
#
# 1. Which three dilations see 27x27 pixels, each along exactly one path? Test them with `paths(..., side=29)`.
# 2. For 4x4 and stride 2 each phase has 2x2 taps. So the transposed convolution is four ordinary 2x2 convolutions,
#    their outputs interleaved. Write it that way: which taps, in which order, belong to phase (0, 1)?
# 3. What is a transposed convolution with stride 1? Express it by `conv2d_forward` with a flipped kernel.
#
# Read on in `minighost/engine/geometry.py`, where sizes are worked out, and `minighost/ops/im2col.py`: col2im is the
# transposed im2col. In `minighost learn`, exercise 13 is dilation and exercise 20 the transposed convolution.
