"""What all tests share: how hypothesis draws (the same examples at every change, many more at night), and fixtures."""

import io
import os
import signal

import hypothesis
import numpy as np
import pytest
from training import TinyNet, settings

from minighost.models import registry
from minighost.train import run

# A shell that runs the tests in the background, or nohup, has them and their programs begin with signals ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
for _name in ("SIGHUP", "SIGTERM"):  # Windows knows no SIGHUP
    if hasattr(signal, _name):
        signal.signal(getattr(signal, _name), signal.SIG_DFL)

hypothesis.settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=6, derandomize=True)
hypothesis.settings.register_profile("nightly", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def rng():
    """A fresh generator of fixed seed."""
    return np.random.default_rng(0)


@pytest.fixture
def tinynet(monkeypatch):
    """A model of that name, for these tests only; pictures cost more than its training: one run draws them."""
    monkeypatch.setitem(registry.MODELS, "tinynet", TinyNet)
    monkeypatch.setattr("minighost.plots.run.everything", lambda *args: [])


@pytest.fixture(scope="session")
def straight(tmp_path_factory):
    """The folder of a run that nothing disturbed, and what it printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.MODELS, "tinynet", TinyNet)
        folder, stream = tmp_path_factory.mktemp("straight") / "run", io.StringIO()
        summary = run(settings(folder), stream=stream)
    return folder, summary, stream.getvalue()
