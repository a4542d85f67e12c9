"""What a checkpoint says of how far its training was: read back as it was written, or refused."""

import copy

import pytest

from minighost.train.classification import Classification
from minighost.train.progress import Progress
from minighost.train.settings import TrainConfig

STATE = {
    "epoch": 2,
    "step": 3,
    "sums": {"loss": 40.5, "right": 17, "seen": 24, "seconds": 1.5},
    "best": {"epoch": 1, "test_accuracy": 0.5},
}


def read(state):
    return Progress.read(state, Classification(TrainConfig()), epochs=5, steps=6, batch_size=8)


@pytest.mark.small
@pytest.mark.parametrize("best", [STATE["best"], None])
def test_it_is_read_as_it_was_written(best):
    progress = Progress(2, 3, STATE["sums"], best)
    assert read(progress._asdict()) == progress


@pytest.mark.small
@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("epoch",), 6, "epoch: expected int from 0 to 5, got 6"),
        (("epoch",), True, "epoch: expected int from 0 to 5, got True"),
        (("step",), 7, "step: expected int from 0 to 6, got 7"),
        (("step",), -1, "step: expected int from 0 to 6, got -1"),
        (("sums", "seen"), 23, "images seen: expected int from 24 to 24, got 23"),
        (("sums", "right"), 25, "images right: expected int from 0 to 24, got 25"),
        (("sums", "seconds"), float("nan"), "seconds: expected float from 0 to 1000000000000.0, got nan"),
        (("sums", "loss"), float("inf"), r"sum of losses: expected float from 0 to 1e\+300, got inf"),
        (("best", "epoch"), 6, "best epoch: expected int from 0 to 5, got 6"),
        (("best", "test_accuracy"), 1.5, "best accuracy: expected float from 0 to 1, got 1.5"),
    ],
)
def test_a_number_that_no_run_can_have_is_named_with_its_range(place, value, words):
    state = copy.deepcopy(STATE)
    inner = state
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(ValueError, match=words):
        read(state)


@pytest.mark.small
def test_what_is_missing_is_an_error():
    with pytest.raises(KeyError, match="best"):
        read({key: value for key, value in STATE.items() if key != "best"})
