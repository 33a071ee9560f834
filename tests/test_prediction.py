"""Predictions: the JSON contract, anchors, recommendations and their intervals."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

from effbatch.errors import InputError
from effbatch.laws import LAWS
from effbatch.prediction import Anchor, LawScore, predict


def numbers(value: object) -> list[float]:
    """Every number in a JSON value."""
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers(v)]
    if isinstance(value, list):
        return [n for v in value for n in numbers(v)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def test_the_contract():
    said = predict(50, 128).to_dict()
    assert (said["alpha"], said["batch_size"], said["num_classes"]) == (50.0, 128, 10)
    assert said["noise"]["kind"] == "uniform"
    assert said["labels"]["signal"] == pytest.approx(1 / 51)
    assert said["labels"]["clean_probability"] == pytest.approx(6 / 51)
    assert said["labels"]["noise_rate"] == pytest.approx(45 / 51)
    assert said["labels"]["noise_to_signal"] == 51**2 - 1
    entropy = -6 / 51 * math.log(6 / 51) - 45 / 51 * math.log(5 / 51)
    assert said["labels"]["loss_floor"] == pytest.approx(entropy, rel=1e-12)
    effective = said["effective_batch_size"]
    assert effective["signal_to_noise"] == pytest.approx(128 / 51**2)
    assert effective["clean_count"] == pytest.approx(128 / 51)
    assert effective["measured"] is None
    assert said["restoring_batch_size"] == 128 * 51**2
    assert said["clean_labels_factor"] == 51
    assert said["accuracy"] is None
    assert set(said["learning_rate"]) == set(LAWS)
    for law in said["learning_rate"].values():
        assert {"factor", "value", "interval", "applies", "reason", "reference"} <= set(law)
        assert isinstance(law["applies"], bool)
        assert (law["factor"] is None) != law["applies"]
        assert law["reason"]
        assert law["value"] is None
    assert set(said["recommended"]) >= {"law", "factor", "value", "interval", "why"}


@pytest.mark.parametrize("alpha", [0, 0.5, 1e15])
@pytest.mark.parametrize("batch_size", [1, 10**15])
@pytest.mark.parametrize("rate", [None, 1e-15, 1e15])
def test_json_holds_finite_numbers_only(alpha, batch_size, rate):
    anchor = None if rate is None else Anchor(rate, 1, 1e15)
    parameters = {
        "noise_scale": {"clean_noise_scale": 1e15},
        "noisy_quadratic": {"decay_exponent": 1e-3},
        "saturating": {"clean_noise_scale": 1e15, "delta": 3.0, "gamma": 3.0},
        "fitted": {"batch_exponent": 4.0, "alpha_exponent": -4.0},
    }
    said = predict(alpha, batch_size, num_classes=2, anchor=anchor, parameters=parameters).to_dict()
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert all(math.isfinite(n) for n in numbers(said))


def test_numpy_scalars_are_taken_as_numbers():
    said = predict(np.float64(2.0), np.int64(64), num_classes=np.int64(5), steps=np.int64(10)).to_dict()
    assert json.loads(json.dumps(said)) == said
    assert (said["batch_size"], said["num_classes"], said["steps"]) == (64, 5, 10)


def test_without_an_anchor_factors_are_relative_to_clean_labels():
    rates = predict(3, 512).learning_rate
    assert rates["square_root_clean_count"].factor == pytest.approx(0.5)
    assert rates["signal_to_noise"].factor == pytest.approx(1 / 16)
    assert rates["linear"].factor == 1
    assert rates["linear"].value is None


def test_with_an_anchor_rates_are_numbers():
    prediction = predict(3, 512, anchor=Anchor(0.1, 128, alpha=0.0))
    assert prediction.learning_rate["linear"].value == pytest.approx(0.4)
    assert prediction.learning_rate["signal_to_noise"].value == pytest.approx(0.1 * 4 / 16)
    assert prediction.recommended.value == pytest.approx(0.1)
    same = predict(7, 64, anchor=Anchor(0.3, 64, alpha=7.0))
    assert {law.value for law in same.learning_rate.values() if law.applies} == {0.3}


@pytest.mark.parametrize(
    ("optimizer", "law", "factor", "words"),
    [
        ("sgd", "square_root_clean_count", 0.5, "square root of the clean labels"),
        ("momentum", "square_root_clean_count", 0.5, "square root of the clean labels"),
        ("adam", "adam_square_root", 0.25, "Adam"),
        ("adadelta", "none", 1.0, "nearly scale-free, .* untested"),
    ],
)
def test_recommendation_by_optimizer(optimizer, law, factor, words):
    recommended = predict(3, 128, optimizer=optimizer).recommended
    assert recommended.law == law
    assert recommended.factor == pytest.approx(factor)
    assert recommended.interval is None
    assert recommended.n is None
    assert "no record of its errors" in recommended.why
    assert re.search(words, recommended.why)


def test_recorded_evidence_gives_an_interval_with_its_n_and_source():
    evidence = {"square_root_clean_count": LawScore(0.4, 1.0, 37, "sweep best-rate")}
    prediction = predict(3, 128, anchor=Anchor(0.2, 128), evidence=evidence)
    assert prediction.recommended.interval == pytest.approx((0.05, 0.2))
    assert prediction.recommended.n == 37
    for words in ("n = 37", "sweep best-rate", "1.32 (median)", "2 (90th percentile)"):
        assert words in prediction.recommended.why
    assert prediction.learning_rate["square_root_clean_count"].interval == prediction.recommended.interval
    assert prediction.learning_rate["linear"].interval is None
    assert predict(3, 128, evidence=evidence).recommended.interval is None  # no rate, no interval of one


def test_parameters_make_laws_apply():
    given = predict(3, 128, parameters={"noise_scale": {"clean_noise_scale": 20.0}}).learning_rate
    assert given["noise_scale"].factor == pytest.approx((1 + 20 / 128) / (1 + (16 * 21 - 1) / 128))
    assert not predict(3, 128).learning_rate["noise_scale"].applies


def test_steps_take_the_steep_laws_away():
    rates = predict(3, 128, steps=1000).learning_rate
    assert rates["signal_to_noise"].factor is None
    assert "too steep at a fixed number of steps" in rates["signal_to_noise"].reason


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: predict(-1, 128), "alpha must be from 0 .*-1.0 came"),
        (lambda: predict(math.nan, 128), "alpha must be .*nan came"),
        (lambda: predict(1, 0), "the batch size must be from 1 .*; 0 came"),
        (lambda: predict(1, 12.5), "the batch size must be a whole number; 12.5 came"),
        (lambda: predict(1, math.nan), "the batch size must be a whole number; nan came"),
        (lambda: predict(1, 8, num_classes=1), "the number of classes must be from 2 .*; 1 came"),
        (lambda: predict(1, 8, noise="structured"), "noise 'uniform'; 'structured' came"),
        (lambda: predict(1, 8, parameters={"surg": {}}), "no law is called 'surg': the nearest is 'surge'"),
        (lambda: predict(1, 8, evidence={"lineal": LawScore(1, 1, 1, "")}), "'lineal': the nearest is 'linear'"),
        (lambda: Anchor(0.0, 8), "the anchor's learning rate must be from 1e-15 .*; 0.0 came"),
        (lambda: Anchor(0.1, 0), "the anchor's batch size must be from 1 .*; 0 came"),
        (lambda: Anchor(0.1, 8, -2.0), "the anchor's alpha must be from 0 .*; -2.0 came"),
        (lambda: LawScore(0.1, math.nan, 5, ""), "90th percentile .*; nan came"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
