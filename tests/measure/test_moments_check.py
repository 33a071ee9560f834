"""The check of the closed-form moments passes on the real thing and fails on a wrong one."""

from __future__ import annotations

import pytest

from effbatch.measure import moments_check
from effbatch.theory.moments import GradientMoments


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(moments_check, "DRAWS", 5)
    monkeypatch.setattr(moments_check, "IMAGES", 60)


def test_the_closed_form_agrees():
    found = moments_check.check_moments("perceptron")
    assert found.exact_error < 1e-12
    assert found.cells == 40
    assert found.inside >= 33  # of 40 at 95 %: fewer by chance in one of 10,000


def test_a_wrong_closed_form_is_caught(monkeypatch):
    monkeypatch.setattr(GradientMoments, "second_moment", lambda self, alpha: self.clean_second_moment * (1 + alpha))
    found = moments_check.check_moments("perceptron")
    assert found.exact_error > 0.1
    assert found.inside < 33
