# %% [markdown]
# # Convolution, four times
#
# What does a convolution compute? Lay a small window of weights on the image, multiply each weight by the pixel under
# it, add it all up: that is one output number. Move the window, and do it again. Here we write this as loops, as
# windows, as one matrix product, and as a handful of shifted products. All four give the same numbers. What differs is
# how much memory they need, and we count it.
#
# Run it with `python tutorials/02_convolution.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import minighost as mg

rng = np.random.default_rng(0)

# %% [markdown]
# ## First: loops
#
# The letters are the same everywhere in minighost: N images of H x W pixels and C channels; KH x KW taps; OC
# output channels; an output plane of OH x OW. With stride S and padding P
#
#     out[n, i, j, o] = sum over u, v, c of  padded[n, i*S + u, j*S + v, c] * w[u, v, c, o]
#     OH = (H + 2P - KH) // S + 1              and OW likewise
#
# The division rounds down: a window that would reach over the edge is left out. The kernel is not flipped.
# Mathematicians call that a correlation; networks do not care, because the weights are learnt either way.


# %%
def conv_loops(x, w, stride=1, padding=0):
    """The formula, number by number."""
    (N, H, W, _), (KH, KW, _, OC) = x.shape, w.shape
    padded = np.pad(x, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    OH, OW = (H + 2 * padding - KH) // stride + 1, (W + 2 * padding - KW) // stride + 1
    out = np.zeros((N, OH, OW, OC))
    for n, i, j, o in np.ndindex(out.shape):
        window = padded[n, i * stride : i * stride + KH, j * stride : j * stride + KW]  # (KH, KW, C)
        out[n, i, j, o] = (window * w[..., o]).sum()
    return out


x, w = rng.normal(size=(2, 7, 6, 3)), rng.normal(size=(3, 3, 3, 4))
out = conv_loops(x, w, stride=2, padding=1)
print("loops:  ", x.shape, "*", w.shape, "->", out.shape)
assert out.shape == (2, 4, 3, 4)

# %% [markdown]
# ## Second: windows
#
# The four loops only say where windows start. `sliding_window_view` gives all windows at once, as a view: no number is
# copied, the same pixel just appears in several windows. One `einsum` then states the sum over u, v and c.


# %%
def windows(x, k, stride, padding):
    """All windows, (N, OH, OW, C, KH, KW), as a view of the padded image."""
    padded = np.pad(x, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    return np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(1, 2))[:, ::stride, ::stride]


def conv_windows(x, w, stride=1, padding=0):
    """The sum as an einsum."""
    return np.einsum("nijcuv,uvco->nijo", windows(x, w.shape[0], stride, padding), w)


np.testing.assert_allclose(conv_windows(x, w, 2, 1), out, atol=1e-12)

# %% [markdown]
# ## Third: one matrix product
#
# Write every window as a row, and every filter as a column. A row times a column is one output number. So all of them
# together are one matrix product, the operation that processors do best. Laying out the rows is called *im2col*:
#
#     cols (N*OH*OW, KH*KW*C)   @   w as (KH*KW*C, OC)   =   out as (N*OH*OW, OC)
#
# A row must list its numbers in the order of the kernel's axes, (u, v, c). Then the kernel needs no transposing at
# all.


# %%
def conv_im2col(x, w, stride=1, padding=0):
    """Windows as rows, then one product."""
    view = windows(x, w.shape[0], stride, padding)
    N, OH, OW = view.shape[:3]
    cols = view.transpose(0, 1, 2, 4, 5, 3).reshape(N * OH * OW, -1)  # this reshape copies: pixels are repeated
    return (cols @ w.reshape(-1, w.shape[3])).reshape(N, OH, OW, -1), cols


product, cols = conv_im2col(x, w, 2, 1)
print("im2col: ", cols.shape, "@", w.reshape(-1, 4).shape, "->", (len(cols), 4))
np.testing.assert_allclose(product, out, atol=1e-12)
np.testing.assert_array_equal(cols, mg.ops.im2col(x, 3, stride=2, padding=1))  # minighost's has the same rows

# %% [markdown]
# ## Fourth: one product per tap
#
# Reorder the sum. Fix a tap (u, v): it multiplies the whole image, shifted by (u, v), by a matrix of C x OC. That
# is a 1x1 convolution, which needs no im2col ([the first tutorial](01_arrays_and_layouts.py) shows why). Nine taps are
# nine such products, added up.


# %%
def conv_taps(x, w, stride=1, padding=0):
    """One product of matrices per tap, each on a shifted view."""
    (_, H, W, _), (KH, KW, _, _) = x.shape, w.shape
    padded = np.pad(x, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    OH, OW = (H + 2 * padding - KH) // stride + 1, (W + 2 * padding - KW) // stride + 1
    out = 0
    for u, v in np.ndindex(KH, KW):
        out = out + padded[:, u:, v:][:, : OH * stride : stride, : OW * stride : stride] @ w[u, v]
    return out


np.testing.assert_allclose(conv_taps(x, w, 2, 1), out, atol=1e-12)
np.testing.assert_allclose(mg.ops.conv2d_forward(x, w, stride=2, padding=1)[0], out, atol=1e-12)
print("loops, windows, im2col, taps and minighost's kernel agree to 1e-12")

# %% [markdown]
# ## What im2col costs
#
# At stride 1, with padding that keeps the size, there are as many windows as pixels, and each holds KH*KW pixels. So
# `cols` is KH*KW times as large as the image: nine times for 3x3, whatever the number of channels. The multiplications
# are the same in all four versions. For one ordinary layer of a network, in single precision:

# %%
N, H, W, C, OC = 128, 32, 32, 64, 64
macs = N * H * W * 9 * C * OC
mebibytes = {
    "the image": N * H * W * C * 4 / 2**20,
    "the output": N * H * W * OC * 4 / 2**20,
    "the kernel": 9 * C * OC * 4 / 2**20,
    "im2col's rows": N * H * W * 9 * C * 4 / 2**20,
}
print(f"\na 3x3 convolution of {N} images, {H}x{W}, {C} -> {OC} channels: {macs:,} multiply-adds")
for name, size in mebibytes.items():
    print(f"{name:>14}: {size:7.2f} MiB")
assert mebibytes["im2col's rows"] == 9 * mebibytes["the image"] == 288
assert mg.ops.im2col(np.zeros((1, H, W, C), np.float32), 3, padding=1).nbytes * N == 288 * 2**20  # really so

# %% [markdown]
# The remedy is to work in pieces: im2col of a few rows of one image, product, discard, next. Or to go tap by tap.
# minighost's kernel goes tap by tap, a few images at a time, and never holds the 288 MiB.
#
# The blow-up shrinks with the stride: at stride 2 a window starts only at every second pixel of every second row, and
# the rows hold 9/4 of the image.

# %%
for stride in (1, 2, 3):
    rows = mg.ops.im2col(np.zeros((1, 96, 96, 1)), 3, stride=stride, padding=1)
    print(f"stride {stride}: {rows.size / 96**2:.2f} times the image")
    assert rows.size / 96**2 == 9 / stride**2

# %% [markdown]
# ## What it looks like
#
# Top: a 5x5 image, its nine 3x3 windows as rows, and the output. Three windows are marked, each in its own colour.
# Bottom: three kernels on a generated image, a mean and two differences. The strips at the border are the padding: to
# a difference, zeros beside bright pixels are an edge.

# %%
tiny = np.add.outer(np.arange(5.0), np.arange(5.0) ** 1.5)[None, :, :, None]
rows = mg.ops.im2col(tiny, 3)
mean = np.full((3, 3, 1, 1), 1 / 9)
assert rows.shape == (9, 9) and np.array_equal(rows[4], tiny[0, 1:4, 1:4].ravel())
marked = {0: "#ee6677", 4: "#4477aa", 8: "#228833"}

figure = Figure(figsize=(10, 6.2), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(1.1, 1))
panels = above.subplots(1, 3, width_ratios=(1, 1.3, 0.7))
peak = {"cmap": "Greys", "vmin": 0, "vmax": 1.4 * tiny.max()}
panels[0].imshow(tiny[0, :, :, 0], **peak)
panels[1].imshow(rows, **peak)
panels[2].imshow(conv_im2col(tiny, mean)[0][0, :, :, 0], **peak)
for row, colour in marked.items():
    i, j = divmod(row, 3)
    panels[0].add_patch(Rectangle((j - 0.47, i - 0.47), 2.94, 2.94, fill=False, color=colour, lw=2.5))
    panels[1].add_patch(Rectangle((-0.47, row - 0.47), 8.94, 0.94, fill=False, color=colour, lw=2.5))
    panels[2].add_patch(Rectangle((j - 0.45, i - 0.45), 0.9, 0.9, fill=False, color=colour, lw=2.5))
for panel, title in zip(panels, ("image, 5x5", "im2col: one row per window", "output: row times filter"), strict=True):
    panel.set_title(title, fontsize=10)
    panel.set(xticks=[], yticks=[])
panels[1].set(xlabel="tap (u, v) of the kernel", ylabel="output position (i, j)")

image = mg.data.shapes10(10, seed=3).images[6:7] / 255.0
grey = image.mean(axis=3, keepdims=True)
kernels = {
    "mean of 5x5": np.full((5, 5), 1 / 25),
    "left minus right": np.array([[1, 0, -1]] * 3) / 3,
    "above minus below": np.array([[1, 0, -1]] * 3).T / 3,
}
panels = below.subplots(1, 4)
panels[0].imshow(image[0])
panels[0].set_title("image", fontsize=10)
for panel, (title, kernel) in zip(panels[1:], kernels.items(), strict=True):
    seen = conv_taps(grey, kernel[:, :, None, None], padding=kernel.shape[0] // 2)[0, :, :, 0]
    assert seen.shape == (32, 32)  # padding of k // 2 keeps the size
    signed = title != "mean of 5x5"
    panel.imshow(seen, cmap="RdBu_r" if signed else "Greys_r", vmin=-0.4 if signed else 0, vmax=0.4 if signed else 1)
    panel.set_title(title, fontsize=10)
for panel in panels:
    panel.axis("off")
mg.plots.show(figure, "convolution.png")

# %% [markdown]
# ## Try it
#
# 1. Give the kernel 5x5 taps in "What im2col costs". How many MiB are the rows? How many for 1x1?
# 2. `windows` returns a view. What would happen to the image if you added 1 to one window in place? NumPy forbids it:
#    try it and read the message.
# 3. Add a `dilation` to `conv_taps`: the taps lie d pixels apart. Which two expressions change? Compare with
#    `mg.ops.conv2d_forward(x, w, dilation=2)`.
#
# Read on in `minighost/ops/conv2d.py` and `minighost/ops/im2col.py`, the reference twins first. In `minighost learn`,
# exercises 2 to 5, 7 and 10 to 13 build all of this: windows, loops, im2col, the output size, stride, padding and
# dilation.
