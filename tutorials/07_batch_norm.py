# %% [markdown]
# # Batch norm
#
# Batch norm gives every channel mean 0 and variance 1 over the batch, then a learnt scale and shift. The forward is a
# few lines. Why then is its backward easy to get wrong? Because the mean and the variance depend on every x, so each x
# reaches the loss in three ways. We take them one at a time, then find a closed form of one line, and see what it
# means. Then: what the running statistics are, what evaluation does with them, and how batch norm vanishes.
#
# Run it with `python tutorials/07_batch_norm.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg

rng = np.random.default_rng(0)
AXES = (0, 1, 2)  # N, H and W: R = N*H*W values for each channel

# %% [markdown]
# ## Forward
#
#     mean = sum(x) / R                          inv_std = 1 / sqrt(var + eps)
#     centred = x - mean                         xhat    = centred * inv_std
#     var  = sum(centred^2) / R                  out     = gamma * xhat + beta
#
# (Ioffe and Szegedy 2015, algorithm 1.) One mean and one variance *per channel*, over images and pixels together.


# %%
def batch_norm_forward(x, gamma, beta, eps=1e-5):
    """The lines above; everything that backward needs is kept."""
    centred = x - x.mean(AXES)
    var = (centred**2).mean(AXES)
    inv_std = 1 / np.sqrt(var + eps)
    xhat = centred * inv_std
    return gamma * xhat + beta, (centred, inv_std, xhat, gamma)


x = rng.normal(size=(16, 6, 5, 3)) * [0.5, 1.0, 3.0] + [-4.0, 1.0, 5.0]
gamma, beta = np.array([1.0, 0.5, 2.0]), np.array([0.0, 3.0, -1.0])
out, _ = batch_norm_forward(x, gamma, beta)
print("before: means", x.mean(AXES).round(2), "deviations", x.std(AXES).round(2))
print("after:  means", out.mean(AXES).round(2), "deviations", out.std(AXES).round(2))
np.testing.assert_allclose(out.mean(AXES), beta, atol=1e-12)
np.testing.assert_allclose(out.std(AXES), gamma, rtol=1e-4)  # not exactly: eps

# %% [markdown]
# ## Backward, first derivation: one line for each line
#
# Walk through the forward from its end. Whatever a line *reads* gets a gradient from it. `centred` is read twice, by
# `var` and by `xhat`, so it gets two gradients, and they add.


# %%
def backward_by_chain(dout, cache):
    """Every intermediate gets its gradient."""
    centred, inv_std, xhat, gamma = cache
    R = dout.size // dout.shape[3]
    dbeta = dout.sum(AXES)  # out = gamma * xhat + beta
    dgamma = (dout * xhat).sum(AXES)
    dxhat = dout * gamma
    dcentred = dxhat * inv_std  # xhat = centred * inv_std
    dinv_std = (dxhat * centred).sum(AXES)
    dvar = dinv_std * -0.5 * inv_std**3  # inv_std = (var + eps)^(-1/2)
    dcentred = dcentred + dvar * 2 * centred / R  # var = sum(centred^2) / R
    dmean = -dcentred.sum(AXES)  # centred = x - mean
    dx = dcentred + dmean / R  # mean = sum(x) / R
    return dx, dgamma, dbeta


# %% [markdown]
# ## Second derivation: one line
#
# Put the pieces into each other. `dvar * 2 * centred / R` becomes `-inv_std * xhat * sum(dxhat * xhat) / R`. In
# `dmean` that piece vanishes, because the sum of xhat is zero; what remains is `-inv_std * sum(dxhat)`. Together
#
#     dx = gamma * inv_std * ( dout - mean(dout) - xhat * mean(dout * xhat) )


# %%
def backward_closed(dout, cache):
    """The same, in closed form."""
    _, inv_std, xhat, gamma = cache
    dx = gamma * inv_std * (dout - dout.mean(AXES) - xhat * (dout * xhat).mean(AXES))
    return dx, (dout * xhat).sum(AXES), dout.sum(AXES)


out, cache = batch_norm_forward(x, gamma, beta)
dout = rng.normal(size=out.shape) + 0.8 * x  # random, and with a trend that will show below
chain, closed = backward_by_chain(dout, cache), backward_closed(dout, cache)
_, kernel_cache = mg.ops.batch_norm_forward(x, gamma, beta, np.zeros(3), np.ones(3), training=True)
kernel = mg.ops.batch_norm_backward(dout, kernel_cache)
print("\nlargest difference   chain - closed form   closed form - minighost's kernel")
for name, a, b, c in zip(("dx", "dgamma", "dbeta"), chain, closed, kernel, strict=True):
    print(f"{name:>18} {np.abs(a - b).max():21.0e} {np.abs(b - c).max():34.0e}")
    np.testing.assert_allclose(a, b, atol=1e-10)
    np.testing.assert_allclose(b, c, atol=1e-10)
print(mg.gradcheck.check((batch_norm_forward, backward_by_chain), [x, gamma, beta], name="batch norm, by chain"))

# %% [markdown]
# ## What the closed form says
#
# Add a constant to a channel: batch norm subtracts it again, the loss does not notice. So dx cannot have a part along
# the constants: it must sum to zero. Stretch a channel about its mean: batch norm divides it out. So dx cannot have a
# part along xhat either. The bracket removes exactly these two parts from dout - it is the residual of a straight line
# fitted to dout over xhat. (Exactly so for the second part only if eps = 0.)

# %%
dx, xhat = closed[0], cache[2]
c = 1  # look at one channel
slope, offset = np.polyfit(xhat[..., c].ravel(), dout[..., c].ravel(), 1)
left_over = dout[..., c] - (slope * xhat[..., c] + offset)
print(
    f"\nsum of dx {abs(dx[..., c].sum()):.0e}, dx along xhat {abs((dx * xhat)[..., c].sum()):.0e}, "
    f"size of dx {np.abs(dx[..., c]).sum():.0f}"
)
assert np.abs(dx.sum(AXES)).max() < 1e-11
assert (np.abs((dx * xhat).sum(AXES)) < 1e-3 * np.abs(dx).sum(AXES)).all()
np.testing.assert_allclose(dx[..., c] / (gamma[c] * cache[1][c]), left_over, atol=1e-4)

# %% [markdown]
# It also explains why a bias in front of batch norm is useless. The bias shifts a channel, so its gradient is zero -
# and `ConvBNAct` has none.

# %%
conv, bn = mg.nn.Conv2d(3, 4, 3, padding=1, rng=0).astype(np.float64), mg.nn.BatchNorm2d(4).astype(np.float64)
maps = bn(conv(x))
conv.backward(bn.backward(rng.normal(size=maps.shape)))
print(f"gradient of a bias before batch norm: {np.abs(conv.bias.grad).max():.0e}")
assert np.abs(conv.bias.grad).max() < 1e-12

# %% [markdown]
# ## Running statistics
#
# A trained network must classify *one* image, without a batch around it. So batch norm keeps running means as it goes:
#
#     running = (1 - momentum) * running + momentum * batch             momentum = 0.1 as a rule
#
# One trap. The variance that normalises divides by R. But the variance of a *sample* around its own mean comes out too
# small, by (R - 1)/R on average. So the running variance takes the unbiased value, R/(R - 1) times as large. With R =
# 100,000 nobody notices; we take batches of four values, where the difference is a quarter.

# %%
R, truth, momentum = 4, 9.0, 0.01
bn = mg.nn.BatchNorm2d(1, momentum=momentum).astype(np.float64)
biased, history = 1.0, []
for batch in rng.normal(5.0, np.sqrt(truth), size=(4000, R, 1, 1, 1)):
    bn(batch)
    biased += momentum * (batch.var() - biased)  # the tempting version
    history.append((bn.running_var.data[0], biased))
unbiased_mean, biased_mean = np.mean(history[1000:], axis=0)
print(
    f"\nvariance of the data {truth}; running average of the unbiased one {unbiased_mean:.2f}, of the biased one "
    f"{biased_mean:.2f}, which is {biased_mean / truth:.2f} of it"
)
assert abs(unbiased_mean / truth - 1) < 0.05 and abs(biased_mean / truth - (R - 1) / R) < 0.05

# %% [markdown]
# ## Evaluation: a fixed scale and shift
#
# In evaluation the statistics are constants. Then nothing mixes the images of a batch any more, and two of the three
# ways in the backward are closed: dx is simply `dout * gamma * inv_std`. You notice a forgotten `eval()` like this: the
# answer for an image depends on what else is in the batch.

# %%
bn = mg.nn.BatchNorm2d(3).astype(np.float64)
for _ in range(50):
    bn(rng.normal(size=x.shape) * [0.5, 1.0, 3.0] + [-4.0, 1.0, 5.0])
alone, together = bn(x[:1]), bn(x)
print(f"training:   one image, alone and in a batch, differs by {np.abs(alone - together[:1]).max():.2f}")
assert np.abs(alone - together[:1]).max() > 0.1
bn.eval()
alone, together = bn(x[:1]), bn(x)
print(f"evaluation: it differs by {np.abs(alone - together[:1]).max():.0e}")
assert np.abs(alone - together[:1]).max() < 1e-12
inv_std = 1 / np.sqrt(bn.running_var.data + bn.eps)
np.testing.assert_allclose(bn.backward(dout), dout * bn.weight.data * inv_std, atol=1e-12)

# %% [markdown]
# ## Folding: batch norm vanishes
#
# A convolution followed by a fixed scale and shift per channel is a convolution. Scale each filter, and move the bias:
#
#     scale = gamma / sqrt(running_var + eps),    w' = w * scale,    b' = beta - running_mean * scale
#
# `w * scale` is all it takes here, as output channels are the last axis of the weights. `mg.nn.fold` does this to a
# whole network.

# %%
unit = mg.nn.ConvBNAct(3, 4, 3, act=None, rng=0).astype(np.float64)
for _ in range(5):
    unit(rng.normal(size=(16, 5, 4, 3)))  # so that the running statistics leave their start
unit.eval()
bn = unit.bn
bn.weight.data[:], bn.bias.data[:] = rng.normal(size=(2, 4))
scale = bn.weight.data / np.sqrt(bn.running_var.data + bn.eps)
w, b = unit.conv.weight.data * scale, bn.bias.data - bn.running_mean.data * scale
folded = mg.ops.conv2d_forward(x, w, b, padding=1)[0]
print(f"folded into the convolution, the output differs by {np.abs(folded - unit(x)).max():.0e}")
np.testing.assert_allclose(folded, unit(x), atol=1e-11)
np.testing.assert_allclose(mg.nn.fold(unit)(x), folded, atol=1e-5)

# %% [markdown]
# ## Three findings, drawn

# %%
figure = Figure(figsize=(12, 3.6), layout="constrained")
panels = figure.subplots(1, 3)
colours = ("#4477aa", "#228833", "#ee6677")
bins = np.linspace(-7, 14, 64)
for channel, colour in enumerate(colours):
    panels[0].hist(x[..., channel].ravel(), bins, color=colour, alpha=0.35)
    panels[0].hist(cache[2][..., channel].ravel(), bins, histtype="step", color=colour, lw=1.6)
panels[0].set(title="three channels before (filled) and after (lines)", xlabel="value of x and of xhat", yticks=[])
line = np.array([-3.0, 3.0])
panels[1].scatter(xhat[..., c], dout[..., c], s=9, color="#bbbbbb", label="dout")
panels[1].scatter(xhat[..., c], left_over, s=9, color=colours[0], label="dx, scaled")
panels[1].plot(line, slope * line + offset, color=colours[2], lw=2, label="line through dout")
panels[1].axhline(0, color=colours[0], lw=1)
panels[1].set(title="the backward subtracts a straight line", xlabel="xhat", ylabel="gradient")
panels[1].legend(frameon=False, fontsize=8, loc="upper left", ncols=3, columnspacing=0.8, handletextpad=0.3)
panels[1].set_ylim(-4, 7)
unbiased_curve, biased_curve = np.array(history).T
panels[2].plot(unbiased_curve, color=colours[1], lw=1, label="unbiased: what minighost keeps")
panels[2].plot(biased_curve, color=colours[2], lw=1, label="biased")
panels[2].axhline(truth, color="black", lw=1.2, ls=":", label="truth")
panels[2].set(title=f"running variance, batches of {R} values", xlabel="step", ylim=(0, 15))
panels[2].legend(frameon=False, fontsize=8, loc="upper left")
for ax in panels:
    ax.spines[["top", "right"]].set_visible(False)
    ax.title.set_fontsize(10)
mg.plots.show(figure, "batch_norm.png")

# %% [markdown]
# ## Try it
#
# 1. Make a batch of one image of 1x1 pixels and call a `BatchNorm2d` in training. Why can there be no answer?
# 2. Drop the term with xhat from `backward_closed`, then the term `mean(dout)`. What does `mg.gradcheck.check` say
#    each time? And what would it have said if dout had been all ones (tutorial 4)?
# 3. Scale all weights of a convolution in front of batch norm by 10. What happens to the output, and to the gradient
#    of those weights? This is why weight decay acts on such weights in an unusual way.
#
# Read on in `minighost/engine/batch_norm.py`, where `gradient_coefficients` rearranges the closed form once more, and
# in `minighost/nn/folding.py`. In `minighost learn`, exercises 21 to 23 are batch norm's forward and its two backwards.
