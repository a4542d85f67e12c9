# %% [markdown]
# # Three multipliers
#
# A network is too slow for your phone, or too weak for your server. Must you design another? MobileNet (Howard et al.
# 2017) came with two numbers to turn: one for the channels, one for the size of the images. EfficientNet (Tan & Le
# 2019) adds a third, for the number of blocks, and a rule for turning all three at once. What does each of them cost?
# We ask the real networks: a count needs no weights, so even the largest takes a moment.
#
# Run it with `python tutorials/24_three_multipliers.py`; it needs no network and takes a few seconds.

# %%
import numpy as np
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn


def rows_of(name, side=224, **multipliers):
    """The network's layers, and what each costs for one image of side x side."""
    with nn.without_weights():
        model = mg.models.create(name, **multipliers)
    return model, mg.analysis.count(model, (side, side, 3))


def cost(name, side=224, **multipliers):
    """Parameters, multiply-adds."""
    _, rows = rows_of(name, side, **multipliers)
    return sum(row.params for row in rows), sum(row.macs for row in rows)


# %% [markdown]
# ## Alpha: the channels
#
# Every channel number is multiplied by alpha. A 1x1 convolution has alpha times as many inputs *and* outputs: it costs
# alpha squared. A depthwise convolution has only one set of channels. So have the first convolution, whose inputs are
# red, green and blue, and the classifier, whose outputs are the classes: they cost alpha.


# %%
def shares(alpha):
    """Multiply-adds of MobileNet by kind of layer."""
    model, rows = rows_of("mobilenet_v1", width=alpha)
    layers, found = dict(model.named_modules()), {"1x1": 0, "depthwise": 0, "first and last": 0}
    for row in rows:
        layer = layers[row.path]
        depthwise = isinstance(layer, nn.Conv2d) and layer.groups > 1
        pointwise = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)
        found["depthwise" if depthwise else "1x1" if pointwise else "first and last"] += row.macs
    return found


ALPHAS = 0.25, 0.5, 0.75, 1.0
by_kind = {alpha: shares(alpha) for alpha in ALPHAS}
print("MobileNet at 224x224: millions of multiply-adds")
for alpha, kinds in by_kind.items():
    parameters, macs = cost("mobilenet_v1", width=alpha)
    text = ", ".join(f"{kind} {part / 1e6:.1f}" for kind, part in kinds.items())
    print(f"alpha {alpha:<4}  {macs / 1e6:5.1f} = {text}; {parameters:,} parameters")
    assert macs == sum(kinds.values())
    for kind, power in (("1x1", 2), ("depthwise", 1), ("first and last", 1)):
        assert kinds[kind] == alpha**power * by_kind[1.0][kind]
assert [round(1 - kinds["1x1"] / sum(kinds.values()), 2) for kinds in by_kind.values()] == [0.18, 0.10, 0.07, 0.05]
assert cost("mobilenet_v1") == (4_231_976, 568_740_352)
assert cost("mobilenet_v1", width=0.25) == (470_072, 41_030_272)

# %% [markdown]
# At a quarter of the channels the cost is not a sixteenth but a fourteenth: what grows with alpha alone was 5 % of the
# work, and is 18 % now.
#
# ## Rho: the pixels
#
# The second multiplier is no part of the network at all. The same weights work on a smaller image; every convolution
# then has rho squared as many pixels to visit. Nothing is saved in parameters.

# %%
SIDES = 128, 160, 192, 224
by_side = {side: cost("mobilenet_v1", side) for side in SIDES}
classifier = 1024 * 1000  # its input is one pixel, whatever the image
for side, (parameters, macs) in by_side.items():
    print(f"{side}x{side}: {parameters:,} parameters, {macs / 1e6:.1f} million multiply-adds")
    assert parameters == by_side[224][0]
    assert (macs - classifier) * 224**2 == (by_side[224][1] - classifier) * side**2  # exactly rho squared

# %% [markdown]
# Which of the two should you turn? The paper's tables 6 and 7 give the accuracy on ImageNet, in per cent, when either
# is turned alone. Beside our counts:

# %%
accuracy = {"alpha": (50.6, 63.7, 68.4, 70.6), "rho": (64.4, 67.2, 69.1, 70.6)}
macs_of = {"alpha": [sum(by_kind[alpha].values()) for alpha in ALPHAS], "rho": [by_side[side][1] for side in SIDES]}
at_equal_cost = {
    name: np.interp(np.log(200e6), np.log(macs_of[name]), points).item() for name, points in accuracy.items()
}
print("at 200 million multiply-adds:", ", ".join(f"{name} {value:.1f} %" for name, value in at_equal_cost.items()))
assert abs(at_equal_cost["alpha"] - at_equal_cost["rho"]) < 1

# %% [markdown]
# For the same work you get about the same accuracy. What decides is the rest: alpha saves memory for weights, rho
# does not; and one set of trained weights serves every rho.
#
# ## The third: depth
#
# EfficientNet repeats its blocks. Twice as many blocks cost twice as much, so that together
#
#     cost = depth * width^2 * side^2
#
# We double the cost with each of them alone, and ask the real network. All come close; width misses a little, for
# part of the network grows only with its first power.

# %%
base = cost("efficientnet_b0")
assert base == (5_288_548, 385_814_752)
print("EfficientNet-B0 with one multiplier turned, to twice the work")
for name, parameters, macs in (
    ("depth 2", *cost("efficientnet_b0", depth=2)),
    ("width 1.41", *cost("efficientnet_b0", width=2**0.5)),
    ("side 317", *cost("efficientnet_b0", 317)),
):
    print(f"{name:10}  {macs / base[1]:.2f} times the multiply-adds, {parameters / base[0]:.2f} times the parameters")
    assert abs(macs / base[1] - 2) < 0.1

# %% [markdown]
# ## All three at once
#
# A wide network of few blocks cannot use its channels, a deep one cannot see detail that is not in the image. The
# paper's figure 3 shows that each multiplier alone soon gains nothing. So they turn together: with depth 1.2, width 1.1
# and side 1.15 - found by a small search - the cost nearly doubles, and the powers of these give larger ones.
#
# The published networks are such powers, rounded by hand. We count all of them. (The accuracies are the paper's,
# table 2.)

# %%
width, depth, side = mg.models.compound_scaling(1)
print(f"one step: width {width}, depth {depth}, side {side}: {depth * width**2 * side**2:.2f} times the work")
assert abs(depth * width**2 * side**2 - 1.92) < 0.005

FAMILY = {  # width, depth, side; millions of parameters, billions of multiply-adds, accuracy as the paper prints them
    "B0": (1.0, 1.0, 224, 5.3, 0.39, 77.1),
    "B1": (1.0, 1.1, 240, 7.8, 0.70, 79.1),
    "B2": (1.1, 1.2, 260, 9.2, 1.0, 80.1),
    "B3": (1.2, 1.4, 300, 12, 1.8, 81.6),
    "B4": (1.4, 1.8, 380, 19, 4.2, 82.9),
    "B5": (1.6, 2.2, 456, 30, 9.9, 83.6),
    "B6": (1.8, 2.6, 528, 43, 19, 84.0),
    "B7": (2.0, 3.1, 600, 66, 37, 84.3),
}
counted = {}
for name, (width, depth, side, millions, billions, _) in FAMILY.items():
    counted[name] = parameters, macs = cost("efficientnet_b0", side, width=width, depth=depth)
    rule = depth * width**2 * (side / 224) ** 2
    print(
        f"{name}  width {width}  depth {depth}  side {side}  {parameters:10,} parameters  {macs / 1e6:8,.0f} million "
        f"multiply-adds: {macs / base[1]:5.1f} times B0, by the rule {rule:5.1f}"
    )
    assert abs(parameters / 1e6 / millions - 1) < 0.03 and abs(macs / 1e9 / billions - 1) < 0.05

# %% [markdown]
# B2 costs 2.6 times as much as B0, and not 1.9 times. Where does the rest come from? A stage has a whole number of
# blocks, and a fraction is rounded up: 1.2 times 2 blocks are 3, and 1.2 times 1 are 2. At B7 that matters less.

# %%
BLOCKS = 1, 2, 2, 3, 3, 4, 1  # of B0, stage by stage
for name in ("B0", "B2", "B7"):
    width, depth = FAMILY[name][:2]
    model, _ = rows_of("efficientnet_b0", width=width, depth=depth)
    blocks = [len(list(stage.children())) for stage in model.stages.children()]
    print(f"{name}: blocks {blocks}, {sum(blocks) / sum(BLOCKS):.2f} times those of B0; asked for {depth}")
    assert blocks == np.ceil(np.multiply(BLOCKS, depth)).tolist()

# %%
figure = Figure(figsize=(12, 3.9), layout="constrained")
left, middle, right = figure.subplots(1, 3)
for name, colour, labels in (("alpha", "#2a6f97", ALPHAS), ("rho", "#e07a3f", SIDES)):
    left.plot(np.divide(macs_of[name], 1e6), accuracy[name], "o-", color=colour, label=f"{name} turned alone")
    below = name == "rho"
    for x, y, label in list(zip(macs_of[name], accuracy[name], labels, strict=True))[:-1]:
        left.annotate(
            f"{label}",
            (x / 1e6, y),
            (5, -13) if below else (-6, 6),
            textcoords="offset points",
            color=colour,
            fontsize=9,
            ha="left" if below else "right",
        )
left.set(title="MobileNet: two ways to save", xlabel="million multiply-adds", ylabel="accuracy (%), from the paper")
left.set(xscale="log", xlim=(28, 800), ylim=(48, 74))
left.set_xticks([50, 100, 200, 500], ["50", "100", "200", "500"])
left.minorticks_off()

turns = np.linspace(1, 2, 21)
for name, colour, power, option in (
    ("side", "#e07a3f", 2, None),
    ("width", "#2a6f97", 2, "width"),
    ("depth", "#228833", 1, "depth"),
):
    costs = [
        cost("efficientnet_b0", round(224 * m / 8) * 8)[1]
        if option is None
        else cost("efficientnet_b0", **{option: m})[1]
        for m in turns
    ]
    middle.plot(turns, np.divide(costs, base[1]), ".-", color=colour, label=name)
    middle.plot(turns, turns**power, "--", color=colour, lw=1)
middle.set(title="EfficientNet: one multiplier alone", xlabel="multiplier", ylabel="times the work of B0")
middle.plot([], [], "--", color="#9aa5b1", label="first and second power")

works = [macs / 1e9 for _, macs in counted.values()]
right.plot(works, [row[5] for row in FAMILY.values()], "o-", color="#aa3377", label="all three together")
for x, (name, row) in zip(works, FAMILY.items(), strict=True):
    right.annotate(name, (x, row[5]), (6, -10), textcoords="offset points", color="#aa3377", fontsize=9)
right.set(title="EfficientNet: compound scaling", xlabel="billion multiply-adds", ylabel="accuracy (%), from the paper")
right.set(xscale="log", ylim=(76, 85.5), xlim=(0.3, 70))
right.set_xticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
right.minorticks_off()
for ax in (left, middle, right):
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="upper left" if ax is not right else "lower right", fontsize=9)
mg.plots.show(figure, "three_multipliers.png")

# %% [markdown]
# ## Try it
#
# 1. At which alpha is MobileNet's classifier half of the parameters?
# 2. MobileNetV2 never shrinks its 1280 features. What share of its parameters does the classifier hold at width 0.35?
# 3. `compound_scaling` takes fractions. Which phi doubles the work of B0 by count, not by the rule?
#
# Read on in `minighost/models/mobilenet_v1.py` and `minighost/models/efficientnet.py`, and in
# `minighost/models/rounding.py` for what becomes of fractions of a channel. Tutorial 12 asks the same of GhostNet.
