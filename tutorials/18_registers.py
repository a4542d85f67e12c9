# %% [markdown]
# # From loops to registers
#
# Tutorial 15 left a matrix product to BLAS. No library does a depthwise convolution for us, and it is the part of
# GhostNet that is hardest to make fast: nine multiply-adds for each number, nothing to reuse between channels. We take
# a 3x3 depthwise convolution from Python's loops to NumPy, to compiled loops, to registers, to tiles, to threads. Every
# stage gives the same result as the one before, and is timed beside the limit of your machine.
#
# Run it with `python tutorials/18_registers.py`; it needs no network and takes about fifteen seconds, half of them for
# compilation. All times are measured on your machine; only results are asserted.

# %%
import time

import numba
import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost.engine.launch import kernel, share, thread_id
from minighost.engine.vectors import fill, lanes, load, store, where, width

compiling = not numba.config.DISABLE_JIT  # see "Stepping through"
njit = numba.njit(error_model="numpy", fastmath={"contract"})  # "contract": a*b + c may be one instruction

N, H, W, C = (128, 32, 32, 16) if compiling else (2, 4, 4, 8)
L, LINE = W * C, (W + 2) * C  # numbers in a line of the result, and in a padded line
rng = np.random.default_rng(0)
x = rng.normal(size=(N, H, W, C)).astype(np.float32)
w = rng.normal(size=(3, 3, C)).astype(np.float32)
few = np.pad(x[:4], ((0, 0), (1, 1), (1, 1), (0, 0)))  # four images, padded: they fit the cache of one core
out = np.empty_like(x[:4])


def race(entrants, rounds):
    """Run all entrants in turn, `rounds` times, after once to compile; return the fewest seconds that each took."""
    seconds = {name: [] for name in entrants}
    for number in range(rounds + 1):
        for name, run in entrants.items():
            start = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return {name: min(samples) for name, samples in seconds.items()}


# %% [markdown]
# ## Loops, and NumPy
#
# The loops below state the operation: each output is a sum of nine products. As in tutorial 15, the same text is run
# by Python or compiled. NumPy instead shifts the padded images nine times, and adds up whole arrays.


# %%
def loops(padded, w, out):
    N, H, W, C = out.shape
    for n in range(N):
        for i in range(H):
            for j in range(W):
                for c in range(C):
                    total = w.dtype.type(0)
                    for u in range(3):
                        for v in range(3):
                            total += padded[n, i + u, j + v, c] * w[u, v, c]
                    out[n, i, j, c] = total


def shifted(padded, w, out):
    _, H, W, _ = out.shape
    out[:] = 0
    for u, v in np.ndindex(3, 3):
        out += padded[:, u : u + H, v : v + W] * w[u, v]


small = np.empty((1, 4, 4, 8), np.float32)  # as many pixels and channels as we have patience for
start = time.perf_counter()
loops(few[:, :, :, :8], w[:, :, :8], small)
by_python = (time.perf_counter() - start) / small.size * out.size
shifted(few, w, out)
by_numpy = out.copy()
assert np.allclose(small[0], by_numpy[0, :4, :4, :8], atol=1e-5)

compiled = njit(loops)
compiled(few, w, out)
assert np.allclose(out, by_numpy, atol=1e-5)

# %% [markdown]
# ## Registers
#
# A processor has a few dozen registers of 4, 8 or 16 single-precision numbers, and multiplies two of them with one
# instruction. Whether the compiler makes such instructions of a loop is its own decision. `minighost.engine.vectors`
# makes it ours: `load` reads a register from memory, `store` writes it, `+ - * /` work on all its lanes.
#
# In a padded plane with channels last, the pixel one column on lies C numbers on, for all channels. So what a tap sees
# along a line is one stretch of memory. We cut the lines into strips, one register wide, and walk down each strip:
#
#     a line of the plane: columns times C
#     ┌────────┬────────┬────────┐        a    three pixels of the line above    times    three weights: top
#     │ strip  │ strip  │  ...   │        b    of this line                               middle
#     │   ↓    │   ↓    │        │        c    of the line below                          bottom
#
# Nine weights stay in registers, and so do six of the nine pixels: one line further down, b becomes a, and c becomes b.
# The loops load 18 numbers for each result, the walk 3.


# %%
@njit
def three(x, i, step):
    return load(x, i), load(x, i + step), load(x, i + 2 * step)


@njit
def dot(a, w):
    return a[0] * w[0] + a[1] * w[1] + a[2] * w[2]


@njit
def walk(plane, w, out):
    """One image: plane (H + 2, LINE), w (9, L), out (H, L)."""
    (H, L), line = out.shape, plane.shape[1]
    C, plane, w, out = (line - L) // 2, plane.reshape(-1), w.reshape(-1), out.reshape(-1)
    for s in range(0, L, lanes(plane)):
        top, middle, bottom = three(w, s, L), three(w, s + 3 * L, L), three(w, s + 6 * L, L)
        a, b = three(plane, s, C), three(plane, s + line, C)
        for h in range(H):
            c = three(plane, s + (h + 2) * line, C)
            store(out, s + h * L, dot(a, top) + dot(b, middle) + dot(c, bottom))
            a, b = b, c


@njit
def walk_all(planes, w, out):
    for n in range(len(out)):
        walk(planes[n], w, out[n])


planes, lines = few.reshape(-1, H + 2, LINE), out.reshape(-1, H, L)
along = np.tile(w.reshape(9, C), W)  # the weights of each tap, repeated along a line: (9, L)
assert L % width(x.dtype) == 0, "load and store take whole registers"
out[:] = np.nan
walk_all(planes, along, lines)
assert np.allclose(out, by_numpy, atol=1e-5)
print(f"a register of this machine holds {width(x.dtype)} numbers")

# %% [markdown]
# `load` checks nothing: a wrong index reads whatever is there. So the engine keeps this walk in one place,
# `minighost/engine/kernels/strips.py`, and its tests compare it with the plain loops over random shapes. The end of a
# line that does not fill a register is read and written in part, by `load_part` and `store_part`; our lines have none.
#
# ## The race
#
# All entrants run in turn, so that a disturbance hits all of them alike, and the fastest of many runs counts. The limit
# is 18 operations per number, at the peak that this machine reaches in matrix products (tutorial 15).


# %%
def table(seconds, limit):
    """Print for each entrant the time, the share of the limit, and how much faster it is than the one before."""
    before = None
    for name, value in seconds.items():
        ratio = "" if before is None else f", {before / value:.2f} times as fast as the one before"
        print(f"{name:22}{1e3 * value:10.3f} ms, {limit / value:7.2%} of the limit{ratio}")
        before = value


runs = 50 if compiling else 2
one = mg.bench.measure_roofline(1, sizes=(256, 512), nbytes=96 << 20, repeats=10)
peak = 18 * out.size / one.flops
convolution = race(
    {
        "NumPy": lambda: shifted(few, w, out),
        "compiled loops": lambda: compiled(few, w, out),
        "registers": lambda: walk_all(planes, along, lines),
    },
    runs,
)
convolution = {"Python": by_python, **convolution}  # which was given one corner of one image: multiplied up
print(f"{len(few)} images {H}x{W}x{C}, one thread, the fastest of {runs} runs; the peak allows {1e3 * peak:.3f} ms")
table(convolution, peak)

# %% [markdown]
# ## A tile: what else can be done in passing
#
# Four images fit the cache, a batch does not; then the walk waits for memory, and so would the loops. But in a network
# the convolution is not alone. Its input is a raw result that waits for batch norm and a ReLU, and the next batch norm
# needs the sums of its output. Each is a line of arithmetic - and, done separately, a sweep over the whole batch. So
# take one image at a time, a *tile* that stays in the cache, and do both while its numbers are in registers anyway:
# normalise on the way into the padded plane, add up on the way out.


# %%
@njit
def normalise(x, scale, shift, plane):
    """Batch norm and ReLU of one image (H, L), into the inside of its plane; scale, shift (L,)."""
    H, L = x.shape
    C, zero = (plane.shape[1] - L) // 2, fill(x, 0)
    for h in range(H):
        source, target = x[h], plane[h + 1]
        for s in range(0, L, lanes(x)):
            v = load(source, s) * load(scale, s) + load(shift, s)
            store(target, C + s, where(v <= zero, zero, v))


@njit
def add_up(out, sums):
    """Sum and sum of squares of one result (H, L), column by column: sums (2, L)."""
    H, L = out.shape
    for s in range(0, L, lanes(out)):
        total = squares = fill(out, 0)
        for h in range(H):
            v = load(out[h], s)
            total, squares = total + v, squares + v * v
        store(sums[0], s, total)
        store(sums[1], s, squares)


@njit
def walk_and_add_up(plane, w, out, sums):
    """`walk` and `add_up` at once: the same walk with a few lines more, and no further number is loaded for them."""
    (H, L), line = out.shape, plane.shape[1]
    C, plane, w, out = (line - L) // 2, plane.reshape(-1), w.reshape(-1), out.reshape(-1)
    for s in range(0, L, lanes(plane)):
        top, middle, bottom = three(w, s, L), three(w, s + 3 * L, L), three(w, s + 6 * L, L)
        a, b = three(plane, s, C), three(plane, s + line, C)
        total = squares = fill(out, 0)
        for h in range(H):
            c = three(plane, s + (h + 2) * line, C)
            v = dot(a, top) + dot(b, middle) + dot(c, bottom)
            store(out, s + h * L, v)
            total, squares = total + v, squares + v * v
            a, b = b, c
        store(sums[0], s, total)
        store(sums[1], s, squares)


@njit
def in_sweeps(x, scale, shift, w, planes, out, sums):
    for n in range(len(x)):
        normalise(x[n], scale, shift, planes[n])
    for n in range(len(x)):
        walk(planes[n], w, out[n])
    for n in range(len(x)):
        add_up(out[n], sums[n])


@njit
def in_tiles(x, scale, shift, w, planes, out, sums):
    for n in range(len(x)):
        normalise(x[n], scale, shift, planes[0])  # one plane for all images: it never leaves the cache
        walk_and_add_up(planes[0], w, out[n], sums[n])


# %% [markdown]
# ## Threads
#
# `@kernel` makes a function that every thread runs, each with the same arguments. `share` hands each thread the next
# image as soon as it is done with one, and `thread_id` gives it a number, and so a plane of its own. Every image has
# its own row of sums; they are added afterwards, in the order of the images. So the bits do not depend on who did what.


# %%
@kernel
def on_threads(work, x, scale, shift, w, planes, out, sums):
    plane = planes[thread_id(work)]
    for n in share(work, len(x)):
        normalise(x[n], scale, shift, plane)
        walk_and_add_up(plane, w, out[n], sums[n])


threads = mg.threads().count
raw, out = x.reshape(N, H, L), np.empty_like(x)
scale, shift = rng.normal(1, 0.2, C).astype(np.float32), rng.normal(0, 0.2, C).astype(np.float32)
planes, own_planes = np.zeros((N, H + 2, LINE), np.float32), np.zeros((threads, H + 2, LINE), np.float32)
lines, sums = out.reshape(N, H, L), np.empty((N, 2, L), np.float32)
inputs = raw, np.tile(scale, W), np.tile(shift, W), along


def with_threads(count):
    on_threads(*inputs, own_planes, lines, sums, n_threads=count)


ways = {
    "three sweeps": lambda: in_sweeps(*inputs, planes, lines, sums),
    "tiles": lambda: in_tiles(*inputs, planes, lines, sums),
    f"tiles, all threads ({threads})": lambda: with_threads(threads),
}
activation = np.maximum(x * scale + shift, 0)
expected, _ = mg.ops.depthwise_forward(activation, w.reshape(3, 3, C, 1), padding=1)
moments = expected.mean((0, 1, 2), dtype=np.float64), expected.var((0, 1, 2), dtype=np.float64)
found = []
for run in (*ways.values(), lambda: with_threads(1)):
    out[:], sums[:] = np.nan, np.nan
    run()
    total, squares = sums.reshape(N, 2, W, C).sum((0, 2), dtype=np.float64) / (N * H * W)
    assert np.allclose(out, expected, atol=1e-4)
    assert np.allclose((total, squares - total**2), moments, atol=1e-3)
    found.append((out.copy(), sums.copy()))
for other in found[2:]:  # the tiles' bits, on any number of threads
    assert all(np.array_equal(a, b) for a, b in zip(other, found[1], strict=True))

runs = 25 if compiling else 2
roof = mg.bench.measure_roofline(threads, sizes=(256, 512), nbytes=96 << 20, repeats=10)
block = race(ways, runs)
least = roof.seconds(24 * x.size, 8 * x.size)  # 18, 2 for batch norm, 1 for the ReLU, 3 for the sums; read, written
print(
    f"{N} images with batch norm, ReLU and sums, the fastest of {runs} runs; the roofline allows {1e3 * least:.2f} ms"
)
table(block, least)

# %% [markdown]
# For each number the sweeps move 20 bytes - read, written, read, written, read - and the tiles 8, for their plane stays
# in the cache. The sums cost next to nothing on top of the walk. That is the whole art of `minighost/engine`: not fewer
# operations, but no number that travels twice. (On threads the memory is shared: once it is busy, more threads do not
# help.)
#
# ## Stepping through
#
# With `NUMBA_DISABLE_JIT=1` nothing is compiled, and a register is a NumPy array of as many numbers. So the kernel
# that was just timed can be debugged, line by line. Write `breakpoint()` as the first line of `walk`, and run
#
#     NUMBA_DISABLE_JIT=1 python tutorials/18_registers.py      (then: n for each line, p b, p middle, p dot(b, middle))

# %%
figure = Figure(figsize=(10.5, 3.6), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
for ax, seconds, bound, label in ((left, convolution, peak, "peak"), (right, block, least, "roofline")):
    ax.barh(list(seconds), [1e3 * value for value in seconds.values()], color="#2a6f97")
    ax.axvline(1e3 * bound, color="#e07a3f", lw=2, label=f"this machine's {label}: {1e3 * bound:.2g} ms")
    for row, value in enumerate(seconds.values()):
        ax.text(1e3 * value, row, f"  {1e3 * value:.3g} ms, {100 * bound / value:.2g} %", va="center", fontsize=9)
    ax.invert_yaxis()
    ax.spines[["top", "right"]].set_visible(False)
left.set(title="3x3 depthwise convolution, one thread", xscale="log", xlabel="ms")
left.set_xlim(right=100 * left.get_xlim()[1])
right.set(title="with batch norm, ReLU and sums", xlabel="ms")
right.set_xlim(0, 1.45 * right.get_xlim()[1])
for ax in (left, right):
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=9)
mg.plots.show(figure, "registers.png")

# %% [markdown]
# ## Try it
#
# 1. `MINIGHOST_VECTOR_BYTES=16` makes registers of four numbers. How much slower is the walk, and how much the tile?
# 2. Images of 8x8 pixels, and of 128x128: where does the tile's lead shrink, and why?
# 3. The sums of squares lose digits where the mean is large. Subtract the first line's result from all others in the
#    walk, as the engine does, and compare in double precision.
#
# Read on in `minighost/engine/kernels/strips.py`, where the same walk ends in either of two epilogues and goes backward
# too, and in `docs/engine.md`.
