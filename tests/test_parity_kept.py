"""What PyTorch's networks said once, on weights and images that a hash makes: kept in tests/data/parity.json.

python tests/test_parity_kept.py     writes the file anew (needs the `parity` extra)
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from parity_networks import Case, answers, compare, digest, hold, subject

KEPT = Path(__file__).with_name("data") / "parity.json"

# As the authors' TensorFlow code scales MobileNetV3, which timm follows.
TENSORFLOW = {"width": 0.75, "expand": "ratio x scaled input", "scale_head": False}

CASES = [
    Case("ghostnet", {"width": 0.5}, "timm:ghostnet_050"),
    Case("mobilenet_v3_small", TENSORFLOW, "timm:mobilenetv3_small_075", {"bn_eps": 1e-3, "bn_momentum": 0.01}, 32),
    Case("fasternet", {}, "timm:fasternet_t0", side=32),
    Case("squeezenet", {"version": "1.1"}, "torchvision:squeezenet1_1", images=4),
]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.peer) for case in CASES])
def test_a_network_computes_what_the_original_did(case):
    kept = {key: np.array(value) for key, value in json.loads(KEPT.read_text())[case.peer].items()}
    model, x, labels = subject(case)
    hold(digest(answers(model, x, labels, case.table)), kept, 1e-9, case.peer)


def write():
    """Ask PyTorch, which must agree in every number first."""
    found = {}
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            found[case.peer] = {key: _short(value) for key, value in digest(compare(case, Path(folder))).items()}
        print(case.peer)
    KEPT.write_text(json.dumps(found, indent=0) + "\n")


def _short(value):
    """Thirteen digits, which is more than is compared."""
    return np.vectorize(lambda v: float(f"{v:.13g}"))(value).tolist()


if __name__ == "__main__":
    sys.exit(write())
