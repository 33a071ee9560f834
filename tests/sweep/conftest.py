"""Shared fixtures of sweeps that workers train."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def long_text(spec_text):
    """Six units of some tenths of a second."""
    text = spec_text.replace("batch_size = [8]", "batch_size = [2, 4, 6, 8, 10, 12]").replace(
        "steps = 20", "steps = 300"
    )
    return text


@pytest.fixture
def one_thread():
    """As many threads here as a worker has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
