"""What docs/debugging.md promises: a debugger walks through a kernel."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.testing import assert_allclose

import minighost as mg

GUIDE = (Path(__file__).parents[1] / "docs" / "debugging.md").read_text(encoding="utf-8")
SCRIPT = re.search(r"```python\n(# step.py\n.*?)```", GUIDE, re.DOTALL).group(1)


def _session(tmp_path, commands, **environment):
    """What pdb says to some commands, given to it one a line."""
    (tmp_path / "step.py").write_text(SCRIPT, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **environment}
    command = [sys.executable, "-m", "pdb", "step.py"]
    given = "\n".join([*commands, "quit", ""])
    options = {"capture_output": True, "text": True, "timeout": 120}
    return subprocess.run(command, cwd=tmp_path, env=environment, input=given, **options).stdout


def test_pdb_stops_in_the_backward_of_a_convolution_and_reads_its_numbers(tmp_path):
    (place,) = re.findall(r"^\(Pdb\) break (\S+)$", GUIDE, re.MULTILINE)
    said = _session(
        tmp_path,
        [
            "import minighost.ops",
            f"break {place}",
            "continue",
            "where",
            "p 'dy', d.dy.shape, 'dws', dws.shape",
            *["next"] * 7,
            "p 'turn', t, chunks",
            "return",
            "p 'dx', float(back.dx.sum())",
        ],
        NUMBA_DISABLE_JIT="1",
    )
    assert "kernels/conv.py" in said.replace("\\", "/") and "conv2d_backward()" in said and "_backward()" in said
    assert "('dy', (1, 4, 12), 'dws', (1, 18, 3))" in said
    assert "('turn', 0, 1)" in said, "seven lines into the kernel its first turn begins"
    names = {}
    exec(SCRIPT, names)
    assert_allclose(float(re.search(r"\('dx', (.*?)\)", said).group(1)), names["dx"].sum(), rtol=1e-12)


def test_the_script_of_the_guide_agrees_with_the_reference(tmp_path):
    names = {}
    exec(SCRIPT, names)
    x, w = names["x"], names["w"]
    out, cache = mg.ops.conv2d_forward_reference(x, w, padding=1)
    assert_allclose(names["out"], out, rtol=1e-12)
    rng = np.random.default_rng(0)
    rng.normal(size=x.shape), rng.normal(size=w.shape)
    dx, dw, _ = mg.ops.conv2d_backward_reference(rng.normal(size=out.shape), cache)
    assert_allclose(names["dx"], dx, rtol=1e-12)
    assert_allclose(names["dw"], dw, rtol=1e-12)
