# %% [markdown]
# # Training
#
# The gradient says which way is down. How far to go, with how much memory of earlier steps, and when to slow down are
# choices, and they matter more than most layers. We look at each in the smallest world that shows it - a bowl, a noisy
# line - and then at all of them together in a real training run of a few seconds.
#
# Run it with `python tutorials/13_training.py`; it needs no network and takes about ten seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn

# %% [markdown]
# ## How far? A bowl that is steep one way
#
# `f(p) = (p[0]^2 + 25 * p[1]^2) / 2` is a long valley: curvature 1 along it, 25 across. One step of gradient descent
# multiplies each coordinate by `1 - lr * curvature`. Across the valley that is beyond -1 as soon as lr > 2/25: every
# step overshoots by more than the last. So the steepest direction sets the limit, and the flat one has to wait.

# %%
curvature = np.array([1.0, 25.0])


def descend(lr, steps=40, **options):
    """The path of an optimizer from (10, 1); `mg.train.SGD` works on any parameter, not only a network's."""
    p = nn.Parameter(np.array([10.0, 1.0]))
    sgd, path = mg.train.SGD([p], lr, **options), [p.data.copy()]
    for _ in range(steps):
        p.grad = curvature * p.data
        sgd.step()
        path.append(p.data.copy())
    return np.array(path)


below, above = (np.abs(descend(lr)[-1, 1]) for lr in (0.99 * 2 / 25, 1.01 * 2 / 25))
print(f"across the valley after 40 steps: {below:.2f} just below 2/25, {above:.2f} just above")
assert below < 1 < above

# %% [markdown]
# ## Momentum
#
# Remember where you were going: `b = momentum * b + g`, then `p -= lr * b`. Steps across the valley cancel, steps along
# it add up, to 1 / (1 - momentum) times the gradient. The cost is a swing past the bottom. Nesterov's variant,
# `p -= lr * (g + momentum * b)`, looks one step ahead and swings less.

# %%
paths = {
    "plain": descend(1 / 25),
    "momentum": descend(1 / 25, momentum=0.8),
    "Nesterov": descend(1 / 25, momentum=0.8, nesterov=True),
}
for name, path in paths.items():
    print(f"{name:9} {np.linalg.norm(path[-1]):.3f} from the bottom after 40 steps, swung to {path[:, 0].min():.2f}")
plain, momentum, nesterov = paths.values()
assert np.linalg.norm(plain[-1]) > 10 * np.linalg.norm(momentum[-1]) > 10 * np.linalg.norm(nesterov[-1])
assert momentum[:, 0].min() < nesterov[:, 0].min() < 0 < plain[:, 0].min()

b, p = 0.0, np.array([10.0, 1.0])
for _ in range(40):  # Nesterov by hand
    g = curvature * p
    b = 0.8 * b + g
    p = p - (g + 0.8 * b) / 25
assert np.allclose(p, paths["Nesterov"][-1])

# %% [markdown]
# ## When to slow down? Noise
#
# A gradient from 128 images is the right one plus noise. In one dimension, with curvature 1 and noise of size 1, a
# weight never comes to rest; it ends in a cloud of variance `lr / (2 - lr)`. A large rate travels fast and settles
# badly, a small one does the opposite. So use both: *one cycle* (Smith & Topin 2018) rises, then falls to nothing.

# %%
rng = np.random.default_rng(0)


def cloud(rates):
    """Variance of 4,000 weights that each start at 10 and see noisy slopes."""
    p = np.full(4000, 10.0)
    for lr in rates:
        p -= lr * (p + rng.normal(size=p.size))
    return (p**2).mean()


cycle = mg.train.schedules.OneCycle(0.5, 100, warmup_steps=25, anneal="linear")
noise = {
    "0.5 throughout": cloud([0.5] * 100),
    "0.02 throughout": cloud([0.02] * 100),
    "one cycle to 0.5": cloud([cycle(step) for step in range(100)]),
}
print("mean square after 100 steps:", ", ".join(f"{name}: {v:.3f}" for name, v in noise.items()))
assert abs(noise["0.5 throughout"] - 0.5 / (2 - 0.5)) < 0.03
assert noise["one cycle to 0.5"] < 0.2 * min(noise["0.5 throughout"], noise["0.02 throughout"])

# %% [markdown]
# ## Weight decay in front of a batch norm
#
# Decay adds `decay * p` to the gradient, so a weight that nobody needs shrinks by `1 - lr * decay` per step. But a
# convolution in front of a batch norm can be ten times as large, and the network computes the same. What changes is the
# gradient: a tenth, and always perpendicular to the weight. So decay controls there how fast the weight *turns*.

# %%
x, dout = rng.normal(size=(2, 8, 6, 6, 4))
outs, grads = [], []
for size in (1, 10):
    unit = nn.ConvBNAct(4, 4, 3, eps=0.0, rng=0).astype(np.float64)
    unit.conv.weight.data *= size
    outs.append(unit(x))
    unit.backward(dout)
    grads.append(unit.conv.weight.grad)
angle = (unit.conv.weight.data * grads[1]).sum() / np.linalg.norm(unit.conv.weight.data) / np.linalg.norm(grads[1])
print(
    f"weights times 10: output changes by {np.abs(outs[0] - outs[1]).max():.0e}, gradient by a factor of "
    f"{np.linalg.norm(grads[0]) / np.linalg.norm(grads[1]):.3f}; cosine with the weight {angle:.0e}"
)
assert np.allclose(outs[0], outs[1]) and np.allclose(grads[0], 10 * grads[1]) and abs(angle) < 1e-10

# %% [markdown]
# ## Label smoothing
#
# Cross-entropy is never satisfied: a right answer with logits 10 apart wants them 20 apart. Smoothing by s asks for
# `1 - s + s/C` for the right class and `s/C` for each other one. Then there is a best gap, `ln` of their ratio, and the
# loss goes not to 0 but to the entropy of the target. With s = 0.1 and ten classes:

# %%
s, C = 0.1, 10
target = np.full(C, s / C)
target[0] += 1 - s
best, slope = mg.ops.softmax_cross_entropy(np.log(target)[None], np.array([0]), smoothing=s)
print(f"best gap {np.log(target[0] / target[1]):.3f}, lowest loss {best:.3f}")
assert np.allclose(slope, 0) and abs(best + (target * np.log(target)).sum()) < 1e-12 and abs(best - 0.500) < 1e-3

# %% [markdown]
# ## Together
#
# The same small network, the same 1,500 images of shapes10, 180 steps each - and five ways of taking them. The second
# is there to be fair to the first: momentum 0.9 makes steps ten times as long, so plain steps may be ten times longer.

# %%
train, test = mg.data.shapes10(1500), mg.data.shapes10(500, split="test")
mean, std = mg.data.channel_statistics(train.images)
loader = mg.data.Loader(train, 25, mean=mean, std=std)
images = mg.data.normalize(test.images, mean, std)
epochs, steps = 3, 3 * len(loader)


def fit(rate, smoothing=0.0, **options):
    """Loss of every step (without smoothing, to compare), and of the test images: the share that is right, the share
    with the batch's own statistics in place of running averages, the mean confidence."""
    rng = np.random.default_rng(0)
    stages = [nn.ConvBNAct(c, n, 3, pool=2, rng=rng) for c, n in ((3, 12), (12, 24), (24, 48))]
    model = nn.Sequential(*stages, nn.GlobalAvgPool(), nn.Linear(48, 10, rng=rng)).skip_input_gradient()
    sgd, losses = mg.train.SGD(model.parameters(), rate(0), **options), []
    for epoch in range(epochs):
        for x, labels in loader.epoch(epoch):
            sgd.lr = rate(len(losses))
            logits = model(x)
            losses.append(mg.ops.softmax_cross_entropy(logits, labels)[0])
            model.zero_grad()
            model.backward(mg.ops.softmax_cross_entropy(logits, labels, smoothing)[1])
            sgd.step()
    p = mg.ops.softmax(nn.fold(model)(images))
    right = [(out.argmax(axis=1) == test.labels).mean() for out in (p, model(images))]
    return losses, *right, p.max(axis=1).mean()


constant, cycle = mg.train.schedules.Constant, mg.train.schedules.OneCycle(0.3, steps, steps / 4, anneal="linear")
whole = dict(momentum=0.9, nesterov=True, weight_decay=5e-4)
runs = {
    "plain, 0.05": fit(constant(0.05)),
    "plain, 0.5": fit(constant(0.5)),
    "momentum 0.9, 0.05": fit(constant(0.05), momentum=0.9),
    "Nesterov, one cycle to 0.3": fit(cycle, **whole),
    "... with labels smoothed": fit(cycle, smoothing=0.1, **whole),
}
for name, (losses, right, batch, sure) in runs.items():
    print(
        f"{name:27} last losses {np.mean(losses[-20:]):.2f}, {100 * right:.1f} % right ({100 * batch:.1f} % with the "
        f"batch's statistics), {100 * sure:.0f} % sure"
    )
last, right, batch, sure = zip(*((np.mean(run[0][-20:]), *run[1:]) for run in runs.values()), strict=True)
assert last[3] < last[1] < last[2] < last[0] and right[3] > max(right[:3]) and sure[4] < sure[3]
assert batch[1] - right[1] > 0.02 and abs(batch[3] - right[3]) < 0.05

# %% [markdown]
# One run each and three epochs tell the first from the fourth, but do not rank near neighbours: question 3 below shows
# how far chance alone goes. Still: plain steps of 0.5 keep up with momentum on the training loss. One cycle beats both,
# most of all on test images. While the rate is high, weights jump about, and the running averages of batch norm fit
# none of them; with the batch's own statistics the second run does better. One cycle comes to rest, and there the two
# agree. As for smoothing, three epochs show only that it makes the network less sure.

# %%
figure = Figure(figsize=(11, 3.6), layout="constrained")
valley, rates, curves = figure.subplots(1, 3, width_ratios=(1, 0.7, 1.4))
colours = ("#9aa5b1", "#e07a3f", "#2a6f97", "#6a7f4f", "#22303c")
u, v = np.meshgrid(np.linspace(-3, 11, 80), np.linspace(-1.2, 1.2, 80))
valley.contour(u, v, u**2 + 25 * v**2, levels=np.array([0.3, 1, 2, 4, 7, 10]) ** 2, colors="#dde3e8", linewidths=1)
for (name, path), colour in zip(paths.items(), colours, strict=False):
    valley.plot(*path.T, ".-", color=colour, markersize=4, linewidth=1, label=name)
valley.set(title="40 steps in a valley", xlabel="p[0], curvature 1", ylabel="p[1], curvature 25", ylim=(-1.2, 1.9))
valley.legend(frameon=False, fontsize=9, loc="upper left")
rates.plot([cycle(step) for step in range(steps)], color=colours[3])
rates.set(title="one cycle", xlabel="step", ylabel="learning rate", ylim=(0, None))
for (name, (losses, right, *_)), colour in zip(runs.items(), colours, strict=True):
    smooth = np.convolve(losses, np.full(15, 1 / 15), "valid")
    curves.plot(np.arange(7, 7 + len(smooth)), smooth, color=colour, label=f"{name}: {100 * right:.0f} %")
curves.set(title="shapes10, and final test accuracy", xlabel="step", ylabel="loss, mean of 15")
curves.set_ylim(0.8, 2.5)
curves.legend(frameon=False, fontsize=9, loc="lower left")
for ax in (valley, rates, curves):
    ax.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "training.png")

# %% [markdown]
# ## Next
#
# All of this, with augmentation, checkpoints, curves and an exact resume, is one command:
#
#     minighost train                                        a small GhostNet on 10,000 images of shapes10
#     minighost train --set train.label_smoothing=0.1 --epochs 8 --out runs/mine
#     minighost train --data cifar10                         downloads CIFAR-10 (170 MB) and trains for 20 epochs
#     minighost train --data cifar10 --data-dir DIR          the same with files that you already have
#     minighost train --out runs/mine --resume               continues where Ctrl-C stopped it
#
# ## Try it
#
# 1. In the bowl, raise momentum to 0.95. Why does it take longer now, though each gradient carries further?
# 2. What is the best constant rate for the small network, with momentum 0.9? How close does it come to one cycle?
# 3. Multiply the first layer's weights by 1.00001 at the start. How many test images does that cost or gain, and which
#    of the differences above are larger?
#
# Read on in `minighost/train/optim.py` and `minighost/train/schedules.py`. In `minighost learn`, exercise 32 is the
# optimizer.
