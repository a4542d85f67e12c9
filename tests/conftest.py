"""Settings that all tests share: hypothesis draws the same examples at every change, many more at night."""

import os

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True)
settings.register_profile("quick", deadline=None, max_examples=6, derandomize=True)
settings.register_profile("nightly", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def rng():
    """A fresh generator of fixed seed."""
    return np.random.default_rng(0)
