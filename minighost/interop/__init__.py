"""Other people's weights: names and layouts of PyTorch, converted here and nowhere else."""

from minighost.interop.timm import load_timm, to_timm
from minighost.interop.weights import read_weights

__all__ = ["load_timm", "read_weights", "to_timm"]
