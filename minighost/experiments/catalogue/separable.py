"""Kinds of convolution at equal multiply-adds."""

from minighost.experiments.experiment import ACCURACY, Claim, Experiment, Form
from minighost.experiments.recipes import CIFAR10, SHAPES10

__all__ = ["EXPERIMENT"]

KINDS = {  # arm: kind, and the width that costs what a dense network costs at 0.55, within 3.5 %
    "dense": ("dense", 0.55),
    "dilated": ("dilated", 0.55),
    "grouped, g=4": ("grouped", 1.05),
    "spatial": ("spatial", 0.58),
    "separable": ("separable", 1.44),
    "separable, ReLU": ("separable_relu", 1.44),
    "separable, BN+ReLU": ("separable_bn_relu", 1.44),
    "expand first": ("inverted_residual", 0.49),
    "reduce first": ("bottleneck", 1.24),
}
ARMS = {arm: {"model.conv": kind, "model.width": width} for arm, (kind, width) in KINDS.items()}
NETWORK = {"model.name": "separable_cifar"}

EXPERIMENT = Experiment(
    name="separable",
    question="Which kind of convolution is best at equal multiply-adds?",
    source="Chollet 2017, Xception, arXiv 1610.02357, figures 6 and 10; Sandler et al. 2018, MobileNetV2, "
    "arXiv 1801.04381, section 3",
    claims=(
        Claim("separable", "dense", expects="higher"),
        Claim("separable", "separable, ReLU", expects="higher"),
        Claim("expand first", "reduce first", expects="higher"),
    ),
    full=Form(CIFAR10 | NETWORK | {"train.epochs": 6, "train.warmup_epochs": 1.2}, ARMS, minutes=80),
    quick=Form(SHAPES10 | NETWORK | {"data.train_size": 2000, "data.test_size": 500}, ARMS, minutes=3, seeds=1),
    columns=("parameters", "macs", "train_ms", "inference_ms"),
    plots=(ACCURACY, "train_ms"),
    notes=(
        "All arms have the same units and the multiply-adds of the dense one, within 3.5 %, and so other widths. Equal "
        "multiply-adds are not equal milliseconds: the table has both.",
        "The papers compare whole networks on ImageNet; they give the directions of the claims, but no points for a "
        "network like this one.",
        "'expand first' and 'reduce first' have a shortcut and three convolutions to a unit: compare them with one "
        "another. Both are as their papers have them: the first has a depthwise 3x3, the second a dense one.",
        "'grouped' has neither a shuffle nor 1x1 convolutions: its groups meet in the classifier only. What a shuffle "
        "is worth is asked by the experiment `shuffle`.",
    ),
)
