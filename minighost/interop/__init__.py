"""Other people's weights: names and layouts of PyTorch, converted here and nowhere else."""

from minighost.interop import pytorch as pytorch
from minighost.interop import timm as timm
from minighost.interop import torchvision as torchvision
from minighost.interop.tables import tables_of
from minighost.interop.transfer import gradients, load, load_timm, save, state_dict, to_timm
from minighost.interop.weights import read_weights

__all__ = ["gradients", "load", "load_timm", "read_weights", "save", "state_dict", "tables_of", "to_timm"]
