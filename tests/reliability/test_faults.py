"""Every fault a few times: nothing acknowledged is lost or trained twice; cube and answer are those of a quiet run."""

from __future__ import annotations

import random

import pytest
from faults import FAULTS, Fault


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.short], ids=lambda fault: fault.name)
def test_sweeps_and_answers_survive(fault: Fault, tmp_path):
    if fault.needs:
        pytest.skip(f"needs {fault.needs}")
    tally = fault.attempt(tmp_path, fault.short, random.Random(0))
    assert tally.survived, tally
