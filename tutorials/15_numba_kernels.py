# %% [markdown]
# # From a loop to a kernel
#
# Python takes hundreds of nanoseconds for a multiplication and an addition, the processor a small fraction of one.
# Where does the rest go, and how do we get it back? We take the loop of a 1x1 convolution to a compiled loop, to one
# in the right order, to tiles. Then we count operations and bytes, and know what no kernel can beat.
#
# Run it with `python tutorials/15_numba_kernels.py`; it needs no network and takes about ten seconds. All times are
# measured on your machine; only counts are asserted.

# %%
import numba
import numpy as np
from matplotlib.figure import Figure

import minighost as mg

compiling = not numba.config.DISABLE_JIT  # see the last section
njit = numba.njit(error_model="numpy", fastmath={"contract"})  # "contract": a*b + c may be one instruction

# %% [markdown]
# ## The loop
#
# A 1x1 convolution is a matrix product: each pixel, a row of C numbers, times the weights (C, OC), then a ReLU.
# Three loops say it. This function is both versions at once: the same text, run by Python or compiled by Numba.


# %%
def by_outputs(x, w, out):
    for r in range(x.shape[0]):
        for k in range(w.shape[1]):
            total = x.dtype.type(0)
            for c in range(x.shape[1]):
                total += x[r, c] * w[c, k]
            out[r, k] = max(total, x.dtype.type(0))


def draw(R, C, OC):
    rng = np.random.default_rng(0)
    return (rng.normal(size=shape).astype(np.float32) for shape in ((R, C), (C, OC), (R, OC)))


nanoseconds = {}


def clock(name, function, R, C=64, OC=64):
    """Time a function on R pixels, compare its result with NumPy's, and note nanoseconds for each multiply-add."""
    x, w, out = draw(R, C, OC)
    timing = mg.bench.measure(lambda: function(x, w, out), repeats=5, warmup=1)
    assert np.allclose(out, np.maximum(x @ w, 0), atol=1e-4)
    nanoseconds[name] = 1e9 * timing.least / (R * C * OC)
    print(f"{name:24} first call {timing.first:7.4f} s, then {nanoseconds[name]:8.3f} ns per multiply-add")


clock("Python", by_outputs, R=8)
clock("compiled", njit(by_outputs), R=2000 if compiling else 8)

# %% [markdown]
# The first call compiles, the others run. The factor is large, and yet the processor is still mostly idle.
#
# ## The right order
#
# `total += ...` is a chain: each addition waits for the one before. The processor could add several numbers at once,
# but only if the compiler may reorder the sum, and it may not: floating-point sums depend on their order. So avoid
# the question. Swap the two inner loops, and each step adds to *different* outputs, which lie side by side.


# %%
def by_rows(x, w, out):
    for r in range(x.shape[0]):
        for k in range(w.shape[1]):
            out[r, k] = 0
        for c in range(x.shape[1]):
            for k in range(w.shape[1]):
                out[r, k] += x[r, c] * w[c, k]
        for k in range(w.shape[1]):
            out[r, k] = max(out[r, k], x.dtype.type(0))


clock("loops exchanged", njit(by_rows), R=20_000 if compiling else 8)

# %% [markdown]
# ## Tiles
#
# A matrix product as a library writes it keeps a small block of outputs in registers, so that every number loaded is
# used many times. We need not write that: Numba lets a kernel call BLAS. But calling it on *everything* and then doing
# the ReLU sends all outputs to memory, back, and there again. On a tile of rows, the ReLU finds them in the cache.


# %%
@njit
def in_two_passes(x, w, out):
    np.dot(x, w, out)
    for r in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[r, k] = max(out[r, k], x.dtype.type(0))


@njit
def in_tiles(x, w, out):
    for first in range(0, x.shape[0], 128):
        tile = out[first : first + 128]
        np.dot(x[first : first + 128], w, tile)
        for r in range(tile.shape[0]):
            for k in range(tile.shape[1]):
                tile[r, k] = max(tile[r, k], x.dtype.type(0))


R = 100_000 if compiling else 8
clock("BLAS, then ReLU", in_two_passes, R)
clock("BLAS and ReLU in tiles", in_tiles, R)
passes = 1 + 1 + 2, 1 + 1  # x is read, out written; and in two passes read and written once more
megabytes = [n * 4 * R * 64 / 1e6 for n in passes]
print(f"to and from memory: {megabytes[0]:.0f} megabytes in two passes, {megabytes[1]:.0f} in tiles")

# %% [markdown]
# How much that gains depends on your caches, and on who else uses them. This is how the kernels of `minighost/engine`
# work: a tile, a product, an epilogue.
#
# ## What no kernel can beat
#
# A kernel does F operations on B bytes that come from memory or go there. It takes at least `F / peak` and at least
# `B / bandwidth`. F / B is its *intensity*; below peak / bandwidth the memory decides, above it the arithmetic: the
# roofline. For single precision, with each array read or written once:

# %%
N, H, W, C = (64, 32, 32, 64) if compiling else (1, 4, 4, 8)
x = np.random.default_rng(1).normal(size=(N, H, W, C)).astype(np.float32)
w1, w3 = (np.ones(s, np.float32) for s in ((1, 1, C, C), (3, 3, C, 1)))
both = x.size + x.size  # numbers read and numbers written, without the weights
work = {  # operations, bytes, and the kernel
    "1x1 convolution": (2 * x.size * C, 4 * (both + w1.size), lambda: mg.ops.conv2d_forward(x, w1)),
    "depthwise 3x3": (2 * x.size * 9, 4 * (both + w3.size), lambda: mg.ops.depthwise_forward(x, w3, padding=1)),
    "ReLU": (x.size, 4 * both, lambda: mg.ops.relu_forward(x)),
}
intensity = {name: flops / moved for name, (flops, moved, _) in work.items()}
print("operations per byte:", {name: round(value, 3) for name, value in intensity.items()})
assert intensity["ReLU"] == 1 / 8
if compiling:  # the weights hardly count at this size, so the intensities depend on channels and taps alone
    assert abs(intensity["1x1 convolution"] - C / 4) < 0.1 and abs(intensity["depthwise 3x3"] - 9 / 4) < 0.01

threads = mg.threads().count
roof = mg.bench.measure_roofline(threads, sizes=(256, 512), nbytes=96 << 20, repeats=3)
print(
    f"this machine, {threads} threads: {roof.flops / 1e9:.0f} billion operations per second, "
    f"{roof.bandwidth / 1e9:.1f} billion bytes; the two meet at {roof.flops / roof.bandwidth:.1f}"
)
reached = {}
for name, (flops, moved, call) in work.items():
    seconds = mg.bench.measure(call, repeats=5).least
    reached[name] = flops / seconds
    print(
        f"{name:16}{flops / 1e6:8.1f} million operations, {moved / 1e6:6.1f} million bytes: {1e3 * seconds:7.2f} ms; "
        f"the roof allows {1e3 * roof.seconds(flops, moved):.2f} ms"
    )

# %% [markdown]
# A depthwise convolution has a seventh of the 1x1's intensity. That is why it never runs at the processor's peak, and
# why multiply-adds alone do not tell the time. (A kernel may even beat this roof: if its arrays stay in the cache.)
#
# ## Threads, and sums that must not depend on them
#
# `numba.prange` shares a loop among threads. For rows of outputs that is safe: every output has one writer. For a *sum*
# it is not: each thread adds up its own share, and another number of threads means another order - and other bits.

# %%
values = np.random.default_rng(2).normal(size=100_000).astype(np.float32)


def by_shares(threads):
    """What a reduction over that many threads computes: one partial sum per thread."""
    return sum((np.add.accumulate(part)[-1] for part in np.array_split(values, threads)), np.float32(0))


def by_tiles(order):
    """One partial sum per tile, whichever thread computes it and when; then all of them in the order of their index."""
    tiles = values.reshape(-1, 1000)
    partial = np.empty(len(tiles), np.float32)
    for tile in order:
        partial[tile] = np.add.accumulate(tiles[tile])[-1]
    return np.add.accumulate(partial)[-1]


shares = [by_shares(threads) for threads in (1, 2, 3, 4)]
orders = np.arange(100), np.arange(100)[::-1], np.random.default_rng(3).permutation(100)
print("one partial sum per thread, for 1 to 4 threads:", *shares)
print("one partial sum per tile, in three orders of work:", *(by_tiles(order) for order in orders))
assert len(set(shares)) > 1 and len({by_tiles(order) for order in orders}) == 1

# %% [markdown]
# So minighost sums by tiles whose bounds depend on shapes alone, and training gives the same bits on any number of
# threads. Here is `prange` with one writer per output:


# %%
@numba.njit(parallel=True)
def parallel_rows(x, out):
    for r in numba.prange(x.shape[0]):
        out[r] = np.sum(x[r])  # the order within a row is always the same


rows, sums = values.reshape(-1, 100), []
for threads in sorted({1, numba.config.NUMBA_NUM_THREADS}):
    numba.set_num_threads(threads)
    out = np.empty(len(rows), np.float32)
    parallel_rows(rows, out)
    sums.append(out)
assert all(np.array_equal(out, sums[0]) for out in sums)

# %% [markdown]
# ## Stepping through
#
# A debugger cannot enter compiled code. But the function is still Python: with `NUMBA_DISABLE_JIT=1` in the environment
# nothing is compiled, and `breakpoint()` in a kernel stops there - here and in every kernel of minighost.
#
#     NUMBA_DISABLE_JIT=1 python -m pdb tutorials/15_numba_kernels.py      (then: b by_rows, c, and n for each line)

# %%
figure = Figure(figsize=(10, 3.8), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
left.plot(list(nanoseconds.values()), list(nanoseconds), "o", color="#2a6f97")
for row, value in enumerate(nanoseconds.values()):
    left.text(1.4 * value, row, f"{value:.3g}", va="center", fontsize=9)
left.invert_yaxis()
left.set(title="a multiply-add takes (ns)", xscale="log", xlim=(None, 5 * max(nanoseconds.values())))
left.grid(axis="y", color="#e8ecef")
at = np.geomspace(0.05, 100, 500)
right.loglog(at, [roof.attainable(i) / 1e9 for i in at], color="#22303c", label="roof")
for (name, value), colour in zip(reached.items(), ("#e07a3f", "#2a6f97", "#6a7f4f"), strict=True):
    right.loglog(intensity[name], value / 1e9, "o", color=colour, label=name)
right.set(title="operations: attained, and the roof", xlabel="operations per byte", ylabel="billions per second")
right.legend(frameon=False)
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "numba_kernels.png")

# %% [markdown]
# ## Try it
#
# 1. Compile `by_outputs` with `fastmath={"contract", "reassoc"}`: now the sum may be reordered. How close does it come
#    to the swapped loops? Are its bits the same?
# 2. Tiles of 8 rows, of 10,000 rows: where does it get slower, and which cache is that?
# 3. What is the intensity of a linear layer on one image, and on 128? Which of them can be quick?
#
# Tutorial 18 goes on from loops to registers. Read on in `minighost/engine/launch.py` and `docs/engine.md`;
# `minighost bench roofline` measures both roofs with more care. In `minighost learn`, exercises 35 to 37 are a kernel,
# its tiles and a deterministic sum.
