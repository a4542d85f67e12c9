# %% [markdown]
# # Arrays and layouts
#
# Memory is one long street of numbered bytes. An image batch has four axes: image, row, column, channel. So somebody
# has to decide which numbers live next door to each other. That decision is the *layout*. It changes no result, but it
# decides how much memory a convolution has to walk through, and whether a 1x1 convolution is one matrix product.
#
# Run it with `python tutorials/01_arrays_and_layouts.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import minighost as mg

# %% [markdown]
# ## Where does x[n, h, w, c] live?
#
# An array is a flat piece of memory, a *shape*, and one *stride* per axis: how many bytes to walk for one step along
# that axis. The address of an element is nothing but
#
#     start + n*stride[0] + h*stride[1] + w*stride[2] + c*stride[3]
#
# We fill an array with 0, 1, 2, ... in memory order. Then every element tells us where it lives.

# %%
N, H, W, C = 2, 4, 5, 3
x = np.arange(N * H * W * C, dtype=np.float32).reshape(N, H, W, C)
index = (1, 2, 3, 1)
offset = sum(i * stride for i, stride in zip(index, x.strides, strict=True))
print("shape  ", x.shape)
print("strides", x.strides, "bytes: the last axis is the neighbour, 4 bytes further on")
print(f"x{list(index)} lives {offset} bytes, {offset // 4} numbers, after the start")
assert x[index] == offset // 4
assert x.strides == (H * W * C * 4, W * C * 4, C * 4, 4)

# %% [markdown]
# ## Transposing moves nothing
#
# `transpose` swaps shape and strides and leaves the memory alone: it makes a *view*. So does a slice. But a reshape
# wants to read the numbers in order, and in a transposed view the order of the axes is no longer that of the memory.
# Then NumPy has to copy. `flags.c_contiguous` tells whether the numbers lie in memory in the order of the axes.

# %%
channels_first = x.transpose(0, 3, 1, 2)  # the same bytes, read as (N, C, H, W)
print("view:", channels_first.shape, channels_first.strides, "contiguous:", channels_first.flags.c_contiguous)
assert np.shares_memory(x, channels_first)
assert np.shares_memory(x, x[:, ::2, :, 1:]) and x[:, ::2].strides[1] == 2 * x.strides[1]
assert np.shares_memory(x, x.reshape(-1, C))  # free: the axes that merge are neighbours in memory
assert not np.shares_memory(x, channels_first.reshape(N, -1))  # not free: NumPy copied without a word

nchw = np.ascontiguousarray(channels_first)  # the same numbers, really moved
print("copy:", nchw.shape, nchw.strides, "contiguous:", nchw.flags.c_contiguous)
assert (nchw == channels_first).all() and not np.shares_memory(nchw, x)

# %% [markdown]
# ## A 1x1 convolution is one matrix product
#
# A 1x1 convolution mixes the channels of each pixel, and looks at no other pixel:
#
#     out[n, h, w, o] = sum over c of x[n, h, w, c] * w[c, o]
#
# With channels last (`NHWC`) the pixels are the rows of a matrix that is already there: N*H*W rows, C columns. The
# reshape is free, as we saw. With channels first (`NCHW`) an image is a matrix too, C by H*W, but the batch is not:
# from one image to the next, the other channels lie between two pixels of a channel. So it takes one product per
# image, or a copy of everything.

# %%
rng = np.random.default_rng(0)
w = rng.normal(size=(C, 7)).astype(np.float32)
one_product = (x.reshape(-1, C) @ w).reshape(N, H, W, 7)
per_image = np.stack([(w.T @ image.reshape(C, H * W)).reshape(7, H, W) for image in nchw])  # N products
by_loops, _ = mg.ops.conv2d_forward_reference(x, w.reshape(1, 1, C, 7))
np.testing.assert_allclose(one_product, by_loops, rtol=1e-5, atol=1e-4)
np.testing.assert_allclose(per_image.transpose(0, 2, 3, 1), by_loops, rtol=1e-5, atol=1e-4)
print(f"1x1 convolution: 1 product of {N * H * W}x{C} with {C}x7, or {N} products of 7x{C} with {C}x{H * W}")

# %% [markdown]
# ## Memory comes in lines
#
# A processor never fetches one number. It fetches a *cache line*: 64 bytes, 16 numbers in single precision. If you
# use one number of a line, you have paid for sixteen. So let us not measure time, which differs from machine to
# machine, but count the lines that an access touches. (We count as if the array began at the start of a line.)

# %%
LINE = 64


def offsets(view, base):
    """Distance in bytes of every element of a view from the start of its base, in the view's order."""
    steps = sum(i * stride for i, stride in zip(np.indices(view.shape), view.strides, strict=True))
    return (view.ctypes.data - base.ctypes.data + steps).ravel()


def lines(view, base):
    """Number of cache lines in which the elements of a view lie."""
    return len(np.unique(offsets(view, base) // LINE))


H = W = 32
C = 64
last = np.zeros((1, H, W, C), np.float32)  # NHWC
first = np.zeros((1, C, H, W), np.float32)  # NCHW
reads = {
    "one pixel, all channels": (last[0, 9, 9], first[0, :, 9, 9]),
    "3x3 pixels, all channels": (last[0, 8:11, 8:11], first[0, :, 8:11, 8:11]),
    "one channel, all pixels": (last[0, :, :, 5], first[0, 5]),
}
print(f"\ncache lines of {LINE} bytes, on {H}x{W} pixels of {C} channels   NHWC   NCHW   at least")
table = {}
for name, (a, b) in reads.items():
    table[name] = lines(a, last), lines(b, first)
    print(f"{name:>52} {table[name][0]:6} {table[name][1]:6} {-(-a.size * 4 // LINE):10}")
assert table["one pixel, all channels"] == (4, 64)
assert table["3x3 pixels, all channels"] == (36, 192)
assert table["one channel, all pixels"] == (1024, 64)

# %% [markdown]
# Neither layout wins every row. But a convolution sums over *all channels* of a *few pixels*. That is what channels
# last keep together, and it is one reason why minighost stores activations this way. If you want the plane of one
# channel, to draw it for instance, you pay sixteen times.
#
# ## The walk as a whole
#
# A line that is still in the cache costs little the second time. So the order of the walk matters too. Here is a cache
# like the smallest and fastest one of many processors: 64 sets of 8 lines, 32 KiB; a line's number modulo 64 says
# which set it goes to, and the least recently used one leaves. How many of 65,536 reads miss?


# %%
def misses(walk, sets=64, ways=8):
    """Lines that must be fetched when these offsets are read in this order."""
    cache, count = [[] for _ in range(sets)], 0
    for line in (walk // LINE).tolist():
        here = cache[line % sets]
        if line in here:
            here.remove(line)
        else:
            count += 1
            if len(here) == ways:
                here.pop(0)
        here.append(line)
    return count


total = H * W * C
fetched = {}
for name, layout, view in (("NHWC", last, last), ("NCHW", first, first.transpose(0, 2, 3, 1))):
    fetched[name] = misses(offsets(view, layout)), misses(offsets(view.transpose(3, 0, 1, 2), layout))
    print(f"{name}: misses pixel by pixel {fetched[name][0]:6}, channel by channel {fetched[name][1]:6}, of {total}")
assert fetched == {"NHWC": (total // 16, total), "NCHW": (total, total // 16)}

# %% [markdown]
# Each layout has one good order: it fetches every line once. In the other order *every* read misses. The NCHW walk is
# unlucky twice over: 32*32 numbers are 64 lines, so the same pixel of all channels falls into one and the same set of
# 8.
#
# Why then not keep NCHW and walk channel by channel? You can. But a sum over channels is finished pixel by pixel: in
# that order it stays in a register, in the other it is written and read again for each channel.
#
# ## A picture of it
#
# A small array, 4x4 pixels of 4 channels. Each row of the grid is one cache line. The pixel at row 1, column 2 is
# framed: channels last keep it in one line, channels first spread it over four.

# %%
small = np.zeros((4, 4, 4), np.float32)  # H, W, C
where = {
    "NHWC: channels last": offsets(small, small).reshape(4, 4, 4),
    "NCHW: channels first": offsets(small, small).reshape(4, 4, 4).transpose(1, 2, 0),  # C, H, W seen as H, W, C
}
colours = ["#4477aa", "#66ccee", "#ccbb44", "#ee6677"]
figure = Figure(figsize=(11, 3.1), layout="constrained")
for ax, (title, place) in zip(figure.subplots(1, 2), where.items(), strict=True):
    for h, w_, c in np.ndindex(4, 4, 4):
        line, column = divmod(int(place[h, w_, c]) // 4, 16)
        mine = (h, w_) == (1, 2)
        ax.add_patch(Rectangle((column, line), 0.94, 0.86, color=colours[c], alpha=1 if mine else 0.4, lw=0))
        if mine:
            ax.add_patch(Rectangle((column, line), 0.94, 0.86, fill=False, lw=2.2))
        ax.text(column + 0.47, line + 0.45, f"{h}{w_}", ha="center", va="center", fontsize=8)
    ax.set(xlim=(-0.1, 16), ylim=(4, -0.15), title=title, xticks=[], yticks=np.arange(4) + 0.43)
    ax.set_yticklabels([f"line {k}" for k in range(4)])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
patches = [Rectangle((0, 0), 1, 1, color=colour) for colour in colours]
figure.legend(patches, [f"channel {c}" for c in range(4)], loc="outside lower center", ncols=4, frameon=False)
figure.suptitle("Memory of a 4x4 image with 4 channels; a cell names row and column of its pixel", fontsize=11)
mg.plots.show(figure, "arrays_and_layouts.png")
assert len({int(p) // LINE for p in where["NHWC: channels last"][1, 2]}) == 1
assert len({int(p) // LINE for p in where["NCHW: channels first"][1, 2]}) == 4

# %% [markdown]
# ## Try it
#
# 1. Make H and W 33 instead of 32 in the section on the whole walk. Which of the two bad numbers gets better, and why
#    does an odd number help?
# 2. How many lines does "one pixel, all channels" touch in NHWC when C is 3, as in a photograph? How many of the bytes
#    fetched are used?
# 3. `np.concatenate` of two arrays along the channels: what is written where in each layout? A ghost module does this.
#
# Read on in `minighost/ops/pointwise.py`, which has the product, and in `docs/design.md` under "Channels last". In
# `minighost learn`, exercise 18 is the pointwise convolution.
