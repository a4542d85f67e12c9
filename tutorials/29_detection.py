# %% [markdown]
# # Detection, one picture at a time
#
# A classifier says what a picture shows. A detector says what is *where*, and nobody tells it how many things there
# are. How does a network, which always returns equally many numbers, answer with two boxes today and three tomorrow?
# RetinaNet (Lin et al. 2017) asks thousands of small questions instead, always the same ones: "is there a disc about
# here, about this large?". Four ideas make that work, and we look at each on one picture: anchors, matching, the focal
# loss, and non-maximum suppression.
#
# Run it with `python tutorials/29_detection.py`; it needs no network and takes half a minute.

# %%
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import minighost as mg
from minighost import detect, nn

SIDE, NAMES, COLOURS = 64, ("disc", "square", "triangle"), ("#e07a3f", "#2a6f97", "#228833")


def draw(rng):
    """A picture (SIDE, SIDE, 3) with one to three shapes, and where they are: a box is x0, y0, x1, y1."""
    picture, boxes, labels = np.ones((SIDE, SIDE, 3)) * rng.uniform(0, 0.45, 3), [], []
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    for _ in range(rng.integers(1, 4)):
        radius, label = rng.uniform(6, 12), int(rng.integers(3))
        u, v = (axis - rng.uniform(radius, SIDE - radius) for axis in (x, y))
        u, v = u / radius, v / radius
        inside = (np.hypot(u, v) < 1, np.maximum(abs(u), abs(v)) < 0.9, (v < 0.9) & (2 * abs(u) - v < 0.9))[label]
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        if not boxes or detect.iou([box], boxes).max() == 0:
            picture[inside] = rng.uniform(0.55, 1, 3)
            boxes.append(box)
            labels.append(label)
    return np.clip(picture + rng.normal(0, 0.03, picture.shape), 0, 1), detect.target(boxes, labels)


def show(ax, picture, boxes, labels, words=()):
    """A picture with boxes on it."""
    ax.imshow(picture)
    for k, ((x0, y0, x1, y1), label) in enumerate(zip(boxes, labels, strict=True)):
        ax.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, ec=COLOURS[label], lw=1.5))
        if len(words):
            ax.text(x0, y0 - 1.5, words[k], color="white", fontsize=7, backgroundcolor=COLOURS[label])
    ax.set(xlim=(-0.5, SIDE - 0.5), ylim=(SIDE - 0.5, -0.5), xticks=[], yticks=[])


rng = np.random.default_rng(3)
picture, target = draw(rng)
while len(set(target.labels.tolist())) < 3:  # one of each
    picture, target = draw(rng)
for box, label in zip(target.boxes, target.labels, strict=True):
    print(f"{NAMES[label]:8} at {box.astype(int).tolist()}")
assert len(target.boxes) == 3

# %% [markdown]
# ## Anchors: where the questions are asked
#
# The network is four strided convolutions. We take its maps of stride 8 and 16, and at each of their places six
# boxes are put into the picture, before anybody has looked at it: wide ones, squares and tall ones, each in two sizes.
# Those of the coarse map are twice as large. These are the anchors. Their number depends on the picture's size alone: 6
# at each of 8x8 and of 4x4 places.


# %%
def detector(rng):
    body = nn.Sequential(*(nn.ConvBNAct(a, b, 3, 2, rng=rng) for a, b in ((3, 16), (16, 32), (32, 64), (64, 64))))
    return detect.RetinaNet(body, len(NAMES), fpn=32, levels=(8, 16), anchors=6, base=1.6, std=0.08, rng=rng)


model = detector(np.random.default_rng(0))
anchors = model.anchors(SIDE, SIDE)
logits, offsets = model(picture[None].astype(np.float32))
print(f"{len(anchors)} anchors: {model.anchors_per_map(SIDE, SIDE)} on the maps of stride {model.strides}")
print(f"the network answers with class logits {logits.shape} and box offsets {offsets.shape}")
assert len(anchors) == 6 * (8 * 8 + 4 * 4) == logits.shape[1] == offsets.shape[1]

# %% [markdown]
# ## Matching: who is to answer what
#
# Which anchor is to find which shape? We measure how much two boxes overlap by the area that they share, divided by the
# area that they cover together: *intersection over union*, 1 for equal boxes and 0 for boxes apart. From 0.5 on an
# anchor is to find the box, it is *positive*. Below 0.4 it is to say "nothing", and in between it may say what it
# likes. So that no shape is forgotten, each also gets the anchor that fits it best, however badly.

# %%
overlap = detect.iou(anchors, target.boxes)
matched = detect.match(anchors, target.boxes)
positive, ignored = np.flatnonzero(matched >= 0), np.flatnonzero(matched == detect.IGNORED)
print(f"of {len(anchors)} anchors {len(positive)} are positive, {len(ignored)} are left out, all others find nothing")
for k, label in enumerate(target.labels):
    mine = np.flatnonzero(matched == k)
    print(f"{NAMES[label]:8} has {len(mine)}: overlaps {np.sort(overlap[mine, k])[::-1].round(2).tolist()}")
    assert overlap[:, k].argmax() in mine, "its best anchor is among them"
assert len(positive) < len(anchors) / 10

# %% [markdown]
# A positive anchor also says how its box lies relative to itself: how far away, in parts of its own sides, and how much
# larger, as a logarithm. So a small box and a large one are equally hard.

# %%
goal = detect.encode(target.boxes[matched[positive]], anchors[positive])
print(
    "from the first positive anchor to its box (dx, dy, log width, log height):",
    goal[0].astype(float).round(2).tolist(),
)
np.testing.assert_allclose(detect.decode(goal, anchors[positive]), target.boxes[matched[positive]], atol=1e-4)
assert abs(goal).max() < 1.5

# %% [markdown]
# ## The focal loss: many easy questions
#
# Nearly all questions have the answer "nothing", and nearly all of those are easy. Suppose the network already says 1 %
# at every negative anchor, and is quite wrong at the positive ones: 10 %, where it should say 100 %. With
# cross-entropy, in a real detector with a hundred thousand anchors, the easy ones together weigh far more than the few
# that matter. The focal loss multiplies each term with (1 - what was right)**2: by 0.0001 where 1 % was said of
# nothing, and by 0.81 where 10 % was said of something.


# %%
def shares(gamma, easy=100_000, hard=30):
    """What easy negatives and hard positives cost, both weighted alike."""
    negatives = np.full((easy, 1), np.log(0.01 / 0.99)), np.full(easy, -1)
    positives = np.full((hard, 1), np.log(0.10 / 0.90)), np.zeros(hard, int)
    by_part = [mg.ops.sigmoid_focal_loss(*part, alpha=0.5, gamma=gamma)[0] for part in (negatives, positives)]
    return by_part[0] / hard, by_part[1]  # the loss divides by the positives: 30, or by 1 if there is none


for gamma in (0, 1, 2, 5):
    easy, hard = shares(gamma)
    print(
        f"gamma {gamma}: easy {easy:9.5f}, hard {hard:.3f}: the easy ones are {easy / (easy + hard):6.1%} of the loss"
    )
assert shares(0)[0] > 10 * shares(0)[1]
assert shares(2)[0] < 0.01 * shares(2)[1]

# %% [markdown]
# The sum is divided by the number of *positive* anchors, not by all: otherwise it would hardly be larger than 0. And
# the bias of the last layer begins where every anchor says 1 %; else the first steps would do nothing but lower them.
#
# ## Training
#
# That is all. `detect.loss` matches, sums up both losses and returns the gradients; the towers that see both maps have
# one set of weights, to which both maps add theirs.

# %%
STEPS, BATCH, RATE = 600, 16, 4e-3
rng = np.random.default_rng(0)
model.skip_input_gradient()
optimizer, losses = mg.train.AdamW(mg.train.parameter_groups(model, 1e-4), lr=RATE), []


def ready(picture):
    return ((picture - 0.4) / 0.3).astype(np.float32)


def anchors_say():
    probabilities = 1 / (1 + np.exp(-model(ready(picture)[None])[0][0]))
    return probabilities[positive, target.labels[matched[positive]]].mean(), probabilities[matched == -1].mean()


before = anchors_say()
for step in range(STEPS):
    pictures, targets = zip(*(draw(rng) for _ in range(BATCH)), strict=True)
    logits, offsets = model(ready(np.stack(pictures)))
    found = detect.loss(logits, offsets, anchors, targets)
    model.zero_grad()
    model.backward((found.dlogits, found.doffsets))
    optimizer.lr = RATE * min(1, (step + 1) / 20) * (1 - step / STEPS)
    optimizer.step()
    losses.append((found.classes, found.boxes))
    if step % 100 == 99:
        print(f"step {step + 1}: classes {found.classes:.3f}, boxes {found.boxes:.3f}")
model.eval()
after = anchors_say()
print(f"the right class at positive anchors: {before[0]:.1%}, then {after[0]:.1%}")
print(f"a class where there is nothing:      {before[1]:.1%}, then {after[1]:.1%}")
assert np.mean(losses[-20:], axis=0).sum() < 0.5 * np.mean(losses[:20], axis=0).sum()
assert after[0] > 5 * after[1]

# %% [markdown]
# ## Non-maximum suppression: each thing once
#
# A shape has several positive anchors, and now all of them find it. Take the box with the highest score, drop all of
# its class that overlap with it by more than a half, and go on with the next that is left. It goes class by class:
# where the network is not sure whether it sees a disc or a square, both names stay.

# %%
logits, offsets = model(ready(picture)[None])
(all_boxes,) = detect.detections(logits, offsets, anchors, (SIDE, SIDE), score=0.2, iou=1.0)
(once,) = detect.detections(logits, offsets, anchors, (SIDE, SIDE), score=0.2, iou=0.5)
print(f"{len(all_boxes.boxes)} boxes say more than 20 %; {len(once.boxes)} are left:")
for box, label, score in zip(*once, strict=True):
    print(f"  {NAMES[label]:8} {score:4.0%} at {box.astype(int).tolist()}")
kept = detect.nms(all_boxes.boxes, all_boxes.scores, all_boxes.labels, 0.5)
np.testing.assert_array_equal(all_boxes.boxes[kept], once.boxes)
assert len(once.boxes) < len(all_boxes.boxes)

# %% [markdown]
# How good is it? Over new pictures: of the shapes, how many have a box of the right class that overlaps by more than a
# half; and of the boxes, how many have a shape. The usual measure, average precision, is the mean of the one over all
# that the other can be.

# %%
pictures, targets = zip(*(draw(rng) for _ in range(100)), strict=True)
logits, offsets = model(ready(np.stack(pictures)))
results = detect.detections(logits, offsets, anchors, (SIDE, SIDE), score=0.3)
seen = shapes = right = boxes = 0
for result, truth in zip(results, targets, strict=True):
    fits = (detect.iou(result.boxes, truth.boxes) > 0.5) & (result.labels[:, None] == truth.labels)
    seen, shapes = seen + fits.any(0).sum(), shapes + len(truth.labels)
    right, boxes = right + fits.any(1).sum(), boxes + len(result.labels)
print(f"{seen} of {shapes} shapes are found, and {right} of {boxes} boxes are right, after {STEPS} steps")
assert seen > shapes / 4

# %%
figure = Figure(figsize=(11, 6.8), layout="constrained")
axes = figure.subplots(2, 3)
show(axes[0, 0], picture, target.boxes, target.labels, [NAMES[label] for label in target.labels])
axes[0, 0].set_title("what is there")
fine, coarse = 6 * (3 * 8 + 3), 6 * (8 * 8 + 2 * 4 + 2)
show(axes[0, 1], picture, np.concatenate([anchors[k : k + 6] for k in (fine, coarse)]), [1] * 6 + [0] * 6)
axes[0, 1].set_title("anchors of a place of each map")
show(axes[0, 2], picture, anchors[positive], target.labels[matched[positive]])
axes[0, 2].set_title(f"{len(positive)} positive anchors of {len(anchors)}")
probability = np.linspace(0.01, 0.99, 99)
for gamma, shade in ((0, 0.35), (1, 0.6), (2, 1.0)):
    curve = -((1 - probability) ** gamma) * np.log(probability)
    axes[1, 0].plot(probability, curve, color="#2a6f97", alpha=shade, label=f"gamma {gamma}")
axes[1, 0].set(title="the focal loss", xlabel="what is said of the right answer", ylabel="nats", ylim=(0, 3))
axes[1, 0].legend(frameon=False)
axes[1, 0].spines[["top", "right"]].set_visible(False)
show(axes[1, 1], picture, all_boxes.boxes, all_boxes.labels)
axes[1, 1].set_title(f"{len(all_boxes.boxes)} boxes above 20 %")
words = [f"{NAMES[label]} {score:.0%}" for label, score in zip(once.labels, once.scores, strict=True)]
show(axes[1, 2], picture, once.boxes[::-1], once.labels[::-1], words[::-1])  # the best on top
axes[1, 2].set_title("after non-maximum suppression")
mg.plots.show(figure, "detection.png")

# %% [markdown]
# ## Try it
#
# 1. Give the anchors twice the side, `base=5`. How many positives are left for a shape, and where do they come from?
# 2. Train with `gamma=0`. Which of the two probabilities above suffers?
# 3. Let shapes overlap in `draw`. At which threshold does non-maximum suppression begin to lose some?
#
# Read on in `minighost/detect/retinanet.py`, and in `minighost/detect/loss.py` for the loss. The same detector on
# GhostNet is `mg.models.create("ghostnet_retinanet")`. Tutorial 20 has what a place of a map can see at all.
