"""A recipe: one budget, values in range, and one rounding of steps wherever a budget becomes steps."""

from __future__ import annotations

import pytest

from effbatch.core.errors import InputError
from effbatch.plan.recipe import Recipe, steps_bought


@pytest.mark.parametrize(
    ("budget", "batch_size", "steps"),
    [
        ({"steps": 7}, 32, 7),
        ({"examples": 3200}, 32, 100),
        ({"examples": 3201}, 32, 101),
        ({"examples": 31}, 32, 1),
        ({"epochs": 1.5}, 8, 19),
        ({"steps": 10**15}, 10**15, 10**15),
    ],
    ids=str,
)
def test_a_budget_buys_whole_steps_and_the_last_batch_counts(budget, batch_size, steps):
    assert steps_bought(budget, batch_size, epoch=100) == steps


def test_the_budget_is_the_one_that_was_given():
    assert Recipe().budget == {}
    assert Recipe(examples=50).budget == {"examples": 50}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Recipe(steps=5, epochs=2), "one of steps, examples, epochs, got steps and epochs"),
        (lambda: Recipe(optimizer="adm"), "did you mean 'adam'"),
        (lambda: Recipe(schedule="cosin"), "did you mean 'cosine'"),
        (lambda: Recipe(momentum=1.0), r"momentum needs a value in \[0, 1\), got 1: give 0 for none"),
        (lambda: Recipe(weight_decay=-1.0), "the weight decay must be at least 0"),
        (lambda: Recipe(steps=0), "the number of steps must be at least 1 .*, got 0"),
        (lambda: Recipe(epochs=0), "the number of epochs must be above 0 .*, got 0"),
        (lambda: steps_bought({"epochs": 2}, 8), "needs the size of the data set, got none"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(make, words):
    with pytest.raises(InputError, match=words) as error:
        make()
    assert "\n" not in str(error.value)
