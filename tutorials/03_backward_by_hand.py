# %% [markdown]
# # The backward of a convolution, by hand
#
# Training asks one question of every layer: if the loss falls when the *output* moves this way, which way must the
# *weights* and the *input* move? For a convolution the answer is three sums. We derive them, write them down, and
# check each. The last one needs an operation that adds overlapping windows back into an image: col2im.
#
# Run it with `python tutorials/03_backward_by_hand.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg

rng = np.random.default_rng(0)

# %% [markdown]
# ## What we start from
#
# With windows as rows (the second tutorial) a convolution is a matrix product:
#
#     out = cols @ W + b        cols (R, K),  W (K, OC),  b (OC,),  out (R, OC)
#
# R = N*OH*OW windows, K = KH*KW*C numbers in each. In the backward we are given `dout`, of the shape of `out`: the
# slope of the loss for each output number. Call the loss L. Then to first order, when `out` moves by a small `delta`,
#
#     L moves by  (dout * delta).sum()
#
# That one line is all we need. Move something, see how `out` moves, insert that, and read off the slope.
#
# **db.** Add e to b[o]: then every out[r, o] moves by e, and L by e * sum over r of dout[r, o].
#
# **dW.** Add e to W[k, o]: then out[r, o] moves by cols[r, k] * e, and L by e * sum over r of cols[r, k] * dout[r, o].
# That is a matrix product: `cols.T @ dout`.
#
# **dcols.** Add e to cols[r, k]: then out[r, o] moves by e * W[k, o], and L by e * sum over o of dout[r, o] * W[k, o].
# That is `dout @ W.T`.
#
# The shapes leave no other choice: `dW` must be (K, OC), and there is only one way to get it from (R, K) and (R, OC).


# %%
def conv_forward(x, w, b, stride=1, padding=0):
    """im2col, product, bias."""
    (N, H, W, _), (KH, KW, _, OC) = x.shape, w.shape
    cols = mg.ops.im2col(x, (KH, KW), stride, padding)
    OH, OW = (H + 2 * padding - KH) // stride + 1, (W + 2 * padding - KW) // stride + 1
    out = cols @ w.reshape(-1, OC) + b
    return out.reshape(N, OH, OW, OC), (cols, x.shape, w, stride, padding)


def conv_backward(dout, cache):
    """The same lines, from the last to the first."""
    cols, x_shape, w, stride, padding = cache
    OC = w.shape[3]
    rows = dout.reshape(-1, OC)
    db = rows.sum(0)
    dw = (cols.T @ rows).reshape(w.shape)
    dcols = rows @ w.reshape(-1, OC).T
    return col2im(dcols, x_shape, w.shape[:2], stride, padding), dw, db


# %% [markdown]
# ## col2im: where windows overlap, gradients add
#
# What remains is dx. A pixel appears in several rows of `cols`: move it, and all of its copies move. So the slope of
# the pixel is the *sum* of the slopes of its copies. col2im walks over the windows, as im2col did, but where im2col
# read, it adds. The `+=` is the whole point. With `=` the last window wins. A network may well learn something anyway,
# which is why you have to look for the mistake.


# %%
def col2im(dcols, x_shape, kernel, stride, padding):
    """Add every row back to the pixels it came from."""
    N, H, W, C = x_shape
    KH, KW = kernel
    padded = np.zeros((N, H + 2 * padding, W + 2 * padding, C))
    OH, OW = (padded.shape[1] - KH) // stride + 1, (padded.shape[2] - KW) // stride + 1
    windows = dcols.reshape(N, OH, OW, KH, KW, C)
    for i in range(OH):
        for j in range(OW):
            padded[:, i * stride : i * stride + KH, j * stride : j * stride + KW] += windows[:, i, j]
    return padded[:, padding : padding + H, padding : padding + W]  # what fell on the padding is dropped


x, w, b = rng.normal(size=(3, 7, 6, 3)), rng.normal(size=(3, 3, 3, 4)), rng.normal(size=4)
out, cache = conv_forward(x, w, b, stride=2, padding=1)
dout = rng.normal(size=out.shape)
mine = conv_backward(dout, cache)
theirs = mg.ops.conv2d_backward(dout, mg.ops.conv2d_forward(x, w, b, stride=2, padding=1)[1])
for name, a, c in zip(("dx", "dw", "db"), mine, theirs, strict=True):
    print(f"{name}: shape {a.shape}, largest difference from minighost's {np.abs(a - c).max():.0e}")
    np.testing.assert_allclose(a, c, atol=1e-12)

# %% [markdown]
# Two implementations can share a mistake. So we ask the forward itself, by differences. The next tutorial is about how
# that works and where it fails; here it is one line.

# %%
print(mg.gradcheck.check((conv_forward, conv_backward), [x, w, b, 2, 1], name="conv"))

# %% [markdown]
# ## Adjoint, not inverse
#
# im2col copies pixels, so it is linear: there is a matrix A with `cols = A x`, of zeros and ones. col2im is its
# transpose. It is *not* its inverse: take a picture apart and add it together again, and every pixel comes back
# multiplied by the number of windows it is in.
#
# A transpose obeys one law, and testing it needs no matrix - any random pair will do:
#
#     <A x, y>  =  <x, A' y>          that is    (im2col(x) * y).sum()  ==  (x * col2im(y)).sum()
#
# For linear code this is the sharpest test there is. It has no step size, and holds to rounding.


# %%
def overwriting(dcols, x_shape, kernel, stride, padding):
    """col2im with the usual mistake."""
    N, H, W, C = x_shape
    padded = np.zeros((N, H + 2 * padding, W + 2 * padding, C))
    OH, OW = (padded.shape[1] - kernel[0]) // stride + 1, (padded.shape[2] - kernel[1]) // stride + 1
    windows = dcols.reshape(N, OH, OW, *kernel, C)
    for i in range(OH):
        for j in range(OW):
            padded[:, i * stride : i * stride + kernel[0], j * stride : j * stride + kernel[1]] = windows[:, i, j]
    return padded[:, padding : padding + H, padding : padding + W]


cols = mg.ops.im2col(x, 3, 2, 1)
y = rng.normal(size=cols.shape)
left = (cols * y).sum()
right, wrong = ((x * f(y, x.shape, (3, 3), 2, 1)).sum() for f in (col2im, overwriting))
print(f"\n<im2col x, y> = {left:.10f}\n<x, col2im y> = {right:.10f}\nwith = for += : {wrong:.10f}")
assert abs(left - right) < 1e-10 < abs(left - wrong)

# %% [markdown]
# What did the mistake cost? The gradient checker says it in words.

# %%
try:
    mg.gradcheck.check(
        (lambda x: (mg.ops.im2col(x, 3, 2, 1), x.shape), lambda dout, shape: overwriting(dout, shape, (3, 3), 2, 1)),
        x,
        name="im2col with a wrong col2im",
    )
except mg.gradcheck.GradientError as error:
    print(error)
else:
    raise AssertionError("the mistake was not found")

# %% [markdown]
# ## How many windows see a pixel?
#
# col2im of ones counts them. At stride 1 a pixel in the middle is in nine windows, a corner in four. At stride 2 the
# counts alternate between 1, 2 and 4: some pixels matter four times as much as their neighbours. The pattern returns
# as a checkerboard when such a convolution is used in reverse, to enlarge a picture (tutorial 6).

# %%
counts = {}
for stride in (1, 2, 3):
    side = {1: 8, 2: 9, 3: 8}[stride]
    ones = np.ones_like(mg.ops.im2col(np.zeros((1, side, side, 1)), 3, stride, 1))
    counts[stride] = col2im(ones, (1, side, side, 1), (3, 3), stride, 1)[0, :, :, 0]
    print(f"stride {stride}: a pixel is in {sorted(set(counts[stride].ravel().astype(int).tolist()))} windows")
assert counts[1][4, 4] == 9 and counts[1][0, 0] == 4
assert set(counts[2].ravel()) == {1, 2, 4} and set(counts[3].ravel()) == {1}

figure = Figure(figsize=(9.5, 3.3), layout="constrained")
for ax, (stride, count) in zip(figure.subplots(1, 3), counts.items(), strict=True):
    ax.imshow(count, cmap="Blues", vmin=0, vmax=13)
    for h, k in np.ndindex(count.shape):
        ax.text(k, h, f"{count[h, k]:.0f}", ha="center", va="center", fontsize=9)
    ax.set_title(f"stride {stride}, {count.shape[0]}x{count.shape[1]} pixels", fontsize=10)
    ax.set(xticks=[], yticks=[])
figure.suptitle("Windows of 3x3 (padding 1) in which a pixel stands: what col2im adds together", fontsize=11)
mg.plots.show(figure, "backward_by_hand.png")

# %% [markdown]
# ## Twice forward, twice backward - but never one forward, two backwards
#
# A parameter that is used twice gets the sum of two gradients, for the same reason as a pixel in two windows. So
# layers *add* to `grad`, and `zero_grad` starts over. That has a trap: if you call `backward` a second time by
# mistake, you get twice the gradient, and nobody notices. In minighost each forward serves one backward. The cache is
# used up - its memory is available to the next layer at once - and a second call raises an error.

# %%
layer = mg.nn.Conv2d(3, 4, 3, padding=1, rng=0).astype(np.float64)
out = layer(x)
dout = rng.normal(size=out.shape)
layer.backward(dout)
once = layer.weight.grad.copy()
try:
    layer.backward(dout)
except RuntimeError as error:
    print(f"RuntimeError: {error}")
else:
    raise AssertionError("a second backward must not pass")
np.testing.assert_array_equal(layer.weight.grad, once)  # and it has changed nothing

layer(x)
layer.backward(dout)  # a second pair is welcome: the gradients add
np.testing.assert_array_equal(layer.weight.grad, 2 * once)
layer.zero_grad()
assert layer.weight.grad is None

# %% [markdown]
# ## Try it
#
# 1. Why does `conv_backward` not need `b`, and why not `out`? What must the backward of a ReLU keep?
# 2. Leave out the last line of `col2im` (return `padded`). What does `mg.gradcheck.check` say?
# 3. Divide `dw` by N in `conv_backward`. To plain gradient descent this is only another learning rate for `w`. Does
#    the checker find it, and does it find the reason?
#
# Read on in `minighost/ops/im2col.py` and `minighost/ops/conv2d.py`. In `minighost learn`, exercise 6 is col2im and
# exercises 7 to 9 are the convolution by im2col and its gradients.
