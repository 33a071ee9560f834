"""A law is one small file: put into the package it is found, and `predict` tells its factor beside the others."""

import sys

import pytest

from effbatch import laws
from effbatch.advice.prediction import predict

FILE = '''
"""The quarter law: the rate goes with the fourth root of the batch."""

from effbatch.laws import bibliography
from effbatch.laws.power import PowerLaw

LAWS = (PowerLaw("quarter", "η ∝ B^¼", bibliography.ZEILER_2012, 0.25, 0.0, "an invention"),)
'''


@pytest.fixture
def added(tmp_path, monkeypatch):
    (tmp_path / "quarter.py").write_text(FILE, encoding="utf-8")
    monkeypatch.setattr(laws, "__path__", [*laws.__path__, str(tmp_path)])
    for name, law in laws._discover().items():
        monkeypatch.setitem(laws.LAWS, name, law)
    yield
    sys.modules.pop("effbatch.laws.quarter", None)


def test_one_file_is_a_law(added):
    anchor = laws.Setting(0.0, 16, 10)
    assert laws.get("quarter").factor(laws.Setting(0.0, 256, 10), anchor) == pytest.approx(2.0)
    told = predict(3.0, 128).learning_rate["quarter"]
    assert told.applies
    assert told.factor == pytest.approx(1.0)
    assert told.reason == "an invention"
