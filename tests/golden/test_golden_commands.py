"""Every command and public name answers as recorded; `python tests/golden/record.py` records an intended change."""

from __future__ import annotations

import copy

import commands
import public
import pytest
from commands import CASES, CLOSED, TRAINED, recorded
from difference import assert_same, first_difference


@pytest.mark.parametrize("name", CASES)
def test_a_command_answers_as_recorded(name):
    case = CASES[name]
    assert_same(recorded(name), commands.answer(case), case.tolerance)


def test_the_commands_take_the_same_options():
    assert_same(recorded("options"), commands.options())


def test_what_datasets_and_doctor_say_on_any_machine_is_as_recorded():
    assert_same(recorded("datasets"), commands.built_in_data())
    assert_same(recorded("doctor"), commands.checks())


def test_the_public_names_have_the_same_signatures():
    assert_same(recorded("public_signatures"), public.signatures())


def test_the_public_names_answer_as_recorded():
    before, now = recorded("public_answers"), public.answers()
    measured = before.pop("measured_moments"), now.pop("measured_moments")
    assert_same(*measured, TRAINED)
    assert_same(before, now, CLOSED)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda law: law.update(factor=law["factor"] * (1 + 2 * CLOSED)), "learning_rate.linear.factor: 1.0 became 1."),
        (lambda law: law.update(n=55), "learning_rate.linear.n: 54 became 55"),
        (lambda law: law.update(n=54.0), "learning_rate.linear.n: 54 became 54.0"),
        (lambda law: law.update(applies=None), "learning_rate.linear.applies: True became None"),
        (lambda law: law.update(more=1), "learning_rate.linear: keys lost [], keys new ['more']"),
        (lambda law: law.pop("reason"), "learning_rate.linear: keys lost ['reason'], keys new []"),
        (lambda law: law["factor_interval"].pop(), "learning_rate.linear.factor_interval: 2 entries became 1"),
        (lambda law: law["factor_interval"].reverse(), "learning_rate.linear.factor_interval[0]: 0.0458"),
    ],
)
def test_the_first_difference_is_named_by_its_path(change, difference):
    before = recorded("predict_noise_rate")
    now = copy.deepcopy(before)
    change(now["learning_rate"]["linear"])
    found = first_difference(before, now, CLOSED)
    assert found is not None
    assert found.startswith(difference)
    now = copy.deepcopy(before)
    now["learning_rate"]["linear"]["factor"] *= 1 + CLOSED / 2
    assert_same(before, now, CLOSED)
