"""The numbers that weights begin with, and networks that are built without any."""

import subprocess
import sys

import numpy as np
import pytest

from minighost import analysis, models, nn
from minighost.models import initialize

LARGE = """
import resource
from minighost import analysis, nn

peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
analysis.count(nn.Sequential(nn.Linear(4, 4)), (4,))
before = peak()
with nn.without_weights():
    model = nn.Sequential(nn.Linear(25_088, 4_096), nn.Linear(4_096, 4_096))
print(sum(row.params for row in analysis.count(model, (25_088,))), peak() - before)
"""


@pytest.mark.small
@pytest.mark.parametrize("build", [lambda rng: nn.Conv2d(3, 4, 3, rng=rng), lambda rng: nn.Linear(3, 4, rng=rng)])
def test_without_weights_nothing_is_drawn_and_shapes_are_as_ever(build):
    rng = np.random.default_rng(0)
    drawn = build(0)
    with nn.without_weights():
        layer = build(rng)
        initialize.draw_normal(layer, type(layer), 1.0, rng)
        initialize.draw_uniform(layer, type(layer), 1.0, rng)
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state
    assert layer.weight.shape == drawn.weight.shape and layer.weight.data.dtype == np.float32
    assert not layer.weight.data.any() and drawn.weight.data.any()
    assert build(0).weight.data.any(), "after the block weights are drawn again"


@pytest.mark.small
def test_weights_are_drawn_again_after_an_error_in_the_block():
    with pytest.raises(ValueError, match="in_features=0"), nn.without_weights():
        nn.Linear(0, 1)
    assert nn.Linear(3, 4).weight.data.any()


def test_a_network_without_weights_counts_what_it_counts_with_them():
    for name in ("ghostnet_cifar", "quicknet", "resnet20"):
        with nn.without_weights():
            hollow = models.create(name, width=0.25)
        assert analysis.count(hollow, (32, 32, 3)) == analysis.count(models.create(name, width=0.25), (32, 32, 3))


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss counts in other units elsewhere")
def test_a_hundred_million_weights_that_are_only_counted_take_no_memory():
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    parameters, kilobytes = map(int, done.stdout.split())
    assert parameters == 25_088 * 4_096 + 4_096 + 4_096 * 4_096 + 4_096
    assert kilobytes < 20_000, "the weights are 480 MB"
