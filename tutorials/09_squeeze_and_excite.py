# %% [markdown]
# # Squeeze and excite
#
# Is this a bright image? Is there anything red in it? A 3x3 convolution cannot know: it sees nine pixels. Squeeze-and-
# excite (Hu et al. 2018) tells every channel about the whole plane, for the price of two small matrices. We write it
# in four lines, follow its gradient both ways, give it a task that a convolution cannot solve, and then ask a trained
# network whether it makes use of it.
#
# Run it with `python tutorials/09_squeeze_and_excite.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn

# %% [markdown]
# ## Four lines
#
# *Squeeze*: the mean over the plane, one number per channel. *Excite*: a narrow layer, a ReLU, a wide layer, and
# something that ends between 0 and 1 - here the hard sigmoid `clip(z + 3, 0, 6) / 6`. The result is one *gate* per
# channel per image. The last line multiplies.

# %%
rng = np.random.default_rng(0)
x = rng.normal(size=(2, 6, 5, 8))
block = nn.SqueezeExcite(8, 4, rng=1).astype(np.float64)
w1, b1, w2, b2 = (p.data for p in block.parameters())

s = x.mean(axis=(1, 2))  # squeeze: (N, C)
z = np.maximum(s @ w1 + b1, 0) @ w2 + b2  # excite: C -> hidden -> C
gate = np.clip(z + 3, 0, 6) / 6  # (N, C), between 0 and 1
out = x * gate[:, None, None]  # one gate for the whole plane

print("largest difference from nn.SqueezeExcite:", np.abs(out - block(x)).max())
print(f"parameters: {w1.size + b1.size + w2.size + b2.size}; a 3x3 convolution of this width has {9 * 8 * 8}")
assert np.allclose(out, block(x), atol=1e-14)

# %% [markdown]
# ## Everything depends on everything
#
# Brighten one pixel of one channel, and look at the far corner of the plane. After a 3x3 convolution nothing has
# changed there. After the gates everything has, a little.

# %%
touched = x.copy()
touched[0, 0, 0, 3] += 5
corner = block(touched)[0, -1, -1] - block(x)[0, -1, -1]
print("change in the far corner, channel by channel:", corner.round(4))
local = nn.Conv2d(8, 8, 3, padding=1, rng=1).astype(np.float64)
assert (corner != 0).all()
assert np.array_equal(local(touched)[0, -1, -1], local(x)[0, -1, -1])

# %% [markdown]
# ## Backward: x is used twice
#
# `out = x * gate(x)`: x is what is scaled, and it also decides the scale. So its gradient has two parts. The first is
# one product. The second runs the four lines in reverse; the broadcast over the plane becomes a sum over the plane, and
# the mean gives every pixel an equal share.


# %%
def forward(x):
    h = np.maximum(x.mean(axis=(1, 2)) @ w1 + b1, 0)
    z = h @ w2 + b2
    gate = np.clip(z + 3, 0, 6) / 6
    return x * gate[:, None, None], (x, h, z, gate)


def backward(dout, cache):
    x, h, z, gate = cache
    dx = dout * gate[:, None, None]  # as what is scaled
    dz = (dout * x).sum(axis=(1, 2)) / 6 * (np.abs(z) < 3)
    ds = (dz @ w2.T * (h > 0)) @ w1.T
    return dx + ds[:, None, None] / (x.shape[1] * x.shape[2])  # as what decides the scale


def one_way(dout, cache):
    return dout * cache[3][:, None, None]


print(mg.gradcheck.check((forward, backward), x, name="squeeze_excite"))
dout = rng.normal(size=x.shape)
block(x)
assert np.allclose(backward(dout, forward(x)[1]), block.backward(dout), atol=1e-14)

try:
    mg.gradcheck.check((forward, one_way), x, name="one way only")
except mg.gradcheck.GradientError as error:
    message = str(error).splitlines()[0]
print("the first part alone is refused:", message)
assert "is wrong" in message

# %% [markdown]
# ## A task that needs it
#
# Three channels of noise, A, B and C. The answer is A where the *image's* mean of C is positive, and B where it is
# negative. Nine pixels of C hardly tell. Without a gate the best sum of A and B is half of each, wrong by a mean square
# of 1/2. A block followed by a sum learns the switch.

# %%
block = nn.SqueezeExcite(3, 8, rng=2)
sgd = mg.train.SGD(block.parameters(), lr=0.5, momentum=0.9)


def draw(n):
    """Images, the mean of C in each, and what is asked for."""
    x = rng.normal(size=(n, 8, 8, 3)).astype(np.float32)
    x[..., 2] += rng.uniform(-1, 1, (n, 1, 1))
    level = x[..., 2].mean(axis=(1, 2))
    return x, level, np.where(level[:, None, None] > 0, x[..., 0], x[..., 1])


for _ in range(300):
    x, level, target = draw(64)
    error = block(x).sum(axis=3) - target
    block.zero_grad()
    block.backward(np.repeat(2 * error[..., None] / error.size, 3, axis=3))  # the sum passes its gradient to all three
    sgd.step()

x, level, target = draw(400)
out = block(x)
with_gate, without = (((guess - target) ** 2).mean() for guess in (out.sum(axis=3), x[..., :2].mean(axis=3)))
print(f"mean square error: {without:.3f} without a gate, {with_gate:.3f} with one")
assert abs(without - 0.5) < 0.05 and with_gate < 0.15
switch = out[:, 0, 0] / x[:, 0, 0]  # out = x * gate, so any pixel gives the gates (N, 3) away

# %% [markdown]
# ## What the gates of a trained network do
#
# Now a small network on shapes10: three convolutions, a block after the second. We train it for a few seconds, then
# test it on 1,000 images that it has not seen.

# %%
train, test = mg.data.shapes10(2000), mg.data.shapes10(1000, split="test")
mean, std = mg.data.channel_statistics(train.images)
loader = mg.data.Loader(train, 50, mean=mean, std=std)
images = mg.data.normalize(test.images, mean, std)

rng = np.random.default_rng(0)
first, second, third = (nn.ConvBNAct(c, n, 3, pool=2, rng=rng) for c, n in ((3, 16), (16, 32), (32, 64)))
gated = nn.SqueezeExcite(32, 8, rng=rng)
model = nn.Sequential(first, second, gated, third, nn.GlobalAvgPool(), nn.Linear(64, 10, rng=rng))


def gates_of_test_images():
    """(N, C)."""
    model.eval()
    squeezed = second(first(images)).mean(axis=(1, 2))
    return gated.gate(gated.expand(gated.act(gated.reduce(squeezed))))


untrained, epochs = gates_of_test_images(), 5
sgd = mg.train.SGD(model.parameters(), lr=0.4, momentum=0.9, nesterov=True, weight_decay=5e-4)
rate = mg.train.schedules.OneCycle(0.4, epochs * len(loader), len(loader), anneal="linear")
for epoch in range(epochs):
    model.train()
    for k, (x, labels) in enumerate(loader.epoch(epoch)):
        sgd.lr = rate(epoch * len(loader) + k)
        _, dlogits = mg.ops.softmax_cross_entropy(model(x), labels)
        model.zero_grad()
        model.backward(dlogits)
        sgd.step()

gates = gates_of_test_images()
accuracy = (model(images).argmax(axis=1) == test.labels).mean()
print(f"{100 * accuracy:.1f} % of the test images correct")
assert accuracy > 0.6

# %% [markdown]
# *Do gates differ from image to image, and does that depend on the class?* We take the share of the variance that lies
# between the class means, and the same for shuffled labels: that is what chance explains.


# %%
def explained(gates, labels):
    """Variance of the classes' means as a share of all variance."""
    mean = gates.mean(axis=0)
    between = sum(((gates[labels == k].mean(axis=0) - mean) ** 2) * (labels == k).sum() for k in range(10))
    return between.sum() / ((gates - mean) ** 2).sum()


by_class, by_chance = explained(gates, test.labels), explained(gates, rng.permutation(test.labels))
print(f"spread of a gate over the images: {untrained.std(0).mean():.3f} untrained, {gates.std(0).mean():.3f} trained")
print(f"explained by the class: {100 * by_class:.1f} % of the variance; by shuffled labels {100 * by_chance:.1f} %")
assert gates.std(0).mean() < 0.1 and by_class > 3 * by_chance

# %% [markdown]
# They hardly move, and a small part of that depends on the class. *Does the network need it?* Give every image the
# gates of another one, or the same average gates. If accuracy stays, the block is little more than a fixed scale.

# %%
others, average = gates[rng.permutation(len(gates))], np.tile(gates.mean(axis=0), (len(gates), 1))
share = {}
for name, given in (("own gates", gates), ("another image's", others), ("average gates", average)):
    y = (second(first(images)) * given[:, None, None]).astype(np.float32)
    for layer in list(model.children())[3:]:
        y = layer(y)
    share[name] = (y.argmax(axis=1) == test.labels).mean()
print("right with ... " + ", ".join(f"{name}: {100 * right:.1f} %" for name, right in share.items()))
assert share["own gates"] == accuracy and accuracy - min(share.values()) < 0.15

# %% [markdown]
# So this network leans on its gates only a little: the classes of shapes10 are outlines, which are local, and an
# average scale does nearly as well. The toy task was the other extreme. A block earns its place where the whole image
# says which details matter. Whether it does in *your* network is not a matter of belief: swap the gates and look.

# %%
figure = Figure(figsize=(10, 3.8), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=(1, 1.5))
for channel, (name, colour) in enumerate(zip("ABC", ("#2a6f97", "#e07a3f", "#9aa5b1"), strict=True)):
    left.plot(level, switch[:, channel], ".", markersize=4, color=colour, label=name)
left.set(title="the toy task: a learned switch", xlabel="mean of C in the image", ylabel="gate")
left.legend(title="channel", frameon=False)

means = np.stack([gates[test.labels == k].mean(axis=0) for k in range(10)]) - gates.mean(axis=0)
limit = np.abs(means).max()
heat = right.imshow(means, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
right.set(title="shapes10: gate above or below its average", xlabel="channel", yticks=range(10))
right.set_yticklabels(test.classes)
figure.colorbar(heat, ax=right)

left.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "squeeze_and_excite.png")

# %% [markdown]
# ## Try it
#
# 1. Ask for A where the mean of C is far from 0 on either side, and for B where it is near. Which hidden units does the
#    block need for that?
# 2. `gate="clip"` (official TensorFlow code) is `clip(z, 0, 1)`. About half of the gates start at exactly 0. What is
#    their gradient, and what does that mean for the channels they scale?
# 3. Train for 10 epochs instead of 5. Do the bars move apart?
#
# Read on in `minighost/nn/blocks.py`, which has the module, and `minighost/ops/scale.py`, its last line. In
# `minighost learn`, exercises 26 and 27 are the block and its backward. GhostNet has such a block in 7 of its 16
# bottlenecks (tutorial 12).
