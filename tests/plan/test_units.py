"""Spec -> units: every cell exactly once, with the right number of steps."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from effbatch.core.errors import SpecError
from effbatch.plan import spec, units

AVAILABLE = {"digits": 1297}


def cells_of(text: str) -> Counter:
    return Counter(
        (tuple(unit.point.items()), *cell)
        for unit in units.units(spec.parse(text), AVAILABLE)
        for cell in product(unit.alphas, unit.learning_rates, unit.seeds)
    )


@pytest.mark.parametrize("budget", ["steps = 20", "examples = 160", "epochs = 0.5"])
def test_every_cell_is_in_exactly_one_unit(spec_text, budget, monkeypatch):
    monkeypatch.setattr(units, "CELLS_PER_UNIT", 4)
    text = spec_text.replace("steps = 20", budget).replace("seed = 2", 'seed = 5\nnetwork = ["mlp1", "mlp2"]')
    counts = cells_of(text)
    assert set(counts.values()) == {1}
    assert len(counts) == 2 * 2 * 5 * 2


@pytest.mark.parametrize(
    ("budget", "alpha", "steps"),
    [({"steps": 20}, 3.0, 20), ({"examples": 100}, 3.0, 13), ({"epochs": 2}, 0.0, 25), ({"epochs": 2}, 3.0, 100)],
)
def test_budgets_buy_steps(budget, alpha, steps):
    assert units.steps_for(spec.Train(budget=budget), 8, alpha, 100) == steps


@pytest.mark.parametrize(("steps", "count"), [(1, 1), (5, 5), (20, 3), (1000, 12), (130, 100)])
def test_checkpoints_are_different_steps_that_end_with_the_last(steps, count):
    chosen = units.log_spaced_steps(steps, count)
    assert len(set(chosen)) == count
    assert list(chosen) == sorted(chosen)
    assert chosen[-1] == steps
    assert chosen[0] >= 1


def test_a_unit_is_renamed_when_any_number_changes(spec_text):
    keys = {
        unit.key
        for text in (spec_text, spec_text.replace("0.4", "0.5"), spec_text.replace("mlp1", "mlp2"))
        for unit in units.units(spec.parse(text), AVAILABLE)
    }
    assert len(keys) == 3


def test_foreign_images_depend_on_alpha_so_units_have_one(spec_text):
    text = spec_text.replace("[train]", 'noise = "foreign"\nsource = "white"\n[train]')
    made = list(units.units(spec.parse(text), AVAILABLE))
    assert [unit.alphas for unit in made] == [(0.0,), (2.5,)]
    assert set(cells_of(text).values()) == {1}
    assert len(cells_of(text)) == 2 * 2 * 2


def test_more_clean_examples_than_images_are_refused(spec_text):
    text = spec_text.replace("clean_examples = 100", "clean_examples = 5000")
    with pytest.raises(SpecError, match=r"clean_examples must be at most the 1297 training images of digits, got 5000"):
        list(units.units(spec.parse(text), AVAILABLE))
