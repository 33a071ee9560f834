"""The check of the closed-form moments passes on the real thing and fails on a wrong one."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from effbatch.theory.moments import GradientMoments


@pytest.fixture
def check(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("moments_check").check


def test_the_closed_form_agrees(check):
    found = check("perceptron", draws=5, images=60)
    assert found["exact_error"] < 1e-12
    assert found["cells"] == 40
    assert found["inside"] >= 33  # of 40 at 95 %: fewer by chance in one of 10,000


def test_a_wrong_closed_form_is_caught(check, monkeypatch):
    monkeypatch.setattr(GradientMoments, "second_moment", lambda self, alpha: self.clean_second_moment * (1 + alpha))
    found = check("perceptron", draws=5, images=60)
    assert found["exact_error"] > 0.1
    assert found["inside"] < 33
