"""An estimate: one convention for what is not known, tests of a threshold, and JSON that reads back."""

from __future__ import annotations

import json
import math

import pytest

from effbatch.core.estimate import Estimate, exact
from effbatch.core.formats import estimate_text
from effbatch.core.jsonable import jsonable


def test_what_is_not_finite_is_not_known():
    found = Estimate(math.nan, -math.inf, math.inf, n=3, level=0.95)
    assert (found.value, found.low, found.high) == (None, None, None)
    assert found.interval == (None, None)  # there is one, open on both sides
    assert Estimate(1.0, n=3).interval is None
    assert all(map(math.isnan, found.floats))


@pytest.mark.parametrize(
    ("low", "high", "below", "above"),
    [(1.0, 2.0, 2.1, 0.9), (None, 2.0, 2.1, None), (1.0, None, None, 0.9), (None, None, None, None)],
    ids=["closed", "no lower limit", "no upper limit", "no limit"],
)
def test_an_open_limit_excludes_nothing_on_its_side(low, high, below, above):
    found = Estimate(1.5, low, high, level=0.95)
    for value in (-1e9, 0.9, 1.0, 2.0, 2.1, 1e9):
        assert found.below(value) == (below is not None and value >= below)
        assert found.above(value) == (above is not None and value <= above)
        assert found.excludes(value) == (found.below(value) or found.above(value))


def test_p_values_are_of_the_test_and_none_without_one():
    assert Estimate(1.0, test=lambda value: value / 10).p_value(0.5) == 0.05
    assert Estimate(1.0, test=lambda _: math.nan).p_value(0.5) is None
    assert Estimate(1.0).p_value(0.5) is None
    assert Estimate(1.0, test=lambda value: value).times(100).p_value(0.5) is None


@pytest.mark.parametrize(
    "found",
    [
        Estimate(0.5, 0.4, None, n=12, level=0.9, reason="few"),
        Estimate(None, n=0),
        exact(4),
        Estimate(1, None, None, level=0.9),
    ],
    ids=["open", "nothing", "exact", "open on both sides"],
)
def test_json_reads_back_and_holds_no_nan(found):
    written = json.loads(json.dumps(jsonable({"it": [found]}), allow_nan=False))["it"][0]
    assert Estimate.from_json(written) == found
    assert set(written) - {"exact"} == {"value", "interval", "n", "level", "reason"}


def test_json_of_version_0_1_is_read():
    assert Estimate.from_json({"value": 1.0, "interval": [0.5, None], "n": 3, "reason": None}) == Estimate(
        1.0, 0.5, n=3
    )


@pytest.mark.parametrize(
    ("found", "unit", "text"),
    [
        (Estimate(1.8312, 1.712, 1.9512, n=12), "", "1.83 [1.71, 1.95], n = 12"),
        (Estimate(33.0, 26.5, 40.02), "%", "33 % [26, 40]"),
        (Estimate(0.0354, 0.0125, 12.04), "", "0.0354 [0.0125, 12.0]"),
        (Estimate(1.382, 0.652, 3.41), "", "1.38 [0.652, 3.41]"),
        (Estimate(-0.06, -0.32, 0.21), "", "−0.06 [−0.32, 0.21]"),
        (Estimate(128, 128, 128), "", "128 [128, 128]"),
        (Estimate(20.123, 15.0, n=3), "steps", "20.1 steps (at least 15), n = 3"),
        (Estimate(None, None, 2.0, n=1200), "steps", "cannot tell (at most 2), n = 1,200"),
        (Estimate(0.5), "", "0.500 (no interval)"),
        (Estimate(None), "", "cannot tell"),
        (exact(4), "labels", "4 labels (exact)"),
    ],
)
def test_one_text_for_every_estimate(found, unit, text):
    assert estimate_text(found, unit) == text
    assert estimate_text(found, unit, n=False) == text.partition(", n")[0]
