"""Predictions: the JSON contract, anchors, recommendations and their intervals."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from effbatch.advice.evidence import LawScore, recorded
from effbatch.advice.noise import Noise
from effbatch.advice.prediction import answered, predict
from effbatch.advice.question import Anchor, asked, gathered
from effbatch.advice.untrained import Untrained, accuracy_answer, rate_answer
from effbatch.audit import estimate_noise
from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.laws import LAWS
from effbatch.laws.base import SGD
from effbatch.measure.kernel import measure_spectrum
from effbatch.networks import zoo
from effbatch.noise import MatrixNoise, UniformNoise, structured_noise_matrix
from effbatch.plan.recipe import Recipe
from effbatch.theory.dynamics import best_learning_rate, learning_curve
from effbatch.theory.spectrum import Spectrum

SWAP = [[0, 1, 0], [0, 1, 0], [0, 0, 1]]


def power_law(scale: float = 1.0) -> Spectrum:
    """A kernel of 100 modes whose eigenvalues and target energies fall as powers."""
    k = np.arange(1, 101)
    e = k**-1.3 / (k**-1.3).sum()
    return Spectrum(10 * scale * k**-1.5, e, 0.02 * e, num_classes=10, examples=100)


def score(median: float, quantile90: float, n: int, source: str) -> LawScore:
    return LawScore(median_error_log2=median, quantile90_log2=quantile90, n=n, source=source)


def with_network(alpha, batch_size, *, spectra, noise="uniform", anchor=None, evidence=None, **given):
    """What `advise` asks without training: `predict`, and the untrained networks of these spectra."""
    noise, recipe = gathered(noise, None, {"alpha": alpha, "batch_size": batch_size, **given}, moved={})
    question = asked(noise, recipe, anchor=anchor, evidence=evidence)
    theory = Untrained(spectra, recipe) if recipe.optimizer in SGD else f"the theory is not for {recipe.optimizer}"
    said = answered(question, {"linearised": rate_answer(theory, question)})
    accuracy = accuracy_answer(theory, question, said.recommended.value)
    return SimpleNamespace(
        learning_rate=said.learning_rate, recommended=said.recommended, accuracy=accuracy, to_dict=said.to_dict
    )


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
    assert said["noise"] == {
        "kind": "uniform",
        "delta": None,
        "effective_alpha": 50.0,
        "least_signal": pytest.approx(1 / 51),
        "unlearnable": [],
        "reason": None,
    }
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
    assert said["alpha_interval"] is None
    assert said["intervals"] is None
    assert set(said["learning_rate"]) == {*LAWS, "linearised", "probe"}
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
    ("alpha", "anchor"), [(0, None), (3, Anchor(0.1, 64, alpha=3.0))], ids=["clean labels", "its own anchor"]
)
def test_a_rate_that_stays_where_it_was_tuned_is_exact(alpha, anchor):
    recommended = predict(alpha, 64, anchor=anchor).recommended
    assert (recommended.factor, recommended.factor_interval, recommended.n) == (1, None, None)
    assert "as good as it was tuned there" in recommended.why
    assert predict(alpha + 1, 64, anchor=anchor).recommended.factor_interval is not None
    unsure = predict(alpha, 64, anchor=anchor, alpha_interval=(alpha, alpha + 1)).recommended
    assert unsure.n is not None
    assert predict(alpha, 64, anchor=anchor, alpha_interval=(alpha, alpha)).recommended.n is None


@pytest.mark.parametrize(
    ("optimizer", "law", "factor", "words"),
    [
        ("sgd", "square_root_clean_count", 0.5, "square root of the clean labels"),
        ("momentum", "square_root_clean_count", 0.5, "square root of the clean labels"),
        ("adam", "adaptive", 4**-0.75, "Adam"),
        ("adamw", "adaptive", 4**-0.75, "Adam"),
        ("rmsprop", "adaptive", 4**-0.75, "Adam"),
        ("adadelta", "adaptive", 4**-0.75, "AdaDelta"),
    ],
)
def test_recommendation_by_optimizer(optimizer, law, factor, words):
    recommended = predict(3, 128, optimizer=optimizer, evidence={}).recommended
    assert recommended.law == law
    assert recommended.factor == pytest.approx(factor)
    assert recommended.interval is None
    assert recommended.n is None
    assert "no errors are on record here" in recommended.why
    assert re.search(words, recommended.why)


def test_recorded_evidence_gives_an_interval_with_its_n_and_source():
    evidence = {"square_root_clean_count": score(0.4, 1.0, 37, "sweep best-rate")}
    prediction = predict(3, 128, anchor=Anchor(0.2, 128), evidence=evidence)
    assert prediction.recommended.interval == pytest.approx((0.05, 0.2))
    assert prediction.recommended.n == 37
    for words in ("n = 37", "sweep best-rate", "1.32 (median)", "a factor of 2 either way"):
        assert words in prediction.recommended.why
    assert prediction.learning_rate["square_root_clean_count"].interval == prediction.recommended.interval
    assert prediction.learning_rate["linear"].interval is None
    assert predict(3, 128, evidence=evidence).recommended.interval is None  # no rate, no interval of one


def test_few_settings_widen_the_interval():
    recipe = Recipe(optimizer="adamw", schedule="cosine")
    few = recorded(recipe, clean_anchor=True)["adaptive"]
    assert few.n < 10
    assert few.reach_log2 > few.quantile90_log2
    said = predict(3, 64, recipe=recipe).recommended
    assert said.factor_interval[1] / said.factor == pytest.approx(2**few.reach_log2)
    many = recorded(clean_anchor=True)["square_root_clean_count"]
    assert many.reach_log2 == many.quantile90_log2


def test_parameters_make_laws_apply():
    given = predict(3, 128, parameters={"noise_scale": {"clean_noise_scale": 20.0}}).learning_rate
    assert given["noise_scale"].factor == pytest.approx((1 + 20 / 128) / (1 + (16 * 21 - 1) / 128))
    assert not predict(3, 128).learning_rate["noise_scale"].applies


def test_steps_take_the_steep_laws_away():
    rates = predict(3, 128, steps=1000).learning_rate
    assert rates["signal_to_noise"].factor is None
    assert "too steep at a fixed number of steps" in rates["signal_to_noise"].reason


# --- an interval of alpha ---


def test_the_interval_of_alpha_reaches_every_number_that_depends_on_it():
    anchor = Anchor(0.2, 64)
    at = {a: predict(a, 128, anchor=anchor, evidence={}).to_dict() for a in (9, 12, 16)}
    said = predict(12, 128, anchor=anchor, alpha_interval=(9, 16), evidence={}).to_dict()
    assert said["alpha_interval"] == [9, 16]

    def check(path):
        values = [at[a] for a in (9, 16)]
        ranges = said["intervals"]
        for key in path:
            values, ranges = [v[key] for v in values], ranges[key]
        assert ranges == pytest.approx(sorted(values), rel=1e-9), path

    for key in ("signal", "clean_probability", "noise_rate", "noise_to_signal", "loss_floor"):
        check(["labels", key])
    check(["effective_batch_size", "signal_to_noise"])
    check(["effective_batch_size", "clean_count"])
    check(["restoring_batch_size"])
    check(["clean_labels_factor"])
    for name, law in said["learning_rate"].items():
        if law["applies"]:
            ends = [at[a]["learning_rate"][name] for a in (9, 16)]
            assert law["factor_interval"] == pytest.approx(sorted(end["factor"] for end in ends), rel=1e-9)
            assert law["interval"] == pytest.approx(sorted(end["value"] for end in ends), rel=1e-9)
            assert law["covers"] == "the interval of alpha"
            assert law["value"] == at[12]["learning_rate"][name]["value"]
    assert said["recommended"]["interval"] == said["learning_rate"]["square_root_clean_count"]["interval"]


def test_a_law_that_peaks_inside_the_interval_takes_its_peak():
    given = {"surge": {"clean_noise_scale": 99.0}}  # B_noise(1) = 4 · 100 − 1: best at B = 399
    peak = predict(1, 399, optimizer="adam", parameters=given).learning_rate["surge"].factor
    law = predict(3, 399, optimizer="adam", parameters=given, alpha_interval=(0.2, 5)).learning_rate["surge"]
    assert law.factor_interval[1] == pytest.approx(peak, rel=1e-3)
    assert law.factor_interval[0] < law.factor < law.factor_interval[1]


def test_without_an_upper_limit_of_alpha_no_limit_is_made_up():
    said = predict(12, 128, alpha_interval=(9, None), evidence={}).to_dict()
    assert said["alpha_interval"] == [9, None]
    assert said["intervals"]["restoring_batch_size"] == [pytest.approx(12800), None]
    assert said["intervals"]["labels"]["signal"] == [None, pytest.approx(0.1)]
    assert said["learning_rate"]["signal_to_noise"]["factor_interval"] == [None, pytest.approx(0.01)]
    assert said["learning_rate"]["linear"]["factor_interval"] == [1, 1]
    assert json.loads(json.dumps(said, allow_nan=False)) == said


def test_recorded_errors_widen_the_interval_of_alpha():
    evidence = {"square_root_clean_count": score(0.4, 1.0, 37, "sweep")}
    said = predict(3, 128, anchor=Anchor(0.2, 128), evidence=evidence, alpha_interval=(3, 15)).recommended
    assert said.interval == pytest.approx((0.2 / 4 / 2, 0.2 / 2 * 2))
    assert said.covers == "the interval of alpha and 90 % of n = 37 recorded errors"


def test_the_recorded_errors_are_the_default_for_recipes_on_record_only():
    score = recorded(clean_anchor=True)["square_root_clean_count"]
    said = predict(3, 128).recommended
    assert said.n == score.n
    assert said.factor_interval == pytest.approx((0.5 / 2**score.quantile90_log2, 0.5 * 2**score.quantile90_log2))
    assert score.source in said.why
    for other in ({"optimizer": "rmsprop"}, {"schedule": "cosine"}, {"noise": "structured", "delta": 0.5}):
        assert predict(3, 128, **other).recommended.n is None


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize(("optimizer", "law", "decay"), [
    ("momentum", "square_root_clean_count", 5e-4), ("adamw", "adaptive", 0.01),
])  # fmt: skip
def test_recipes_of_today_have_the_errors_of_their_own_optimizer_and_schedule(optimizer, law, decay, schedule):
    for weight_decay in (0.0, decay):
        recipe = Recipe(optimizer=optimizer, schedule=schedule, weight_decay=weight_decay)
        said = predict(3, 64, recipe=recipe).recommended
        score = recorded(recipe, clean_anchor=True)[law]
        assert (said.law, said.n) == (law, score.n)
        assert f"{optimizer} 0.9, {schedule} rate" in score.source or f"{optimizer}, {schedule} rate" in score.source
        assert score.source in said.why
        low, high = said.factor_interval
        assert (high / low) ** 0.5 == pytest.approx(score.spread)
    assert predict(3, 64, recipe=replace(recipe, weight_decay=0.1)).recommended.n is None


def test_an_error_is_that_of_the_kind_of_network():
    dense, convolutional = (
        answered(asked(Noise(alpha=3.0), Recipe(batch_size=64), network=network)).recommended
        for network in ("dense network", "convolutional network")
    )
    assert dense.n == recorded()["square_root_clean_count"].n
    assert convolutional.n is None
    assert (
        "no errors are on record for a convolutional network (recorded: dense network), so it carries no"
        in convolutional.why
    )


def test_recorded_errors_are_those_of_anchors_with_clean_or_with_noisy_labels():
    clean, noisy = (recorded(clean_anchor=c)["square_root_clean_count"] for c in (True, False))
    assert clean.quantile90_log2 > noisy.quantile90_log2  # from clean labels to noisy ones is a longer way
    for anchor, score in ((None, clean), (Anchor(0.1, 32, 0.0), clean), (Anchor(0.1, 32, 1.0), noisy)):
        said = predict(3, 128, anchor=anchor).recommended
        low, high = said.factor_interval
        assert (high / low) ** 0.5 == pytest.approx(score.spread)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"alpha": 50}, "for α = 50 (recorded: 0 to 31)"),
        ({"batch_size": 512}, "for batches of 512 (recorded: 8 to 128)"),
        ({"num_classes": 1000}, "for K = 1,000 (recorded: 10)"),
        ({"num_classes": 3}, "for K = 3 (recorded: 10)"),
        ({"steps": 100_000}, "for 100,000 steps (recorded: 1000)"),
        ({"examples": 128 * 400}, "for 400 steps (recorded: 1000)"),
        ({"schedule": "cosine"}, "for cosine rates"),
        ({"optimizer": "rmsprop"}, "for rmsprop"),
        ({"recipe": Recipe(weight_decay=0.1)}, "for weight decay 0.1"),
        ({"recipe": Recipe(optimizer="momentum", momentum=0.5)}, "for momentum 0.5"),
        ({"recipe": Recipe(optimizer="momentum", nesterov=True)}, "for Nesterov's momentum"),
        ({"recipe": Recipe(optimizer="momentum"), "steps": 5000}, "for 5,000 steps (recorded: 500)"),
        ({"recipe": Recipe(label_smoothing=0.1, warmup=0.1)}, "for label smoothing 0.1 and a warm-up"),
        ({"noise": "structured", "delta": 0.5}, "for structured noise"),
    ],
    ids=lambda part: next(iter(part)) if isinstance(part, dict) else "",
)
def test_outside_of_the_record_there_is_no_interval_and_the_answer_says_what_is_missing(how, words):
    said = predict(**{"alpha": 3, "batch_size": 128} | how).recommended
    assert (said.factor_interval, said.n) == (None, None)
    assert f"no errors are on record {words}, so it carries no interval" in said.why
    assert predict(3, 128, steps=1000).recommended.factor_interval is not None


# --- other noise ---


def test_a_uniform_matrix_predicts_what_uniform_noise_does():
    uniform, matrix = predict(3, 64, num_classes=4), predict(3, 64, matrix=np.full((4, 4), 0.25))
    for name, law in uniform.learning_rate.items():
        assert law.factor == pytest.approx(matrix.learning_rate[name].factor), name
        assert law.applies == matrix.learning_rate[name].applies
    assert matrix.setting.num_classes == 4
    assert matrix.restoring_batch_size == pytest.approx(uniform.restoring_batch_size)
    assert matrix.labels.loss_floor == pytest.approx(uniform.labels.loss_floor)


@pytest.mark.parametrize(
    ("how", "matrix_at"),
    [
        ({"noise": "structured", "delta": 0.6}, lambda a: structured_noise_matrix(a, 10, 0.6)),
        ({"matrix": SWAP}, lambda a: np.array(SWAP)),
    ],
    ids=["structured", "matrix"],
)
def test_other_noise_enters_the_laws_by_its_effective_alpha(how, matrix_at):
    here, there = (MatrixNoise(a, matrix_at(a)) for a in (5.0, 2.0))
    said = predict(5, 64, anchor=Anchor(0.1, 32, 2.0), **how)
    same = predict(
        here.effective_alpha, 64, anchor=Anchor(0.1, 32, there.effective_alpha), num_classes=here.num_classes
    )
    for name, law in said.learning_rate.items():
        assert law.value == same.learning_rate[name].value, name
        assert ("effective alpha" in law.reason) == law.applies
    assert said.effective_batch_size == same.effective_batch_size
    assert said.labels.noise_rate == here.noise_rate
    assert said.clean_labels_factor is None
    facts = said.to_dict()["noise"]
    assert facts["kind"] == ("structured" if "delta" in how else "matrix")
    assert facts["effective_alpha"] == here.effective_alpha != 5.0
    assert "root-mean-square" in facts["reason"]


def test_classes_that_cannot_be_learned_are_named():
    assert predict(3, 8, matrix=SWAP).to_dict()["noise"]["unlearnable"] == [0]
    assert predict(0.5, 8, matrix=SWAP).to_dict()["noise"]["unlearnable"] == []


def test_clean_labels_are_clean_whatever_the_matrix():
    said = predict(0, 8, matrix=[[0.3, 0.3, 0.4], [0.1, 0.9, 0.0], [0.7, 0.2, 0.1]])
    assert said.labels.effective_alpha == 0
    assert said.recommended.factor == 1


def test_a_noise_rate_is_the_share_of_wrong_labels():
    said = predict(batch_size=64, noise_rate=0.4, num_classes=5)
    assert said.labels.noise_rate == pytest.approx(0.4)
    assert said.recommended == predict(1.0, 64, num_classes=5).recommended  # 0.4 = α (K − 1)/(K (1 + α))
    assert "share is redrawn over all 5 classes, alpha is 0.667" in said.to_dict()["alpha_how"]
    for how in ({"matrix": SWAP, "noise_rate": 0.2}, {"noise": "structured", "delta": 0.7, "noise_rate": 0.4}):
        assert predict(batch_size=64, **how).labels.noise_rate == pytest.approx(how["noise_rate"])


@pytest.mark.parametrize(
    ("noise", "alpha"),
    [(UniformNoise(3.0, 4), 3.0), (MatrixNoise(1.5, np.array(SWAP)), None), (UniformNoise(0.0, 4), 0.0)],
    ids=["uniform", "matrix", "clean"],
)
def test_a_transition_matrix_says_all_that_its_noise_does(noise, alpha):
    said = predict(batch_size=32, transition=noise.transition_matrix())
    assert said.setting.alpha == pytest.approx(noise.effective_alpha if alpha is None else alpha, abs=1e-12)
    for name in ("noise_rate", "loss_floor", "signal", "least_signal"):
        assert getattr(said.labels, name) == pytest.approx(getattr(noise, name), abs=1e-12), name
    assert said.labels.unlearnable == noise.unlearnable
    assert said.to_dict()["noise"]["kind"] == "transition"
    same = predict(said.setting.alpha, 32, num_classes=noise.num_classes)
    assert said.recommended.factor == pytest.approx(same.recommended.factor)


def test_a_transition_matrix_may_never_label_a_class_right():
    swapped = np.array([[0.0, 1, 0], [0.1, 0.9, 0], [0, 0, 1]])
    said = predict(batch_size=32, transition=swapped)
    assert said.labels.transition_matrix() == pytest.approx(swapped, abs=1e-8)
    assert said.labels.unlearnable == (0,)


def test_checked_labels_and_estimates_are_alphas_too():
    assert predict(Estimate(12.0, 9.0, 16.0), 128).to_dict() == predict(12.0, 128, alpha_interval=(9.0, 16.0)).to_dict()
    sample = predict(batch_size=128, checked=200, wrong=66)
    assert sample.alpha_interval == estimate_noise(200, 66, 10).alpha.interval
    counts = predict(batch_size=128, counts=[[45, 5], [16, 34]])
    assert (counts.setting.num_classes, counts.question.alpha.checked) == (2, 100)


def test_a_recipe_and_its_fields_are_the_same_question():
    whole = predict(3, recipe=Recipe(optimizer="adam", steps=40, batch_size=16), noise=Noise("structured", delta=0.5))
    assert whole.to_dict() == predict(3, 16, optimizer="adam", steps=40, noise="structured", delta=0.5).to_dict()
    both = predict(3, 16, recipe=Recipe(steps=40), optimizer="adam")
    assert both.to_dict() == predict(3, 16, optimizer="adam", steps=40).to_dict()


# --- the linearised theory ---


def test_untrained_networks_give_the_rate_and_the_accuracy_of_the_theory():
    spectra = [power_law(scale) for scale in (1.0, 1.5, 0.9)]
    said = with_network(6, 32, steps=200, spectra=spectra, evidence={})
    rates = np.array([best_learning_rate(s, [0.0, 6.0], 32, 200) for s in spectra])
    law = said.learning_rate["linearised"]
    assert law.value == pytest.approx(np.median(rates[:, 1]))
    assert law.factor is None  # the rate at clean labels is not computed for it
    assert law.interval == pytest.approx((rates[:, 1].min(), rates[:, 1].max()))
    assert law.covers == "least to greatest of n = 3 initialisations"
    assert (said.recommended.law, said.recommended.value) == ("linearised", law.value)
    accuracies = [float(learning_curve(s, 6, 32, law.value, 200).accuracy) for s in spectra]
    assert said.accuracy.value == pytest.approx(np.median(accuracies))
    assert (said.accuracy.interval, said.accuracy.n) == (None, 3)
    assert "errors of this theory's accuracies are on no record" in said.accuracy.reason
    said = said.to_dict()
    assert json.loads(json.dumps(said, allow_nan=False)) == said


def test_one_initialisation_has_no_interval():
    said = with_network(6, 32, steps=100, spectra=[power_law()], evidence={})
    assert said.learning_rate["linearised"].interval is None
    assert said.accuracy.interval is None


def test_a_budget_in_examples_is_one_in_steps():
    steps, examples = (with_network(6, 32, spectra=[power_law()], **b) for b in ({"steps": 100}, {"examples": 3200}))
    assert steps.recommended.value == examples.recommended.value
    assert steps.accuracy.value == examples.accuracy.value


def test_with_an_anchor_the_theory_carries_its_rate():
    s = power_law()
    said = with_network(6, 32, steps=100, spectra=[s], anchor=Anchor(0.3, 64, 1.0))
    factor = best_learning_rate(s, 6, 32, 100) / best_learning_rate(s, 1, 64, 100)
    assert said.learning_rate["linearised"].value == pytest.approx(0.3 * factor)
    same = with_network(6, 32, steps=100, spectra=[s], anchor=Anchor(0.3, 32, 6.0))
    assert same.learning_rate["linearised"].value == pytest.approx(0.3)


def test_a_tuned_rate_carried_over_comes_before_the_theory():
    said = with_network(6, 32, steps=100, spectra=[power_law()], anchor=Anchor(0.3, 64, 1.0))
    assert said.recommended.law == "square_root_clean_count"
    assert said.recommended.value == pytest.approx(0.3 * (32 / 7 / 32) ** 0.5)
    assert "a tuned rate carried over comes before the linearised theory" in said.recommended.why
    assert said.accuracy.value is not None  # at that rate, still from the untrained network

    without_anchor = with_network(6, 32, steps=100, spectra=[power_law()]).recommended
    assert without_anchor.law == "linearised"


def test_momentum_multiplies_the_effective_rate():
    plain, heavy = (with_network(6, 32, steps=100, spectra=[power_law()], optimizer=o) for o in ("sgd", "momentum"))
    assert heavy.recommended.value == pytest.approx(0.1 * plain.recommended.value)
    assert heavy.accuracy.value == pytest.approx(plain.accuracy.value)
    half = with_network(6, 32, steps=100, spectra=[power_law()], optimizer="momentum", momentum=0.5)
    assert half.recommended.value == pytest.approx(0.5 * plain.recommended.value)


def test_the_interval_of_alpha_goes_through_the_theory():
    s = power_law()
    said = with_network(6, 32, steps=100, spectra=[s], alpha_interval=(3, 12), evidence={})
    rates = best_learning_rate(s, [3, 6, 12], 32, 100)
    assert said.recommended.interval == pytest.approx((rates.min(), rates.max()))
    assert said.recommended.covers == "the interval of alpha"
    endless = with_network(6, 32, steps=100, spectra=[s], alpha_interval=(3, None))
    assert endless.recommended.interval is None


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "adadelta"])
def test_the_theory_knows_no_adaptive_optimizers(optimizer):
    said = with_network(6, 32, steps=100, spectra=[power_law()], optimizer=optimizer)
    assert not said.learning_rate["linearised"].applies
    assert said.recommended.law != "linearised"
    assert said.accuracy.value is None
    assert said.accuracy.reason == f"the theory is not for {optimizer}"


def test_the_theory_takes_the_noise_matrix_itself(little_images):
    net = zoo.build("perceptron", little_images.image_shape, 3, seed=0)
    x, y = little_images.x_train, little_images.y_train
    spectra = [measure_spectrum(net, x[20:], y[20:], x[:20], y[:20], num_classes=3)]
    uniform = with_network(2, 16, steps=50, spectra=spectra)
    same = with_network(2, 16, steps=50, spectra=spectra, matrix=np.full((3, 3), 1 / 3))
    assert same.recommended.value == pytest.approx(uniform.recommended.value, rel=1e-6)
    assert same.accuracy.value == pytest.approx(uniform.accuracy.value, rel=1e-6)
    confused = [[0.2, 0.8, 0], [0.8, 0.2, 0], [0, 0, 1]]
    said = with_network(0.8, 16, steps=50, spectra=spectra, matrix=confused)
    curve = learning_curve(spectra[0], 0.8, 16, said.recommended.value, 50, noise_matrix=confused)
    assert said.accuracy.value == pytest.approx(float(curve.accuracy))


def test_recorded_errors_widen_what_the_theory_says():
    spectra = [power_law(scale) for scale in (1.0, 1.5, 0.9)]
    bare = with_network(6, 32, steps=200, spectra=spectra, evidence={}).recommended
    said = with_network(
        6, 32, steps=200, spectra=spectra, evidence={"linearised": score(0.4, 1.0, 54, "sweep")}
    ).recommended
    assert said.interval == pytest.approx((bare.interval[0] / 2, bare.interval[1] * 2))
    assert said.covers == "least to greatest of n = 3 initialisations and 90 % of n = 54 recorded errors"
    assert "on n = 54 settings, it missed" in said.why


def test_where_less_is_always_better_the_theory_does_not_apply():
    one = np.ones(1)
    said = with_network(
        6, 32, steps=50, spectra=[Spectrum(one, one, 0 * one, num_classes=10, examples=1)]
    )  # one mode: averaging is best
    assert said.learning_rate["linearised"].reason.startswith("its best rate lies below all that it tries")
    assert said.recommended.law == "square_root_clean_count"
    assert said.accuracy.value is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: predict(-1, 128), "alpha must be at least 0 .*got -1.0"),
        (lambda: predict(math.nan, 128), "alpha must be .*got nan"),
        (lambda: predict(1, 0), "the batch size must be at least 1 .*, got 0"),
        (lambda: predict(1, 12.5), "the batch size must be a whole number, got 12.5"),
        (lambda: predict([1, 2], 8), r"alpha needs to be one number, got \[1, 2\]: ask once for each value"),
        (lambda: predict(1, np.array([8, 16])), r"batch_size needs to be one number, got \[ 8 16\]: ask once for each"),
        (lambda: predict(None, 8, noise_rate=40), "got 40.0: write 0.4 for 40 %"),
        (lambda: predict(1, math.nan), "the batch size must be a whole number, got nan"),
        (lambda: predict(1, 8, num_classes=1), "the number of classes must be at least 2 .*, got 1"),
        (lambda: predict(1, 8, noise="foreign"), "noise 'foreign' is not known; known: uniform, structured"),
        (lambda: predict(1, 8, optimizer="adm"), "the optimizer 'adm' is not known; did you mean 'adam'"),
        (
            lambda: predict(1, 8, noise="structured"),
            "structured noise needs delta.*got structured noise and delta = None",
        ),
        (
            lambda: predict(1, 8, delta=0.5),
            "no other noise takes it, got uniform noise and delta = 0.5: leave delta out",
        ),
        (lambda: predict(1, 8, noise="structured", delta=2), r"delta must lie in \[0, 1\], got 2"),
        (
            lambda: predict(1, 8, noise="structured", delta=0, matrix=SWAP),
            "got structured noise and matrix: leave one out",
        ),
        (lambda: predict(1, 8, order=[[0, 1], [1, 0]]), "order is for structured noise, got it with uniform noise"),
        (lambda: predict(1, 8, matrix=[[1, 1], [0, 1]]), "row 0 sums to 2"),
        (lambda: predict(1, 8, num_classes=10, matrix=SWAP), "got 10 by num_classes, 3 by the matrix"),
        (lambda: predict(1, 8, matrix=[[0, 1], [1, 0]]), "carry no signal at alpha = 1"),
        (lambda: predict(5, 8, alpha_interval=(6, 9)), "hold alpha = 5, got 6 to 9"),
        (lambda: predict(5, 8, alpha_interval=(2, 4)), "hold alpha = 5, got 2 to 4"),
        (lambda: predict(5, 8, alpha_interval=(-1, 9)), "start at 0 or above .*got -1 to 9"),
        (lambda: predict(5, 8, alpha_interval=(math.nan, 9)), "got nan to 9"),
        (lambda: predict(5, 8, alpha_interval=(1, math.inf)), "got 1 to inf"),
        (lambda: predict(5, 8, spectra=[power_law()]), "spectra has moved to advise, which takes a network and data"),
        (lambda: predict(5, 8, short_runs=0.1), "short_runs has moved to advise"),
        (lambda: predict(5, 8, optimiser="adam"), "the keyword 'optimiser' is not known; did you mean 'optimizer'"),
        (lambda: predict(5, 8, steps=9, recipe=Recipe(steps=10)), "steps was given twice, got 10 and 9"),
        (lambda: predict(5, 8, noise=Noise(alpha=3)), "alpha was given twice, got 3 and 5"),
        (lambda: predict(5, 8, epochs=3), "laws need a budget in steps or examples, got epochs"),
        (lambda: predict(5), "a prediction needs a batch size, got none"),
        (lambda: predict(batch_size=8), "a prediction needs alpha, got none: give alpha, noise_rate"),
        (lambda: predict(5, 8, noise_rate=0.5), "how many labels are wrong, got alpha and the noise rate"),
        (lambda: predict(batch_size=8, noise_rate=0.9), r"below \(K − 1\)/K = 0.9"),
        (lambda: predict(batch_size=8, noise_rate=0.7, matrix=SWAP), r"below 0.333333, .*got 0.7"),
        (lambda: predict(5, 8, transition=SWAP), "how many labels are wrong, got alpha and the transition matrix"),
        (lambda: predict(batch_size=8, transition=SWAP, matrix=SWAP), "got matrix and transition: leave one out"),
        (lambda: predict(batch_size=8, transition=[[0, 1], [0, 1]]), "carry no signal"),
        (
            lambda: predict(5, 8, noise="structured", delta=1, order="random"),
            "'random' needs a data set, got none",
        ),
        (lambda: predict(5, 8, noise="structured", delta=1, order="randon"), "did you mean 'random'"),
        (lambda: predict(1, 8, parameters={"surg": {}}), "no law is called 'surg'; did you mean 'surge'"),
        (lambda: predict(1, 8, evidence={"lineal": score(1, 1, 1, "")}), "'lineal'; did you mean 'linear'"),
        (lambda: Anchor(0.0, 8), "the anchor's learning rate must be above 0 .*, got 0.0"),
        (lambda: Anchor(0.1, 0), "the anchor's batch size must be at least 1 .*, got 0"),
        (lambda: Anchor(0.1, 8, -2.0), "the anchor's alpha must be at least 0 .*, got -2.0"),
        (lambda: score(0.1, math.nan, 5, ""), "90th percentile .*, got nan"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
