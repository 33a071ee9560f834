"""Published recipes: how far a rate is from them, and that the documentation has all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from effbatch.plan.practice import PUBLISHED, departure
from effbatch.plan.recipe import Recipe

MOMENTUM = Recipe(optimizer="momentum")


@pytest.mark.parametrize(
    ("rate", "factor", "names"),
    [
        (0.002, 0.2, {"GCE"}),
        (0.02, 1.0, {"DivideMix", "ELR", "SOP"}),
        (0.05, 1.0, set()),
        (0.4, 4.0, {"CIFAR-10N"}),
    ],
)
def test_a_rate_is_compared_with_the_nearest_published_one(rate, factor, names):
    found = departure(MOMENTUM, rate)
    assert found.factor == pytest.approx(factor)
    assert {one.name for one in found.nearest} == names


def test_nothing_is_compared_where_nothing_is_published_or_known():
    assert departure(Recipe(optimizer="rmsprop"), 0.1) is None
    assert departure(MOMENTUM, None) is None


def test_the_documentation_has_every_recipe_with_its_source():
    page = (Path(__file__).parents[2] / "docs" / "comparison.md").read_text(encoding="utf-8")
    for one in PUBLISHED:
        (row,) = (line for line in page.splitlines() if line.startswith(f"| {one.name} |"))
        assert f" {one.learning_rate} | {one.batch_size} | {one.source.partition(', arXiv')[0]}" in row
        assert one.source.rpartition(" ")[2] in row
