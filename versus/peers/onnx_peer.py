"""ONNX Runtime, on the PyTorch twin's graph; inference only.

The graph is written by a separate process (`versus.onnx_export`), so that PyTorch's threads are not around here.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime

from versus import works
from versus.peers import Runner

__all__ = ["build"]


def build(work, threads, variant):
    """Inference with all of its graph's optimisations, which is the default."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        done = subprocess.run([sys.executable, "-m", "versus.onnx_export", work.name, file], capture_output=True)
        if done.returncode:
            raise RuntimeError(f"export to ONNX failed: {done.stderr.decode(errors='replace')[-2000:]}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    x, _ = works.inputs(work)
    feed = {session.get_inputs()[0].name: np.ascontiguousarray(x.transpose(0, 3, 1, 2))}

    def step():
        return session.run(None, feed)[0]

    return Runner(step, lambda: {"logits": step()})
