"""Shared fixtures: a small data set and specs to change."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from hypothesis import settings
from spec_lines import SPEC

from effbatch.data.dataset import DataSet

# A job begun in the background ignores Ctrl-C, and so would all that it starts; tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# EFFBATCH_TORTURE=1 tries a hundred times as much
settings.register_profile("quick", max_examples=20, deadline=None, derandomize=True)
settings.register_profile("torture", max_examples=2000, deadline=None)
settings.load_profile("torture" if os.environ.get("EFFBATCH_TORTURE") == "1" else "quick")


@pytest.fixture
def spec_text() -> str:
    return SPEC


@pytest.fixture(scope="session")
def little_images() -> DataSet:
    """Three classes of noisy 8×8 images, 60 to train on and 30 to test."""
    rng = np.random.default_rng(7)
    patterns = rng.normal(size=(3, 1, 8, 8))

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        y = rng.integers(0, 3, n)
        return (patterns[y] + rng.normal(size=(n, 1, 8, 8))).astype(np.float32), y

    x_train, y_train = draw(60)
    x_test, y_test = draw(30)
    return DataSet(
        name="little",
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        num_classes=3,
        source="made in the tests",
    )
