# %% [markdown]
# # The gradient checker
#
# A wrong backward raises no error. The loss may still fall, a little more slowly, and you look for the reason in all
# the wrong places. So how can we know that a backward is the derivative of its forward, without trusting the
# derivation? By asking the forward: move an input a little, see how far the output moves. It sounds simple. But how
# little is a little? And which question do we ask? Some let every mistake pass.
#
# Run it with `python tutorials/04_gradient_checker.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg

rng = np.random.default_rng(0)

# %% [markdown]
# ## How little is a little?
#
# The slope of f at x is close to either of
#
#     one-sided   (f(x + h) - f(x)) / h              off by about h * f''/2
#     central     (f(x + h) - f(x - h)) / 2h         off by about h^2 * f'''/6
#
# So make h tiny? No: f(x + h) and f(x - h) then agree in all but their last digits, and the difference is made of the
# rounding of those. That error is about eps * f / h, and it *grows* as h shrinks; eps is 2e-16 in double precision.
# The sum of the two errors has the shape of a U, with its lowest point near h = sqrt(eps) for the one-sided formula
# and near h = cbrt(eps) for the central one.
#
# There is a way out of the valley. For an analytic f, take a step along the *imaginary* axis:
#
#     f(x + ih) = f(x) + ih f'(x) - h^2 f''(x)/2 - ...      so      Im f(x + ih) / h = f'(x) + O(h^2)
#
# Nothing is subtracted, so nothing cancels, and h may be 1e-100 (Squire and Trapp 1998).


# %%
def f(x):
    """A smooth function whose slope we know."""
    return np.exp(x) * np.sin(3 * x)


def slope_of_f(x):
    return np.exp(x) * (np.sin(3 * x) + 3 * np.cos(3 * x))


steps = 10.0 ** np.arange(-15, 0, 0.25)
points = rng.uniform(0.2, 1.0, 200)
truth = slope_of_f(points)


def errors(measure, dtype):
    """Mean error over the points, for each step."""
    return [np.abs(measure(points.astype(dtype), dtype(h)) - truth).mean() for h in steps]


curves = {
    "one-sided": errors(lambda x, h: (f(x + h) - f(x)) / h, np.float64),
    "central": errors(lambda x, h: (f(x + h) - f(x - h)) / (2 * h), np.float64),
    "complex step": errors(lambda x, h: f(x + 1j * h).imag / h, np.float64),
}
single = steps > 1e-7  # below, x + h is x in single precision
curves["central, float32"] = errors(lambda x, h: (f(x + h) - f(x - h)) / (x.dtype.type(2) * h), np.float32)
curves["central, float32"] = np.where(single, curves["central, float32"], np.nan)
best = {name: (steps[np.nanargmin(curve)], np.nanmin(curve)) for name, curve in curves.items()}
for name, (h, error) in best.items():
    print(f"{name:>17}: least error {error:.0e} at h = {h:.0e}")
assert 1e-9 < best["one-sided"][0] < 1e-7 and best["one-sided"][1] > 1e-9
assert 1e-6 < best["central"][0] < 1e-4 and best["central"][1] < 1e-9
assert curves["complex step"][0] < 1e-14
assert best["central, float32"][1] > 1e-5

# %% [markdown]
# Two rules follow. **Check in double precision**: in single precision even the best step gives only four or five
# digits. And **take central differences with h near 1e-5**, or the complex step where the function allows it.
# minighost's checker tries the complex step first, and has several h to fall back on.

# %%
figure = Figure(figsize=(7.5, 4.2), layout="constrained")
ax = figure.subplots()
styles = {
    "central, float32": ("#999999", "central, in float32", (1e-6, 5e-1)),
    "one-sided": ("#ee6677", "one-sided", (1.2e-8, 2e-5)),
    "central": ("#4477aa", "central", (3e-9, 1e-11)),
    "complex step": ("#228833", "complex step", (1e-12, 3e-15)),
}
for name, (colour, label, (across, up)) in styles.items():
    ax.loglog(steps, curves[name], color=colour, lw=2)
    ax.text(across, up, label, color=colour, fontsize=11)
ax.set(xlabel="step h", ylabel="mean error of the slope", title="The error of a finite difference has a valley")
ax.set_ylim(1e-16, 10)
ax.grid(alpha=0.25)
ax.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "gradient_checker.png")

# %% [markdown]
# ## Which question?
#
# A layer has many outputs, a loss is one number. So a checker invents a loss: `(out * dout).sum()` for some fixed
# `dout`, the *upstream gradient*, and asks whether backward(dout) is its slope. The simplest `dout` is all ones: the
# sum of the outputs. For batch norm that is the worst of all choices. It subtracts the mean of each channel, so its
# outputs sum to zero, whatever the input. The true gradient of that sum is zero, and a backward of zeros passes.


# %%
def batch_norm(x, eps=1e-5):
    """Mean 0 and variance 1 for each channel."""
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - mean) / np.sqrt(var + eps)


def lazy_backward(dout, x):
    """Zero, the whole of it."""
    return np.zeros_like(x)


def naive_check(forward, backward, x, dout, h=1e-5):
    """Largest difference between a backward and central differences, index by index."""
    slopes = np.empty_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = h
        slopes[index] = ((forward(x + step) - forward(x - step)) * dout).sum() / (2 * h)
    return np.abs(backward(dout, x) - slopes).max()


x = rng.normal(size=(2, 4, 3, 2))
hidden = naive_check(batch_norm, lazy_backward, x, np.ones_like(x))
shown = naive_check(batch_norm, lazy_backward, x, rng.normal(size=x.shape))
print(f"\na backward of zeros: error {hidden:.0e} with ones upstream, {shown:.2f} with random numbers")
assert hidden < 1e-8 and shown > 0.1

# %% [markdown]
# Softmax has the same trap: its outputs sum to 1. And in any layer, all-ones hides that `dout` was read transposed or
# flipped. So the upstream gradient must be **random**; then nothing agrees by chance.
#
# ## minighost's checker
#
# `mg.gradcheck.check` takes a layer, or any pair (forward, backward), yours too. It draws the upstream gradient,
# chooses the sharpest measurement, and also looks for what no slope shows: a backward that writes into its input, that
# gives a different result the second time, or whose result is not proportional to `dout`.


# %%
def backward(dout, x, eps=1e-5):
    """Of `batch_norm`, right (tutorial 7 derives it)."""
    inv_std = 1 / np.sqrt(x.var((0, 1, 2)) + eps)
    xhat = (x - x.mean((0, 1, 2))) * inv_std
    return inv_std * (dout - dout.mean((0, 1, 2)) - xhat * (dout * xhat).mean((0, 1, 2)))


def forgets_the_variance(dout, x, eps=1e-5):
    """As if the variance did not depend on x."""
    inv_std = 1 / np.sqrt(x.var((0, 1, 2)) + eps)
    return inv_std * (dout - dout.mean((0, 1, 2)))


print(mg.gradcheck.check((batch_norm, backward), x))
print(mg.gradcheck.check(mg.nn.GhostModule(3, 6, kernel_size=1, rng=1), rng.normal(size=(2, 5, 5, 3))))

# %% [markdown]
# Now for wrong ones. A failure is an error that names the first wrong number and, if the pattern is familiar, the
# cause.


# %%
def complaint(forward, backward, inputs, name):
    """What the checker says about a wrong backward."""
    try:
        mg.gradcheck.check((forward, backward), inputs, name=name)
    except mg.gradcheck.GradientError as error:
        print(f"\n{error}")
        return error
    raise AssertionError(f"{name}: the mistake was not found")


error = complaint(batch_norm, lazy_backward, x, "zeros")
assert "zero everywhere" in str(error)

error = complaint(batch_norm, forgets_the_variance, x, "batch norm")
assert "the term through the variance is missing" in str(error)

a, b = rng.normal(size=(4, 3)), rng.normal(size=(3, 3))
error = complaint(lambda a, b: a @ b, lambda dout, a, b: (dout @ b, a.T @ dout), [a, b], "product")
assert "swapped" in str(error)  # dout @ b.T was meant; with a square b the shapes do not tell


def flipped_kernel(dout, cache):
    """A convolution's backward that flips the kernel once too often."""
    dx, dw, db = mg.ops.conv2d_backward(dout, cache)
    return dx, dw[::-1, ::-1], db


image, w = rng.normal(size=(2, 5, 6, 2)), rng.normal(size=(3, 3, 2, 3))
error = complaint(lambda x, w: mg.ops.conv2d_forward(x, w, padding=1), flipped_kernel, [image, w], "conv")
assert "flipped" in str(error)

# %% [markdown]
# The error can draw itself: your gradient, the numerical gradient, and the difference. Each row of this drawing is one
# of the nine taps. The left panel is the middle one upside down, and in the fifth row, the tap at the centre, the
# difference is zero: flipping does not move it.

# %%
print("wrote", error.draw("gradient_checker_error.png"))

# %% [markdown]
# ## What a checker cannot see
#
# It compares the backward with *this* forward. If the forward is wrong - padding on one side only, say - and the
# backward is its true derivative, the checker is satisfied. To find that, you need a second forward to compare with,
# which is why the operations of minighost exist twice. And at a kink, a ReLU at exactly 0, there is no single slope:
# there the checker accepts whatever lies between the slopes from the left and from the right. At a jump, or where a
# slope is infinite (the square root's at 0), there is nothing at all to compare a backward with. That is an error, not
# a pass: give inputs away from there.

# %%
kinked = np.array([-1.0, 0.0, 2.0])
report = mg.gradcheck.check((lambda x: np.maximum(x, 0), lambda dout, x: dout * (x > 0)), kinked, name="relu")
print(report)
assert report.findings[0].kinks == 1

# %% [markdown]
# ## Try it
#
# 1. Leave out the mean in `backward` (keep the term with xhat). What is the diagnosis?
# 2. Write a backward of `np.tanh` with `1 - x**2` instead of `1 - np.tanh(x)**2`. At which inputs is it nearly right?
# 3. The checker took central differences of `batch_norm`, not the complex step: what does `np.var` compute for complex
#    numbers? Replace it by a mean of squares and look at the report again.
#
# Read on in `minighost/gradcheck/checker.py`, then `numeric.py` and `diagnosis.py` beside it. On the command line,
# `minighost gradcheck conv` checks a layer of minighost. `minighost learn` checks your backwards with the same code,
# from exercise 8 on.
