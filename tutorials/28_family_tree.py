# %% [markdown]
# # The family tree
#
# Thirty networks, and each paper says what is new in it. What did it take over? We build every network of
# `minighost zoo`, count it, and look inside for the ideas: not in the papers, but in the layers that are there. Then we
# draw the family: when, how large, how much work, and which idea came from where.
#
# Run it with `python tutorials/28_family_tree.py`; it needs no network and takes a few seconds.

# %%
from matplotlib.figure import Figure

import minighost as mg
from minighost import nn

# %% [markdown]
# ## Build and count all of them
#
# One form of each network, as `minighost zoo` shows it, with no weights in it. Every count equals the published one.

# %%
models, costs, sides = {}, {}, {}
for size in mg.analysis.standard_forms(mg.models.published()):
    if size.model in mg.models.names():
        with nn.without_weights():
            model = mg.models.create(size.model, **size.kwargs, num_classes=size.classes)
        rows = mg.analysis.count(model, size.input)
        models[size.model], sides[size.model] = model, size.input[0]
        costs[size.model] = sum(row.params for row in rows), sum(row.macs for row in rows)
        assert not size.exact or costs[size.model] == (size.params, size.macs)
years = {name: mg.models.ABOUT[name].year for name in models}
print(f"{len(models)} networks, {min(years.values())} to {max(years.values())}")
assert len(models) >= 31

# %% [markdown]
# ## Ideas, found in the layers
#
# An idea is there if a layer or a block of that kind is. Grouped and depthwise convolutions differ only in a number.


# %%
def has(*kinds):
    """Whether a network has a module of one of these kinds."""
    return lambda modules: any(isinstance(module, kinds) for module in modules)


def grouped(modules):
    return any(isinstance(m, nn.Conv2d) and 1 < m.groups < m.weight.shape[2] * m.groups for m in modules)


def dense_3x3(modules):
    """Beyond the first layer, which sees three colours."""
    convolutions = [m for m in modules if isinstance(m, nn.Conv2d) and m.groups == 1 and m.weight.shape[2] > 3]
    return any(m.kernel_size == (3, 3) for m in convolutions)


def depthwise(modules):
    return any(isinstance(m, nn.Conv2d) and m.groups > 1 and m.weight.shape[2] == 1 for m in modules)


def shortcut(modules):
    always = (nn.ResidualBlock, nn.Bottleneck, nn.GhostBottleneck, nn.ShuffleUnit, nn.XceptionModule, nn.FasterNetBlock)
    return any(isinstance(m, always) or getattr(m, "residual", False) for m in modules)


IDEAS = {
    "convolution in groups": grouped,
    "dense hidden layers": has(nn.Flatten),
    "dense 3x3 convolution": dense_3x3,
    "max pooling": has(nn.MaxPool2d),
    "squeeze before 3x3": has(nn.Fire, nn.Bottleneck),
    "batch norm": has(nn.BatchNorm2d),
    "shortcut": shortcut,
    "depthwise convolution": depthwise,
    "channel shuffle": has(nn.ChannelShuffle),
    "inverted residual": has(nn.InvertedResidual, nn.UniversalBottleneck),
    "gate (squeeze-excite)": has(nn.SqueezeExcite),
    "ghost module": has(nn.GhostModule),
    "branches, merged": has(nn.ConvBranches),
    "DFC attention": has(nn.DFCAttention),
}
inside = {name: [idea for idea, found in IDEAS.items() if found(list(m.modules()))] for name, m in models.items()}
print("\nfirst seen here (among the networks of the zoo):")
for idea in IDEAS:
    holders = [name for name in models if idea in inside[name]]
    first = min(years[name] for name in holders)
    print(f"{idea:22} {first}  {len(holders):2} networks, first {', '.join(n for n in holders if years[n] == first)}")

assert not set(inside["vgg16"]) & {"batch norm", "shortcut"} and "shortcut" in inside["resnet18"]
assert {"gate (squeeze-excite)", "ghost module", "depthwise convolution"} <= set(inside["ghostnet"])

# %% [markdown]
# Batch norm is of 2015 too, and later than VGG: the form for CIFAR, which GhostNet's authors compare with, has it, the
# paper's own has not. Some ideas die out: nobody after VGG has dense hidden layers, the bulk of its 138 million
# weights.
#
# ## Who took what from whom
#
# The tree itself is our reading of the papers. But a rule keeps it honest: what one network takes from another must be
# in the layers of both, and nobody takes anything from a later one.

# %%
TREE = {
    "alexnet": {},
    "alexnet_torchvision": {"alexnet": "dense hidden layers"},
    "vgg16": {"alexnet": "dense hidden layers"},
    "vgg16_cifar": {"vgg16": "dense 3x3 convolution"},
    "squeezenet": {"alexnet": "max pooling"},
    "resnet18": {"vgg16": "dense 3x3 convolution"},
    "resnet50": {"resnet18": "shortcut"},
    "resnet_cifar": {"resnet18": "shortcut"},
    "resnet56_cifar": {"resnet_cifar": "shortcut"},
    "mobilenet_v1": {"resnet18": "batch norm"},
    "conv_mobilenet_v1": {"resnet18": "dense 3x3 convolution"},
    "xception": {"resnet50": "shortcut"},
    "shufflenet_v1": {"resnet50": "shortcut", "alexnet": "convolution in groups"},
    "mobilenet_v2": {"mobilenet_v1": "depthwise convolution", "resnet50": "shortcut"},
    "shufflenet_v2": {"shufflenet_v1": "channel shuffle"},
    "mobilenet_v3_large": {"mobilenet_v2": "inverted residual"},
    "mobilenet_v3_small": {"mobilenet_v2": "inverted residual"},
    "efficientnet_b0": {"mobilenet_v2": "inverted residual", "mobilenet_v3_large": "gate (squeeze-excite)"},
    "ghostnet": {"mobilenet_v3_large": "gate (squeeze-excite)"},
    "ghost_vgg16_cifar": {"vgg16_cifar": "max pooling", "ghostnet": "ghost module"},
    "ghost_resnet_cifar": {"resnet_cifar": "shortcut", "ghostnet": "ghost module"},
    "ghost_resnet56_cifar": {"resnet56_cifar": "shortcut", "ghostnet": "ghost module"},
    "ghost_resnet50": {"resnet50": "shortcut", "ghostnet": "ghost module"},
    "repvgg": {"vgg16": "dense 3x3 convolution"},
    "micronet": {"shufflenet_v1": "channel shuffle", "mobilenet_v1": "depthwise convolution"},
    "ghostnetv2": {"ghostnet": "ghost module"},
    "mobileone": {"mobilenet_v1": "depthwise convolution", "repvgg": "branches, merged"},
    "fasternet": {"resnet50": "shortcut"},
    "ghostnetv3": {"ghostnetv2": "DFC attention", "repvgg": "branches, merged"},
    "mobilenet_v4_conv_small": {"mobilenet_v2": "inverted residual"},
    "mobilenet_v4_conv_medium": {"mobilenet_v2": "inverted residual"},
}
order = list(TREE)
for name, parents in TREE.items():
    for parent, idea in parents.items():
        assert idea in inside[name] and idea in inside[parent], (name, parent, idea)
        assert order.index(parent) < order.index(name) and years[parent] <= years[name], (name, parent)
assert set(TREE) <= set(models) and [name for name, parents in TREE.items() if not parents] == ["alexnet"]


def line(name):
    """From the first ancestor to this network, always by the parent named first."""
    above = next(iter(TREE[name]), None)
    return [*line(above), name] if above else [name]


for name in ("ghostnetv3", "mobileone", "repvgg"):
    print(" <- ".join(reversed(line(name))))
assert line("ghostnetv3")[-4:] == ["mobilenet_v3_large", "ghostnet", "ghostnetv2", "ghostnetv3"]

# %% [markdown]
# ## One picture
#
# Each network is a disc: its year, its multiply-adds for one image, its area the parameters. Those for CIFAR's images
# of 32x32 pixels are hollow, for their work is not to be compared with that on 224x224. A line says which idea was
# taken. On the right is what was found in the layers.

# %%
COLOURS = {
    idea: f"C{k}" if k < 10 else ("#222222", "#bb9900", "#0044cc", "#55aa00")[k - 10] for k, idea in enumerate(IDEAS)
}
place = {}
for year in sorted(set(years.values())):
    same = sorted((name for name in TREE if years[name] == year), key=lambda name: costs[name][1])
    for k, name in enumerate(same[::2] + same[1::2]):  # side by side within their year
        place[name] = year + 0.8 * (k / len(same) - 0.4), costs[name][1]
figure = Figure(figsize=(16, 8.5), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=(2.1, 1))
for name, parents in TREE.items():
    for parent, idea in parents.items():
        arrow = {"arrowstyle": "-", "color": COLOURS[idea], "lw": 1.3, "alpha": 0.8, "connectionstyle": "arc3,rad=0.08"}
        left.annotate("", place[name], place[parent], arrowprops=arrow, zorder=1)
for name, (x, y) in place.items():
    area = costs[name][0] / 1e5 + 12
    small, away = sides[name] == 32, 7 + area**0.5 / 2
    left.scatter(x, y, area, color="white" if small else "#2a6f97", edgecolors="#2a6f97", zorder=2, alpha=0.85)
    left.annotate(
        name.replace("_cifar", ""),
        (x, y),
        (0, away if name == "alexnet_torchvision" else -away),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=8,
    )
for idea in sorted({idea for parents in TREE.values() for idea in parents.values()}, key=list(IDEAS).index):
    left.plot([], [], color=COLOURS[idea], label=idea)
left.legend(frameon=False, loc="lower left", fontsize=9, title="what was taken over")
left.set(
    yscale="log", xlabel="year", ylabel="multiply-adds for one image", title="years, work and, as area, parameters"
)
left.set_xlim(2010.7, 2025.3)
left.set_xticks(range(2012, 2025, 2))

ideas, names = list(IDEAS), sorted(TREE, key=lambda name: (years[name], order.index(name)))
for row, name in enumerate(names):
    for idea in inside[name]:
        right.scatter(ideas.index(idea), row, 36, color=COLOURS[idea])
right.set_xticks(range(len(ideas)), ideas, rotation=60, ha="right", fontsize=9)
right.set_yticks(range(len(names)), [f"{name} {years[name]}" for name in names], fontsize=8)
right.invert_yaxis()
right.grid(color="#e5e9ee", lw=0.6)
right.set_axisbelow(True)
right.set_title("ideas found in the layers")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
mg.plots.show(figure, "family_tree.png")

# %% [markdown]
# ## Try it
#
# 1. Add an idea: hard swish, partial convolution, global mean. Whose is it, and who else has it?
# 2. Which networks have fewer multiply-adds than parameters times 30? What do they have in common?
# 3. `repvgg` has no shortcut by our definition. Has it the idea? Look at its identity branch (tutorial 27).
#
# Read on in `minighost/models/registry.py`, where year and idea of each network are, and `minighost/analysis/zoo.py`,
# which counts them all. Tutorials 24 to 27 take four of the ideas apart.
