"""A ghost module's speed beside that of the convolution that it stands for: compared turn by turn."""

import pytest

from minighost.bench import GhostSpeed
from minighost.bench.timing import Timing


def test_turns_are_compared_within_themselves_so_that_a_machine_that_slows_down_changes_no_ratio():
    slower = 1, 1, 2, 5, 9
    speed = GhostSpeed("g", 1.8, Timing(9, tuple(slower)), Timing(9, tuple(1.5 * s for s in slower)))
    assert speed.measured == pytest.approx(1.5) and speed.quartiles == pytest.approx((1.5, 1.5))


def test_the_middle_half_of_the_turns_is_told():
    speed = GhostSpeed("g", 1.8, Timing(9, (1, 1, 1, 1, 1)), Timing(9, (1, 4, 2, 3, 50)))
    assert speed.measured == 3 and speed.quartiles == (2, 4)
