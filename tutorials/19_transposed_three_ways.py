# %% [markdown]
# # Transposed, three ways, and no deconvolution
#
# A transposed convolution makes a plane larger with learnt weights (tutorial 06). There are three ways to compute it,
# which look nothing alike: add up stamps, convolve a plane with gaps, or sort the taps and interleave small
# convolutions. They give the same numbers; they do not take the same work. And it is often called a *deconvolution*,
# which it is not: it does not sharpen what a convolution has blurred. We build what does, Wiener's filter and the
# iteration of Richardson and Lucy, in thirty lines. There the transposed convolution has a part to play after all.
#
# Run it with `python tutorials/19_transposed_three_ways.py`; it needs no network and takes a few seconds.

# %%
import time

import numpy as np
from matplotlib.figure import Figure

import minighost as mg

rng = np.random.default_rng(0)

# %% [markdown]
# ## Three ways along a line
#
# One line of pixels is enough to see it. *Scatter*: each pixel stamps the kernel, times its own value, into the output;
# stamps lie S pixels apart, and where they overlap they add.


# %%
def scatter(x, w, S):
    out = np.zeros((len(x) - 1) * S + len(w))
    for i, value in enumerate(x):
        out[i * S : i * S + len(w)] += value * w
    return out


# %% [markdown]
# *Zero insertion*: put S - 1 zeros between the pixels and k - 1 around them, and run an ordinary convolution without a
# stride. Seen from an output, the stamps come in reverse order, so the kernel is flipped.


# %%
def correlate(x, w):
    """What a network calls a convolution: out[i] = sum over u of x[i + u] * w[u]."""
    return np.lib.stride_tricks.sliding_window_view(x, len(w)) @ w


def zero_insertion(x, w, S):
    spaced = np.zeros((len(x) - 1) * S + 1)
    spaced[::S] = x
    return correlate(np.pad(spaced, len(w) - 1), w[::-1])


# %% [markdown]
# *Depth to space*: most of those products are with a zero, and it is known in advance which. The outputs r, r + S,
# r + 2S, ... only ever meet the taps r, r + S, r + 2S, ... So sort the taps by their remainder. Each of the S *phases*
# is a small convolution of the original x, with ceil(k/S) taps; interleave their results. Where S does not divide k,
# some phases have a tap less, and get a zero.


# %%
def depth_to_space(x, w, S):
    taps = -(-len(w) // S)
    even = np.pad(w, (0, taps * S - len(w)))
    padded = np.pad(x, taps - 1)
    phases = [correlate(padded, even[r::S][::-1]) for r in range(S)]
    return np.stack(phases, axis=1).ravel()[: (len(x) - 1) * S + len(w)]


x, w = np.array([1.0, 10.0]), np.array([1.0, 2.0, 3.0])
for construct in (scatter, zero_insertion, depth_to_space):
    print(f"{construct.__name__:14}", construct(x, w, 2))
    assert construct(x, w, 2).tolist() == [1, 2, 13, 20, 30]
for k, S, size in np.ndindex(8, 5, 6):
    x, w = rng.normal(size=size + 1), rng.normal(size=k + 1)
    first = scatter(x, w, S + 1)
    np.testing.assert_allclose(zero_insertion(x, w, S + 1), first, atol=1e-12)
    np.testing.assert_allclose(depth_to_space(x, w, S + 1), first, atol=1e-12)

# %% [markdown]
# ## What each costs
#
# Planes do the same along both axes, so the factors are squared. We count products for a plane of 32x32 pixels, one
# channel, as the loops above do them, and time minighost's own three with 32 channels. (Times are printed, not
# asserted: they are your machine's.)

# %%
x, images = rng.normal(size=(1, 8, 9, 4)), rng.normal(size=(1, 32, 32, 32)).astype(np.float32)
methods, products = ("scatter", "zero_insertion", "depth_to_space"), {}
print("kernel, stride   products in a plane (milliseconds with channels)")
for k, S in ((2, 2), (4, 2), (3, 2), (16, 8)):
    w = rng.normal(size=(k, k, 3, 4))
    outs = [mg.ops.conv_transpose2d_forward(x, w, stride=S, padding=k // 4, method=method)[0] for method in methods]
    for out in outs[1:]:
        np.testing.assert_allclose(out, outs[0], atol=1e-11)

    taps = -(-k // S)
    sides = 32 * k, (31 * S + k) * k, (32 + taps - 1) * S * taps  # along one axis
    products[k, S] = dict(zip(methods, (side**2 for side in sides), strict=True))
    kernels, shown = rng.normal(size=(k, k, 8, 32)).astype(np.float32), []
    for method in methods:
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            mg.ops.conv_transpose2d_forward(images, kernels, stride=S, method=method)
            seconds.append(time.perf_counter() - start)
        shown.append(f"{method} {products[k, S][method]:9,} ({1e3 * min(seconds):6.1f})")
    print(f"{k:2}x{k:<2} stride {S}  ", "   ".join(shown))
for count in products.values():
    assert count["zero_insertion"] > 3 * count["scatter"]  # S*S, but for the border
    assert count["depth_to_space"] < 1.9 * count["scatter"]
assert products[2, 2]["depth_to_space"] == products[2, 2]["scatter"]  # k = S: a 1x1 convolution, no tap is shared
assert products[3, 2]["depth_to_space"] > 1.5 * products[3, 2]["scatter"]  # 16 taps for 9

# %% [markdown]
# Scatter has the fewest products, but writes each output several times. Depth to space writes each output once, and is
# an ordinary convolution: whatever makes those fast makes it fast too. So the two are rarely far apart. Zero insertion
# explains the operation best, and should stay there.
#
# ## Is it a deconvolution?
#
# A test chart: bars, discs and stars on a dark sky. A lens out of focus spreads every point over a disc, the sensor
# adds a little noise. That is a convolution; does its transpose undo it?

# %%
side, reach = 64, 4
chart = np.zeros((side, side))
for column, width in ((12, 1), (16, 2), (22, 3), (30, 4)):
    chart[12:30, column : column + width] = 1
rows, columns = np.mgrid[:side, :side]
chart[(rows - 42) ** 2 + (columns - 20) ** 2 < 49] = 0.7
chart[(rows - 42) ** 2 + (columns - 20) ** 2 < 9] = 0.2
chart[rng.integers(34, 52, 14), rng.integers(34, 52, 14)] = 1
chart[14:26, 42:52] = np.linspace(0.1, 1, 10)
offsets = np.arange(-reach, reach + 1)
disc = (offsets[:, None] ** 2 + offsets**2 <= 3.2**2).astype(float)
disc /= disc.sum()
kernel = disc[:, :, None, None]


def blur(picture):
    return mg.ops.conv2d_forward(picture[None, :, :, None], kernel, padding=reach)[0][0, :, :, 0]


def transposed(picture):
    return mg.ops.conv_transpose2d_forward(picture[None, :, :, None], kernel, padding=reach)[0][0, :, :, 0]


def error(picture):
    """Root of the mean square, relative to the chart's own."""
    return np.sqrt(((picture - chart) ** 2).mean() / (chart**2).mean())


noise = 0.005
seen = blur(chart) + noise * rng.normal(size=chart.shape)
print(
    f"\nerror of the blurred picture {error(seen):.2f}, after the transposed convolution {error(transposed(seen)):.2f}"
)
assert error(transposed(seen)) > error(seen) > 0.4

# %% [markdown]
# Worse than before. A disc is symmetric, so its transpose is *the same disc*: we have blurred twice. In frequencies it
# is plain to see. A convolution multiplies each frequency by a number K, its transpose by the conjugate of K, and the
# inverse would divide by K. Transpose and inverse agree where |K| = 1 - for a shift, say - and nowhere else.

# %%
origin = np.roll(np.pad(disc, (0, side - len(disc))), (-reach, -reach), axis=(0, 1))
K = np.conj(np.fft.fft2(origin))  # the conjugate, since a network's convolution does not flip
inside = np.pad(rng.normal(size=(40, 40)), 12)  # dark margins: no difference whether the border wraps around
np.testing.assert_allclose(np.fft.fft2(blur(inside)), K * np.fft.fft2(inside), atol=1e-10)
np.testing.assert_allclose(np.fft.fft2(transposed(inside)), np.conj(K) * np.fft.fft2(inside), atol=1e-10)

shift = np.zeros((9, 9, 1, 1))
shift[1, 6] = 1
moved, _ = mg.ops.conv2d_forward(inside[None, :, :, None], shift, padding=4)
returned, _ = mg.ops.conv_transpose2d_forward(moved, shift, padding=4)
assert not np.array_equal(moved[0, :, :, 0], inside) and np.array_equal(returned[0, :, :, 0], inside)
print(f"|K| of the disc: from {abs(K).min():.4f} to {abs(K).max():.0f}; of a shift: 1 everywhere")

# %% [markdown]
# ## Three deconvolutions
#
# *Divide by K.* Without noise that is exact. With noise it is useless: at frequencies where K is nearly 0 the picture
# has lost its signal and keeps its noise, which the division multiplies a hundredfold.
#
# *Wiener's filter* divides where the signal is stronger than the noise, and lets go where it is weaker: conj(K) /
# (|K|^2 + noise power / signal power). With no noise it is the division; with much noise it is the transpose.
#
# *Richardson and Lucy* (1972, 1974) ask which picture explains the counts of light best. Guess a picture, blur it,
# compare: seen / blur(guess) is above 1 where the guess is too dark. The *transposed* convolution carries these ratios
# to the pixels that are responsible for them, and the guess is multiplied by them. It never becomes negative, as light
# should not. So the transpose is a part of deconvolution, as it is of every gradient descent: it distributes blame.


# %%
def divide(seen, K):
    return np.fft.ifft2(np.fft.fft2(seen) / K).real


def wiener(seen, K, noise_to_signal):
    return np.fft.ifft2(np.fft.fft2(seen) * np.conj(K) / (abs(K) ** 2 + noise_to_signal)).real


def richardson_lucy(seen, iterations):
    guess, light = np.full(seen.shape, seen.mean()), transposed(np.ones_like(seen))
    for _ in range(iterations):
        guess = guess * transposed(seen / np.maximum(blur(guess), 1e-9)) / light
        yield guess


signal = (abs(np.fft.fft2(chart)) ** 2).mean() / chart.size
restored = {
    "chart": chart,
    "blurred, noise": seen,
    "transposed": transposed(seen),
    "divided by K": divide(seen, K),
    "Wiener": wiener(seen, K, noise**2 / signal),
}
guesses = list(richardson_lucy(np.maximum(seen, 0), 300))
errors = [error(guess) for guess in guesses]
restored["Richardson-Lucy"] = guesses[-1]
for name, picture in restored.items():
    print(f"{name:16} error {error(picture):7.3f}")
np.testing.assert_allclose(divide(blur(chart), K), chart, atol=1e-9)  # no noise
np.testing.assert_allclose(wiener(seen, K, 0), divide(seen, K), atol=1e-9)
assert error(restored["divided by K"]) > 3 * error(seen)
assert error(restored["Wiener"]) < 0.75 * error(seen) and error(guesses[-1]) < 0.75 * error(seen)
assert min(guess.min() for guess in guesses) >= 0 > restored["Wiener"].min()
assert abs(guesses[-1].sum() / np.maximum(seen, 0).sum() - 1) < 0.01  # no light is lost

# %% [markdown]
# A network's transposed convolution does none of this, and need not: its weights are learnt, and may become a
# sharpening filter if the task asks for one. The point is the name. "Deconvolution" promises an inverse; what you get
# is the transpose, and it undoes the change of *size* only.

# %%
figure = Figure(figsize=(11, 6.2), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(1, 1))
axes = above.subplots(1, 4, width_ratios=(1, 1, 1, 1.1))
x, w, colours = np.array([1.0, 0.6, 0.9]), np.array([0.5, 1, 1, 0.5]), ("#2a6f97", "#e07a3f", "#77933c")
out, place, bottom = scatter(x, w, 2), np.arange(8), np.zeros(8)
for i, (value, colour) in enumerate(zip(x, colours, strict=True)):
    axes[0].bar(place[2 * i : 2 * i + 4], value * w, bottom=bottom[2 * i : 2 * i + 4], color=colour)
    bottom[2 * i : 2 * i + 4] += value * w
axes[0].set_title("scatter: stamps add up", fontsize=10)
axes[1].bar(place, out, color="#d9d9d9")
axes[1].bar([1.5, 3.5, 5.5], x, width=0.35, color=colours)
axes[1].plot([2.5, 4.5], [0, 0], "o", color="#444444", clip_on=False, zorder=5)
axes[1].set_title("zeros inserted (dots)", fontsize=10)
for r, shade in enumerate(("#12384f", "#8fc1de")):
    axes[2].bar(place[r::2], out[r::2], color=shade, label=f"taps {r} and {r + 2}")
axes[2].legend(frameon=False, fontsize=9)
axes[2].set_title("phases, interleaved", fontsize=10)
for ax in axes[:3]:
    ax.set(xticks=place, yticks=[], ylim=(0, 1.9), xlabel="output pixel")
    ax.spines[["top", "right", "left"]].set_visible(False)
axes[3].plot(range(1, 301), errors, color="#e07a3f", lw=2, label="Richardson-Lucy")
for name, style in (("blurred, noise", ":"), ("Wiener", "--")):
    axes[3].axhline(error(restored[name]), color="#2a6f97", ls=style, label=name)
axes[3].set(xlabel="iteration", ylim=(0, 1))
axes[3].set_title("error", fontsize=10)
axes[3].legend(frameon=False, fontsize=9)
axes[3].spines[["top", "right"]].set_visible(False)
for ax, (name, picture) in zip(below.subplots(1, 6), restored.items(), strict=True):
    ax.imshow(picture[7:57, 7:57], cmap="gray", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
    ax.set_title(name, fontsize=10)
    ax.set_xlabel(f"error {error(picture):.2f}", fontsize=10)
mg.plots.show(figure, "transposed_three_ways.png")

# %% [markdown]
# ## Try it
#
# 1. Ten times the noise: which of the two methods suffers more? After which iteration does the error of Richardson and
#    Lucy rise again, and why do astronomers stop early?
# 2. Replace the disc by a Gaussian of the same width. What becomes of the smallest |K|, and of the division?
# 3. Descend on the squared error instead: guess += transposed(seen - blur(guess)). What is the same as in Richardson
#    and Lucy, and what goes wrong with the sky?
#
# Read on in `minighost/ops/conv_transpose2d.py` and `minighost/ops/transposed_methods.py`; in `minighost learn`,
# exercise 20 is the transposed convolution and exercise 41 its regrouped taps.
