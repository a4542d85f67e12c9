"""Our networks are the originals: with the same weights they compute the same (make parity).

Float64 agrees to 1e-9 and float32 to 1e-4 of the largest number: logits in training and in evaluation, the loss, every
gradient, the running statistics after a step.
"""

import pytest
from parity_networks import Case, compare

pytestmark = pytest.mark.parity

CASES = [
    Case("ghostnet", {"width": 0.5}, "timm:ghostnet_050"),
    Case("ghostnet", {"width": 1.0}, "timm:ghostnet_100"),
]


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.peer} {case.name}") for case in CASES])
def test_the_original_computes_the_same(case, tmp_path):
    compare(case, tmp_path)
