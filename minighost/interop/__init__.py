"""Other people's weights: names and layouts of PyTorch, converted here and nowhere else."""

from minighost.interop.timm import load_timm, to_timm

__all__ = ["load_timm", "to_timm"]
