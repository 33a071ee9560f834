"""Advice for labels that are clean or noisy, other noise than uniform, an anchor; and the shape of its JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from torch import nn

import effbatch
from effbatch.advice.answers import Advice
from effbatch.audit import estimate_from_counts
from effbatch.cli import main
from effbatch.core.errors import InputError
from effbatch.data.held_out import with_held_out
from effbatch.measure.kernel import measure_spectrum
from effbatch.networks import zoo
from effbatch.noise import MatrixNoise, structured_noise_matrix
from effbatch.noise.class_orders import class_order
from effbatch.theory.dynamics import best_learning_rate, learning_curve

CONFUSED = [[0.2, 0.8, 0], [0.7, 0.3, 0], [0, 0, 1]]
COUNTS = [[20, 4, 1], [3, 18, 2], [5, 1, 22]]


@pytest.fixture(scope="module")
def network(little_images) -> nn.Module:
    return zoo.build("perceptron", little_images.image_shape, 3, seed=0)


@pytest.fixture(scope="module")
def ask(little_images, network):
    """Advice for one untrained network at batch size 16 and 50 steps, unless said otherwise."""

    def asked(**how) -> Advice:
        return effbatch.advise(network, little_images, **{"steps": 50, "batch_sizes": (16,), "labels": "clean"} | how)

    return asked


@pytest.fixture(scope="module")
def spectrum(little_images, network):
    return measure_spectrum(network, *with_held_out(little_images), num_classes=3)


# --- clean or noisy ---


@pytest.mark.parametrize(
    ("how", "are"),
    [
        ({"labels": "clean", "alpha": 2.0}, "clean"),
        ({"labels": "noisy", "alpha": 2.0}, "noisy"),
        ({"labels": None, "checked": 40, "wrong": 20}, "noisy"),
        ({"labels": "clean", "checked": 40, "wrong": 20}, "clean"),
        ({"labels": None, "counts": COUNTS}, "noisy"),
        ({"labels": None}, "noisy"),
    ],
    ids=["clean", "noisy", "checked", "checked, clean", "counts", "nothing known"],
)
def test_own_labels_are_what_was_said_or_what_checks_imply(ask, how, are):
    said = ask(**how)
    assert said.labels_are == are
    assert said.to_dict()["accuracy"]["of"] == f"{are} labels"
    assert any("but they are noisy" in limit for limit in said.limits) == (are == "noisy")


@pytest.mark.parametrize(
    "how",
    [
        {"alpha": 2.0},
        {"noise_rate": 0.3},
        {"alpha_interval": (1.0, 3.0)},
        {"transition": np.full((3, 3), 0.2) + 0.4 * np.eye(3)},
    ],
    ids=lambda how: next(iter(how)),
)
def test_with_a_level_of_noise_alone_own_labels_need_a_word(ask, how):
    with pytest.raises(InputError, match=r"alone: give --labels clean or --labels noisy, in Python labels=\"clean\""):
        ask(labels=None, **how)


def test_built_in_labels_are_clean_whatever_is_known_of_alpha():
    said = effbatch.advise("perceptron", "digits", checked=40, wrong=20, steps=20, batch_sizes=(8,))
    assert said.labels_are == "clean"
    with pytest.raises(InputError, match="the labels of digits are clean, got labels = 'noisy'"):
        effbatch.advise("perceptron", "digits", labels="noisy", alpha=1, steps=20)


def test_counts_are_a_sample_of_checked_labels(ask):
    known = ask(counts=COUNTS).alpha
    sample = estimate_from_counts(COUNTS).sample
    assert (known.value, known.interval, known.checked) == (sample.alpha.value, sample.alpha.interval, 76)


# --- other noise, recipes, anchors ---


def test_a_matrix_and_its_transition_are_the_same_noise(ask, spectrum):
    labels = MatrixNoise(1.5, np.array(CONFUSED))
    given = ask(alpha=1.5, matrix=CONFUSED)
    rate = float(best_learning_rate(spectrum, 1.5, 16, 50, noise_matrix=labels.matrix))
    assert given.learning_rate == pytest.approx(rate)
    curve = learning_curve(spectrum, 1.5, 16, rate, 50, noise_matrix=labels.matrix)
    assert given.accuracy == pytest.approx(float(curve.accuracy))
    same = ask(transition=labels.transition_matrix())
    assert same.learning_rate == pytest.approx(rate, rel=1e-6)
    assert same.accuracy == pytest.approx(given.accuracy, abs=1e-6)
    assert same.alpha.value == pytest.approx(labels.effective_alpha)
    assert same.labels.cleaner.gain.value == pytest.approx(given.labels.cleaner.gain.value, abs=1e-6)
    assert same.labels.cleaner.d_factor == pytest.approx(given.labels.cleaner.d_factor)


def test_the_order_of_false_labels_is_that_of_the_data(ask, little_images, spectrum):
    said = ask(alpha=1.0, noise="structured", delta=0.9, order="random")
    order = class_order(little_images, "random")
    matrix = structured_noise_matrix(1.0, 3, 0.9, order=order)
    curve = learning_curve(spectrum, 1.0, 16, said.learning_rate, 50, noise_matrix=matrix)
    assert said.accuracy == pytest.approx(float(curve.accuracy))
    assert said.accuracy == ask(alpha=1.0, noise="structured", delta=0.9, order=order).accuracy


def test_schedule_and_warm_up_reach_the_theory(ask, spectrum):
    cosine = ask(alpha=1.0, schedule="cosine")
    assert cosine.learning_rate == pytest.approx(float(best_learning_rate(spectrum, 1.0, 16, 50, schedule="cosine")))
    warm = ask(alpha=1.0, recipe=effbatch.Recipe(warmup=0.2), labels="clean")
    assert warm.learning_rate != ask(alpha=1.0).learning_rate
    assert any("recorded for plain sgd at a constant rate on uniform noise only" in limit for limit in warm.limits)
    assert warm.to_dict()["learning_rate"]["level"] is None


def test_epochs_are_passes_over_the_training_images(ask, little_images):
    images = len(little_images.y_train)
    said = ask(alpha=1.0, recipe=effbatch.Recipe(epochs=3), steps=None)
    assert said.steps == -(-3 * images // 16)


def test_what_the_theory_leaves_out_is_a_limit(ask):
    said = ask(alpha=1.0, recipe=effbatch.Recipe(weight_decay=5e-4, label_smoothing=0.1, clip=1.0))
    assert (
        "weight decay 0.0005, label smoothing 0.1, gradients clipped at 1: the theory knows nothing of it"
        in said.limits
    )
    with pytest.raises(InputError, match="a probe trains with plain sgd at a constant rate on uniform noise"):
        ask(alpha=1.0, recipe=effbatch.Recipe(weight_decay=5e-4), probe=True)


def test_a_tuned_rate_is_carried_over_and_the_theory_stands_beside_it(ask):
    said = ask(alpha=3.0, anchor=effbatch.Anchor(0.2, 16))
    assert said.chosen.recommended.law == "square_root_clean_count"
    assert said.learning_rate == pytest.approx(0.2 * 4**-0.5)
    assert said.chosen.learning_rate["linearised"].factor is not None
    assert said.accuracy is not None


def test_a_probe_that_cannot_tell_leaves_the_rate_to_the_theory(ask, monkeypatch):
    from effbatch.probe import plain_runs as runs
    from effbatch.probe.plain_rule import Probe

    monkeypatch.setattr(runs, "probe_learning_rate", lambda *_, **__: Probe(np.nan, (), 1.25))
    said = ask(alpha=1.0, probe=True)
    assert said.chosen.recommended.law == "linearised"
    assert "cannot tell: the short runs score every learning rate alike" in said.chosen.learning_rate["probe"].reason
    assert (said.probe.done, said.cost.full_runs) == (False, 1.25)


# --- JSON ---


def test_json_has_the_shape_that_was_promised(ask, little_images):
    said = ask(alpha=3.0, alpha_interval=(2.0, 5.0), batch_sizes=(8, 16)).to_dict()
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert said["data"] == {
        "name": "little", "examples": len(little_images.y_train), "shape": [1, 8, 8], "num_classes": 3,
        "read_as": little_images.in_words,
    }  # fmt: skip
    assert said["labels"]["are"] == "clean"
    assert said["labels"]["alpha"] == {"value": 3.0, "interval": [2.0, 5.0], "how": "interval as given", "checked": 0}
    assert {"optimizer": "sgd", "schedule": "constant", "weight_decay": 0.0, "steps": 50}.items() <= said[
        "recipe"
    ].items()
    rate, accuracy = said["learning_rate"], said["accuracy"]
    assert (rate["level"], rate["plateau"], rate["law"]) == (0.9, None, "linearised")
    assert rate["reason"].startswith("plateau is null: ")
    assert rate["interval"][0] < rate["value"] < rate["interval"][1]
    assert accuracy["majority"] == pytest.approx(np.bincount(little_images.y_train).max() / len(little_images.y_train))
    assert (said["stop_at"], said["reason"][:15]) == (None, "stop_at is null")
    assert said["cost"] == {"full_runs": 0.0, "seconds": 0.0}
    assert [one["batch_size"] for one in said["batch_sizes"]] == [8, 16]
    (chosen,) = (one for one in said["batch_sizes"] if one["batch_size"] == said["recipe"]["batch_size"])
    assert (chosen["learning_rate"], chosen["accuracy"]) == (rate, accuracy)
    assert {"elasticities", "more", "cleaner", "equal_share"} == said["labels_pay"].keys()


def test_a_factor_is_no_rate_and_says_why():
    said = effbatch.advise("perceptron", "digits", alpha=3.0, steps=50, optimizer="adam").to_dict()["learning_rate"]
    assert said["value"] is None
    assert said["factor"] == pytest.approx(4**-0.75)
    assert said["reason"].startswith("value is null: only the factor on the rate best with clean labels is known")


def test_the_command_takes_what_the_function_does(tmp_path):
    np.savetxt(tmp_path / "counts.csv", np.eye(10, dtype=int) * 9 + 1, delimiter=",", fmt="%d")
    command = "advise perceptron digits --examples 400 --batch 8 --schedule cosine --anchor-lr 0.1 --anchor-batch 32"
    result = CliRunner().invoke(main, [*command.split(), "--counts", str(tmp_path / "counts.csv"), "--json"])
    assert result.exit_code == 0, result.output
    direct = effbatch.advise(
        "perceptron", "digits", examples=400, batch_sizes=(8,), schedule="cosine",
        counts=np.eye(10) * 9 + 1, anchor=effbatch.Anchor(0.1, 32),
    )  # fmt: skip
    assert json.loads(result.output) == json.loads(json.dumps(direct.to_dict()))
