"""Write the PyTorch twin of a work's network as an ONNX file.

python -m versus.onnx_export WORK FILE
"""

import importlib.util
import sys

import torch

from versus import networks, works
from versus.torch_twin import twin

__all__ = ["export"]


def export(work, file):
    """Export for exactly the work's input."""
    model = twin(networks.create(work.subject, **work.options)).eval()
    x, _ = works.inputs(work)
    x = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
    newer = importlib.util.find_spec("onnxscript") is not None  # the newer exporter needs it
    torch.onnx.export(model, (x,), str(file), dynamo=newer, external_data=False, input_names=["x"])


if __name__ == "__main__":
    export(works.WORKS[sys.argv[1]], sys.argv[2])
