"""Modules: parameters, shapes and state; the mathematics is in `minighost.ops`."""

from minighost.nn import activations
from minighost.nn.activations import *
from minighost.nn.blocks import ConvBNAct, SqueezeExcite
from minighost.nn.bottleneck import Bottleneck
from minighost.nn.branches import ConvAct, ConvBranches
from minighost.nn.channels import ChannelShuffle, ChannelUnshuffle, Shift
from minighost.nn.checksums import checking
from minighost.nn.containers import Chain, ModuleList, ResidualChain, Sequential
from minighost.nn.dfc_attention import DFCAttention
from minighost.nn.fasternet import FasterNetBlock
from minighost.nn.fire import Fire
from minighost.nn.flat import flatten
from minighost.nn.folded import fold
from minighost.nn.freezing import freeze, unfreeze
from minighost.nn.functional import fusing
from minighost.nn.ghost import AttentiveGhostModule, GhostBottleneck, GhostModule
from minighost.nn.hooks import Hook, hooked
from minighost.nn.inception import InceptionModule, Towers
from minighost.nn.initial import without_weights
from minighost.nn.inverted_residual import InvertedResidual
from minighost.nn.layers import BatchNorm1d, BatchNorm2d, Conv2d, Dropout, Identity, Linear
from minighost.nn.micro import DynamicShiftMax, MicroBlock, MicroDepthwise, MicroRow
from minighost.nn.mixed_depthwise import MixedDepthwise
from minighost.nn.module import Module
from minighost.nn.normalization import LocalResponseNorm, Softmax
from minighost.nn.parameter import Buffer, Parameter
from minighost.nn.partial import PartialConv2d
from minighost.nn.pooling import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool2d,
    Pad2d,
    Subsample,
)
from minighost.nn.pruning import prune
from minighost.nn.reparameterize import merge_branches
from minighost.nn.residual import ResidualBlock
from minighost.nn.separable import SeparableConv2d
from minighost.nn.shuffle_unit import ShuffleUnit, SplitShuffleUnit
from minighost.nn.spatially_separable import Separated, SpatiallySeparableConv2d, separate
from minighost.nn.stochastic_depth import StochasticDepth
from minighost.nn.universal_bottleneck import UniversalBottleneck
from minighost.nn.upsampling import ConvTranspose2d, DepthToSpace, Resize, SpaceToDepth
from minighost.nn.whitening import PatchWhitening
from minighost.nn.xception import SeparableUnit, XceptionModule

__all__ = [
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AttentiveGhostModule",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Bottleneck",
    "Buffer",
    "Chain",
    "ChannelShuffle",
    "ChannelUnshuffle",
    "Conv2d",
    "ConvAct",
    "ConvBNAct",
    "ConvBranches",
    "ConvTranspose2d",
    "DFCAttention",
    "DepthToSpace",
    "Dropout",
    "DynamicShiftMax",
    "FasterNetBlock",
    "Fire",
    "Flatten",
    "GhostBottleneck",
    "GhostModule",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "Hook",
    "Identity",
    "InceptionModule",
    "InvertedResidual",
    "Linear",
    "LocalResponseNorm",
    "MaxPool2d",
    "MicroBlock",
    "MicroDepthwise",
    "MicroRow",
    "MixedDepthwise",
    "Module",
    "ModuleList",
    "Pad2d",
    "Parameter",
    "PartialConv2d",
    "PatchWhitening",
    "ResidualBlock",
    "ResidualChain",
    "Resize",
    "SeparableConv2d",
    "SeparableUnit",
    "Separated",
    "Sequential",
    "Shift",
    "ShuffleUnit",
    "Softmax",
    "SpaceToDepth",
    "SpatiallySeparableConv2d",
    "SplitShuffleUnit",
    "SqueezeExcite",
    "StochasticDepth",
    "Subsample",
    "Towers",
    "UniversalBottleneck",
    "XceptionModule",
    "checking",
    "flatten",
    "fold",
    "freeze",
    "fusing",
    "hooked",
    "merge_branches",
    "prune",
    "separate",
    "unfreeze",
    "without_weights",
]
__all__ += activations.__all__
