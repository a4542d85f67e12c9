"""Modules: parameters, shapes and state; the mathematics is in `minighost.ops`."""

from minighost.nn.blocks import ConvBNAct, SqueezeExcite
from minighost.nn.checksums import checking
from minighost.nn.containers import Chain, ModuleList, Sequential
from minighost.nn.flat import flatten
from minighost.nn.folded import fold
from minighost.nn.functional import fusing
from minighost.nn.ghost import GhostBottleneck, GhostModule
from minighost.nn.hooks import Hook, hooked
from minighost.nn.layers import (
    AvgPool2d,
    BatchNorm2d,
    ClipGate,
    Conv2d,
    CReLU,
    Dropout,
    GlobalAvgPool,
    HardSigmoid,
    HardSwish,
    Identity,
    Linear,
    MaxPool2d,
    ReLU,
    ReLU6,
)
from minighost.nn.module import Module
from minighost.nn.parameter import Buffer, Parameter
from minighost.nn.residual import ResidualBlock
from minighost.nn.whitening import PatchWhitening

__all__ = [
    "AvgPool2d",
    "BatchNorm2d",
    "Buffer",
    "CReLU",
    "Chain",
    "ClipGate",
    "Conv2d",
    "ConvBNAct",
    "Dropout",
    "GhostBottleneck",
    "GhostModule",
    "GlobalAvgPool",
    "HardSigmoid",
    "HardSwish",
    "Hook",
    "Identity",
    "Linear",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "Parameter",
    "PatchWhitening",
    "ReLU",
    "ReLU6",
    "ResidualBlock",
    "Sequential",
    "SqueezeExcite",
    "checking",
    "flatten",
    "fold",
    "fusing",
    "hooked",
]
