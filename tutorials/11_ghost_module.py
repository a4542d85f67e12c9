# %% [markdown]
# # The ghost module
#
# Many feature maps of a trained network look like cheap copies of one another. A ghost module (Han et al. 2020)
# computes only a few *intrinsic* maps with an ordinary convolution and derives the rest - the *ghosts* - with a
# depthwise convolution, which costs a few multiplications per pixel. Here we build one, count it, and take its two
# halves apart.
#
# Run it with `python tutorials/11_ghost_module.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import minighost as mg

# %% [markdown]
# ## Half of the channels, twice
#
# With `ratio=2` one map in two is intrinsic. 64 channels in, 64 out: 32 come from a 3x3 convolution, 32 from a 3x3
# depthwise convolution *of those 32*. The output holds both halves side by side.

# %%
ghost = mg.nn.GhostModule(64, 64, kernel_size=3, ratio=2, rng=0)
plain = mg.nn.GhostModule(64, 64, kernel_size=3, ratio=1, rng=0)  # ratio 1 makes no ghosts: an ordinary convolution

x = np.random.default_rng(0).normal(size=(1, 16, 16, 64)).astype(np.float32)
out = ghost(x)
plain(x)
print("ghost module:", x.shape, "->", out.shape)

# %% [markdown]
# ## What it costs
#
# Per output pixel the convolution multiplies `c*k*k` numbers for each intrinsic map, the depthwise one only `d*d` for
# each ghost. So the cost falls almost by the ratio s - "almost", because of the `d*d`: by `s*c*k*k / (c*k*k +
# (s-1)*d*d)`.


# %%
def cost(module):
    """Parameters, and multiply-adds for one image."""
    return sum(p.size for p in module.parameters()), sum(m.macs for m in module.modules())


for name, module in (("plain", plain), ("ghost", ghost)):
    parameters, macs = cost(module)
    print(f"{name}: {parameters:,} parameters, {macs:,} multiply-adds")

saved = cost(plain)[1] / cost(ghost)[1]
c, k, d, s = 64, 3, 3, 2
print(f"multiply-adds saved: {saved:.3f} times; by the formula {s * c * k * k / (c * k * k + (s - 1) * d * d):.3f}")
assert abs(saved - 1.969) < 1e-3

# %% [markdown]
# ## A ghost depends on one map only
#
# Silence one intrinsic map - here the fifth - and exactly one ghost changes. In evaluation mode batch norm is a fixed
# scale and shift, so nothing else can mix the channels.

# %%
ghost.eval()
before = ghost(x).copy()
ghost.primary.bn.weight.data[4] = 0
after = ghost(x)
changed = np.flatnonzero((before != after).any(axis=(0, 1, 2)))
print("channels that changed:", changed, "- the map itself, and its ghost 32 channels further on")
assert changed.tolist() == [4, 36]

# %% [markdown]
# ## Backward: a map is seen twice
#
# An intrinsic map reaches the loss directly and through its ghost; its gradient is the sum of both.
# `GhostModule.backward` says just that, in five lines. We check it against a finite difference along a random
# direction, in double precision.

# %%
module = mg.nn.GhostModule(3, 6, kernel_size=1, rng=1).astype(np.float64)
rng = np.random.default_rng(2)
x, direction = rng.normal(size=(2, 5, 5, 3)), rng.normal(size=(2, 5, 5, 3))
dout = rng.normal(size=module(x).shape)  # random: an all-ones gradient would hide batch norm's mistakes
by_hand = (module.backward(dout) * direction).sum()
h = 1e-5
by_difference = ((module(x + h * direction) - module(x - h * direction)) * dout).sum() / (2 * h)
print(f"slope by hand {by_hand:.8f}, by difference {by_difference:.8f}")
assert abs(by_hand - by_difference) < 1e-6

# %% [markdown]
# ## A look at the two halves
#
# Above: the intrinsic maps of an image, below: their ghosts. The kernels are still random, yet the family likeness
# shows.

# %%
image = mg.data.shapes10(10, seed=3, split="train").images[4:5]
look = mg.nn.GhostModule(3, 16, kernel_size=3, rng=4)
maps = look(mg.data.normalize(image, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))[0]
figure = Figure(figsize=(9, 3.2), layout="constrained")
FigureCanvasAgg(figure)
axes = figure.subplots(2, 9)
axes[0, 0].imshow(image[0])
axes[0, 0].set_title("image", fontsize=9)
for column in range(8):
    for row, name in enumerate(("map", "ghost")):
        axes[row, column + 1].imshow(maps[:, :, column + 8 * row], cmap="magma")
        axes[row, column + 1].set_title(f"{name} {column}", fontsize=9)
for ax in axes.flat:
    ax.axis("off")
figure.savefig("ghost_module.png", dpi=120)
print("wrote ghost_module.png")
