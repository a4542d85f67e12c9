# %% [markdown]
# # Losses, and a ladder of sanity checks
#
# A network that is wired wrongly does not crash. It learns, a little worse than it should, and you never know. How do
# you find out before you have waited a night? First we write the loss so that no number breaks it. Then we climb a
# ladder of five checks, each quicker than the next - and plant a bug for each rung to catch.
#
# Run it with `python tutorials/10_losses_and_sanity.py`; it needs no network and takes about ten seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn

# %% [markdown]
# ## From logits to probabilities
#
# The network ends in C numbers, the logits z. Softmax makes them probabilities: `p[k] = exp(z[k]) / sum of exp(z)`.
# In single precision `exp(89)` is already infinite, and infinity over infinity is not a number. But softmax does not
# change when the same number is subtracted from all logits. So subtract the largest: then no exponent is above 0.

# %%
z = np.array([120.0, 119.0, 0.0], np.float32)
np.seterr(over="ignore", invalid="ignore", divide="ignore")  # we break numbers on purpose
naive = np.exp(z) / np.exp(z).sum()
stable = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
print("naive:", naive, " stable:", stable)
assert np.isinf(np.exp(np.float32(89))) and np.isnan(naive[:2]).all()
assert np.allclose(stable, mg.ops.softmax(z)) and np.isclose(stable.sum(), 1)
assert np.allclose(mg.ops.softmax(z - 50), mg.ops.softmax(z))

# %% [markdown]
# The loss is minus the logarithm of the right class's probability. If that is the third class here, its probability
# rounds to 0 and the logarithm breaks, exactly where the network is most wrong. Never take the logarithm of a
# softmax: `log p[k] = z[k] - max - log(sum of exp(z - max))` has no such problem.

# %%
log_p = z - z.max() - np.log(np.exp(z - z.max()).sum())
print("minus log of the softmax:", -np.log(stable[2]), " minus log p, computed directly:", -log_p[2])
loss, dz = mg.ops.softmax_cross_entropy(z[None], np.array([2]))
assert stable[2] == 0 and abs(loss + log_p[2]) < 1e-4 and np.isfinite(dz).all()

# %% [markdown]
# ## The gradient is a difference
#
# Differentiate that line and almost everything cancels: `dz = p - onehot`, divided by N for the mean over the batch.
# Push the right logit up, all others down, each by how wrong it is. A row of the gradient adds up to 0, because adding
# the same number to all logits changes nothing.

# %%
rng = np.random.default_rng(0)
logits, labels = rng.normal(size=(4, 10)), np.array([3, 1, 4, 1])
loss, dlogits = mg.ops.softmax_cross_entropy(logits, labels)
assert np.allclose(dlogits, (mg.ops.softmax(logits) - np.eye(10)[labels]) / 4)
assert np.allclose(dlogits.sum(axis=1), 0)

direction, h = rng.normal(size=logits.shape), 1e-5
up, down = (mg.ops.softmax_cross_entropy(logits + s * h * direction, labels)[0] for s in (1, -1))
print(f"slope by hand {(dlogits * direction).sum():.8f}, by difference {(up - down) / (2 * h):.8f}")
assert abs((dlogits * direction).sum() - (up - down) / (2 * h)) < 1e-8

# %% [markdown]
# ## The network, and four ways to get it wrong
#
# Three convolutions, each with pooling and batch norm, a mean over the plane, a linear layer. `too_large` starts with a
# last layer whose weights are thirty times too large. The backward of `WrongMean` forgets to divide by the number of
# pixels. `keep_gradients` never clears them between steps. And `shuffled` labels no longer belong to their images, the
# most classic of bugs.


# %%
class WrongMean(nn.GlobalAvgPool):
    def backward(self, dout):
        return super().backward(dout) * 16  # of 4x4 pixels


def network(pool=nn.GlobalAvgPool, too_large=False):
    rng = np.random.default_rng(0)
    stages = [nn.ConvBNAct(c, n, k, pool=2, rng=rng) for c, n, k in ((3, 16, 5), (16, 32, 3), (32, 64, 3))]
    classifier = nn.Linear(64, 10, rng=rng)
    classifier.weight.data *= 30 if too_large else 1
    return nn.Sequential(*stages, pool(), classifier)


def fit(model, batches, peak, keep_gradients=False):
    """Train on these batches, one per step, the rate rising and falling; returns the losses."""
    model.train().skip_input_gradient()  # of the images, which nobody needs here
    sgd, losses = mg.train.SGD(model.parameters(), peak, momentum=0.9, nesterov=True), []
    rate = mg.train.schedules.OneCycle(peak, len(batches), len(batches) / 4, anneal="linear")
    for step, (x, labels) in enumerate(batches):
        sgd.lr = rate(step)
        loss, dlogits = mg.ops.softmax_cross_entropy(model(x), labels)
        if not keep_gradients:
            model.zero_grad()
        model.backward(dlogits)
        sgd.step()
        losses.append(loss)
    return losses


train, test = mg.data.shapes10(2000), mg.data.shapes10(500, split="test")
mean, std = mg.data.channel_statistics(train.images)
x, unseen = mg.data.normalize(train.images, mean, std), mg.data.normalize(test.images, mean, std)
shuffled = rng.permutation(train.labels)

# %% [markdown]
# ## Rung 1: the first loss is ln C
#
# A network that knows nothing should say 1/C for every class, and have a loss of `ln C`: 2.303 for ten. Much more means
# that it starts out sure of nonsense. One forward pass tells.


# %%
def first_loss(model):
    return mg.ops.softmax_cross_entropy(model(x[:100]), train.labels[:100])[0]


good, bad = first_loss(network()), first_loss(network(too_large=True))
print(f"rung 1: ln 10 = {np.log(10):.3f}; first loss {good:.3f}, with the last layer too large {bad:.3f}")
assert abs(good - np.log(10)) < 0.3 < bad - np.log(10)

# %% [markdown]
# ## Rung 2: the gradient is the slope
#
# The wrong mean passes rung 1, because its forward is right. Finite differences in double precision do not let it pass,
# and minighost's checker even says what is missing.


# %%
def checked(model):
    """The checker's verdict on all gradients of a network."""
    try:
        return str(mg.gradcheck.check(model.astype(np.float64), x[:4].astype(np.float64), name="network"))
    except mg.gradcheck.GradientError as error:
        return str(error)


print("rung 2:", good := checked(network()))
print("rung 2:", bad := checked(network(WrongMean)))
assert "is the derivative" in good and "16 times the right one" in bad

# %% [markdown]
# ## Rung 3: memorise ten images
#
# Layers can all be right and the loop wrong. A network of this size must be able to memorise ten images; if its loss
# does not fall to nearly nothing, do not bother with data or rates yet. Here gradients pile up if nobody clears them.

# %%
ten = [(x[:10], train.labels[:10])] * 60
losses = {name: fit(network(), ten, 0.1, name == "kept gradients") for name in ("right", "kept gradients")}
print(
    f"rung 3: loss on ten images after 60 steps {losses['right'][-1]:.4f}, "
    f"with gradients never cleared {losses['kept gradients'][-1]:.1f}"
)
assert losses["right"][-1] < 0.01 and losses["kept gradients"][-1] > 0.1

# %% [markdown]
# ## Rung 4: a short training run, above a stated accuracy
#
# Shuffled labels pass everything so far - ten images can be memorised with any labels. Only images that the network has
# not seen give them away. So state in advance what three short epochs must reach: here 60 %, where guessing gives 10 %.

# %%
model, misled = network(), network()
order = np.concatenate([rng.permutation(len(x)) for _ in range(3)]).reshape(-1, 50)
by_heart = fit(network(), [(x[:10], shuffled[:10])] * 60, 0.1)
losses["training"] = fit(model, [(x[k], train.labels[k]) for k in order], 0.4)
losses["shuffled labels"] = fit(misled, [(x[k], shuffled[k]) for k in order], 0.4)
good, bad = ((m.eval()(unseen).argmax(axis=1) == test.labels).mean() for m in (model, misled))
print(f"rung 3 with shuffled labels: loss {by_heart[-1]:.4f}, nothing unusual")
print(f"rung 4: {100 * good:.1f} % of unseen images correct, with shuffled labels {100 * bad:.1f} %")
assert by_heart[-1] < 0.01 and good > 0.6 and bad < 0.2

# %% [markdown]
# ## Rung 5: look
#
# Filters of a first layer should have become edges and blobs of colour: neighbouring taps agree. Random ones look like
# noise. A weak rung, and you should know it: the filters of the misled network become smooth too, because images are
# smooth whatever their labels say.


# %%
def agreement(model):
    """Correlation of neighbouring taps of the first layer's filters."""
    w = model[0].conv.weight.data
    return np.corrcoef(w[:, 1:].ravel(), w[:, :-1].ravel())[0, 1]


random, learnt, wrongly = agreement(network()), agreement(model), agreement(misled)
print(f"rung 5: neighbouring taps agree by {random:.2f} at random, {learnt:.2f} trained, {wrongly:.2f} misled")
assert abs(random) < 0.15 and min(learnt, wrongly) > 0.3


# %%
def mosaic(model):
    """The sixteen filters (5, 5, 3, 16) as one picture, each stretched to the whole scale of grey."""
    w = model[0].conv.weight.data
    w = np.pad(0.5 + 0.5 * w / np.abs(w).max(axis=(0, 1, 2)), [(0, 1), (0, 1), (0, 0), (0, 0)], constant_values=1)
    return w.reshape(6, 6, 3, 4, 4).transpose(3, 0, 4, 1, 2).reshape(24, 24, 3)[:-1, :-1]


figure = Figure(figsize=(11, 3.4), layout="constrained")
figure.get_layout_engine().set(w_pad=0.12)
axes = figure.subplots(1, 4, width_ratios=(1, 1.2, 1, 1))
for ax, names in zip(axes, (("right", "kept gradients"), ("training", "shuffled labels")), strict=False):
    for name, colour in zip(names, ("#2a6f97", "#e07a3f"), strict=True):
        ax.plot(losses[name], color=colour, label=name, linewidth=1.4)
    ax.axhline(np.log(10), color="#9aa5b1", linewidth=1, linestyle="--")
    ax.set(xlabel="step", ylabel="loss (dashed: ln 10)", ylim=(0, 4))
    ax.legend(frameon=False, loc="upper right", fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
for ax, net in zip(axes[2:], (network(), model), strict=True):
    ax.imshow(mosaic(net))
    ax.axis("off")
titles = "ten images by heart", "a short training", "first layer: random", "... and trained"
for ax, title in zip(axes, titles, strict=True):
    ax.set_title(title, fontsize=11)
mg.plots.show(figure, "losses_and_sanity.png")

# %% [markdown]
# ## Try it
#
# 1. Swap two images of the ten for copies of others with different labels. How far can the loss fall now, and why?
# 2. Which rung catches a network that is trained without `model.train()` after an evaluation?
# 3. `softmax_cross_entropy(..., smoothing=0.1)`: what is the lowest loss on ten images now? Tutorial 13 has the answer.
#
# Read on in `minighost/ops/cross_entropy.py` and `minighost/gradcheck/checker.py`. In `minighost learn`, exercise 31 is
# the loss and exercise 34 the ten images.
