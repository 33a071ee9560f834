"""A claim is one small file: put into the package it is found by its kind, checked, judged and reported."""

from __future__ import annotations

import json
import sys

import pytest
from synthetic import peaked_cube
from test_claims import setup

from effbatch import claims
from effbatch.core.errors import SpecError
from effbatch.validation.document import report, verdicts
from effbatch.validation.judged import judge_all

FILE = '''
"""Claim: without noise, the accuracy at the best learning rate exceeds `least`."""

from dataclasses import dataclass

from effbatch.claims.base import Claim
from effbatch.claims.shared.judgement import Judgement, every_above
from effbatch.claims.shared.seed_mean import seed_means
from effbatch.core.figures import Number
from effbatch.plan.keys import key


@dataclass(frozen=True)
class CleanAccuracyClaim(Claim):
    """Networks learn what is not noised."""

    asks = "clean labels are learned"

    least: float = key(0.5, "accuracy to exceed", low=0, high=1)

    @property
    def headline(self):
        return f"accuracy above {self.least:g}"

    def predict(self, setup):
        return {}

    def describe(self, prediction):
        return f"Without noise the accuracy exceeds {self.least:g}."

    def judge(self, case):
        (accuracy,) = seed_means(case.accuracy.sel(alpha=[0.0]).mean("batch_size"), "alpha")
        verdict, p_value = every_above([accuracy], self.least)
        finding = f"Without noise the accuracy is {accuracy.value:.2f}."
        return Judgement(verdict=verdict, finding=finding, numbers=[Number("accuracy", accuracy)], p_value=p_value)
'''


@pytest.fixture
def added(tmp_path, monkeypatch):
    (tmp_path / "clean_accuracy.py").write_text(FILE, encoding="utf-8")
    monkeypatch.setattr(claims, "__path__", [*claims.__path__, str(tmp_path)])
    yield
    sys.modules.pop("effbatch.claims.clean_accuracy", None)


def cube(rule):
    """Accuracy 0.8 at the best rate of every setting, with what a report says of its sweep."""
    simulation = {"name": "made", "title": "Made", "claim": "It learns.", "figure": ""}
    spec = {"simulation": simulation, "data": {"dataset": "digits"}, "claim": rule}
    swept = peaked_cube(lambda alpha, batch: 0.05 + 0 * alpha + 0 * batch, alpha=(0.0, 3.0))
    entry = {"stored": "2026-01-01T00:00:00+00:00", "before_training": True, "prediction": {}}
    return swept.assign_attrs(
        simulation="made", spec_resolved=json.dumps(spec), predictions=json.dumps(entry), spec="", model_steps=1,
        train_seconds=1.0, made="2026-01-01T00:00:00+00:00", device="none", versions="none", data_source="made",
    )  # fmt: skip


@pytest.mark.parametrize(("least", "verdict"), [(0.5, "supported"), (0.9, "refuted")])
def test_one_file_is_a_claim(added, least, verdict):
    assert "clean_accuracy" in claims.kinds()
    claim = claims.claim_of({"kind": "clean_accuracy", "least": least}, "made")
    assert claim.predict(setup()) == {}
    judged = judge_all({"made": cube(claim.rule)})
    (told,) = verdicts(judged, [])["verdicts"]
    assert told["verdict"] == verdict
    assert told["rule"] == {"kind": "clean_accuracy", "least": least}
    (chapter,) = report(judged, []).claims
    assert chapter.headline == f"accuracy above {least:g}"
    assert chapter.result.label == "accuracy"


def test_its_rule_is_checked_as_those_of_the_others(added):
    with pytest.raises(SpecError, match=r"least must be a number from 0 to 1, got 2"):
        claims.claim_of({"kind": "clean_accuracy", "least": 2}, "made")
