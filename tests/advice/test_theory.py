"""Advice without training: against the theory and the laws that it is made of, and where it stays silent."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import effbatch
from effbatch.advice.noise import Noise
from effbatch.advice.prediction import answered
from effbatch.advice.question import asked
from effbatch.advice.untrained import Untrained, accuracy_answer, rate_answer
from effbatch.core.pages import Page
from effbatch.data import datasets
from effbatch.data.held_out import with_held_out
from effbatch.laws.base import OPTIMIZERS
from effbatch.measure.kernel import measure_spectrum
from effbatch.networks import zoo
from effbatch.noise import MatrixNoise, structured_noise_matrix
from effbatch.noise.class_orders import class_order
from effbatch.plan.recipe import Recipe
from effbatch.show.terminal import as_text
from effbatch.show.views.advice import advice_page
from effbatch.theory import schedules
from effbatch.theory.dynamics import best_learning_rate, learning_curve
from effbatch.theory.gains import gains_cap
from effbatch.theory.schedules import SCHEDULES
from effbatch.validation.setup import initial_spectrum

SIZES = (8, 32)
CONFUSED = [[0.2, 0.8, 0], [0.7, 0.3, 0], [0, 0, 1]]


@pytest.fixture(scope="module")
def file(little_images, tmp_path_factory):
    """The little images as a user brings them."""
    path = tmp_path_factory.mktemp("data") / "little.npz"
    d = little_images
    np.savez(path, x_train=d.x_train, y_train=d.y_train, x_test=d.x_test, y_test=d.y_test)
    return str(path)


@pytest.fixture(scope="module")
def network(little_images) -> nn.Module:
    return zoo.build("perceptron", little_images.image_shape, 3, seed=0)


@pytest.fixture(scope="module")
def spectrum(little_images, network):
    return measure_spectrum(network, *with_held_out(little_images), num_classes=3)


@pytest.fixture(scope="module")
def ask(little_images, network):
    """Advice without training for one untrained network at batch size 16 and 50 steps, unless said otherwise."""

    def asked_for(*given, **how):
        given = given or (network, little_images)
        usual = {"steps": 50, "batch_sizes": (16,), "labels": "clean", "alpha": 1.0, "training": False}
        return effbatch.advise(*given, **usual | how)

    return asked_for


def test_it_is_the_prediction_at_every_batch_size_and_the_best_of_them(ask, file):
    advice = ask("perceptron", file, alpha=4.0, alpha_interval=(3.0, 6.0), steps=60, batch_sizes=SIZES)
    recipe, noise = Recipe(steps=60), Noise(alpha=4.0, alpha_interval=(3.0, 6.0))
    data = datasets.load(file)
    theory = Untrained([initial_spectrum("perceptron", data, seed=seed) for seed in range(4)], recipe)
    best = 0.0
    for ours, size in zip(advice.answers, SIZES, strict=True):
        question = asked(noise, Recipe(steps=60, batch_size=size), num_classes=3)
        chosen = answered(question, {"linearised": rate_answer(theory, question)}).recommended
        assert (ours.law, ours.learning_rate.value, ours.learning_rate.interval) == (
            "linearised", chosen.value, chosen.interval,
        )  # fmt: skip
        assert ours.accuracy == accuracy_answer(theory, question, chosen.value)
        best = max(best, ours.accuracy.value)
    assert advice.accuracy == best
    assert advice.cost.full_runs == 0


def test_an_accuracy_of_the_theory_has_no_interval_as_its_errors_are_on_no_record(ask, file):
    accuracy = ask("perceptron", file).chosen.accuracy
    assert accuracy.n == 4
    assert (accuracy.interval, accuracy.level) == (None, None)
    assert "on no record" in accuracy.reason
    assert "(no interval), n = 4 initialisations;" in " ".join(str(ask("perceptron", file)).split())


def test_batch_sizes_within_a_point_are_named(ask, file):
    close = ask("perceptron", file, steps=None, examples=640, batch_sizes=(16, 17, 640))
    assert set(close.as_good) == {16, 17}
    assert close.steps in (40, 38)


def test_one_untrained_module_is_one_initialisation(ask):
    assert ask().chosen.learning_rate.n in (1, 32)  # or the cells of the record
    assert ask().chosen.accuracy.n == 1


def test_a_function_and_arrays_are_as_good_as_names(ask, little_images, file):
    data = little_images
    arrays = (data.x_train, data.y_train, data.x_test, data.y_test)

    def make() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

    by_name, own = ask("perceptron", file), ask(make, arrays)
    assert (own.network, own.data.name, own.data.shape) == ("make", "arrays", (1, 8, 8))
    assert own.learning_rate == pytest.approx(by_name.learning_rate)
    assert own.accuracy == pytest.approx(by_name.accuracy)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
def test_adam_falls_back_on_its_law_and_says_so(ask, file, optimizer):
    said = ask("perceptron", file, alpha=3.0, optimizer=optimizer, batch_sizes=(64, 8))
    assert said.batch_size == 64
    assert said.learning_rate is None
    assert (said.chosen.law, said.chosen.factor.value) == ("adaptive", pytest.approx(4**-0.75))
    assert "cannot be told" in said.why
    assert f"learning_rate = {4**-0.75:.3g} * float(input(" in said.snippet
    reason = f"it needs real runs: the linearised theory is for sgd and momentum, not for {optimizer}"
    assert said.chosen.accuracy.reason == reason
    assert "theory" not in " ".join(said.limits)  # which answered nothing here
    rate = said.to_dict()["learning_rate"]
    assert (rate["value"], rate["factor"]["value"]) == (None, pytest.approx(4**-0.75))
    assert rate["reason"] == "only the factor on the rate best with clean labels is known"
    assert "times the rate best on clean labels" in " ".join(str(said).split())


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_code_runs_as_printed_and_asks_for_the_clean_rate_where_only_a_factor_is_known(
    ask, little_images, optimizer, schedule, monkeypatch
):
    said = ask(optimizer=optimizer, schedule=schedule, warmup=0.1 * (schedule != "one_cycle"))
    asked_for: list[str] = []
    monkeypatch.setattr("builtins.input", lambda question: asked_for.append(question) or "0.01")
    data = TensorDataset(torch.tensor(little_images.x_train), torch.tensor(little_images.y_train))
    names = {"train_set": data, "network": zoo.build("perceptron", little_images.image_shape, 3, seed=0)}
    exec(_code(advice_page(said, everything=True)), names)  # the whole loop
    names |= {"torch": torch, "lr_scheduler": torch.optim.lr_scheduler}
    exec(_code(advice_page(said)), names)  # the lines that a screen has room for
    peak = said.learning_rate if said.chosen.factor is None else 0.01 * said.chosen.factor.value
    begins = schedules.multipliers(schedule, said.steps, warmup=0.1 * (schedule != "one_cycle"))[0]
    assert names["optimizer"].param_groups[0]["lr"] == pytest.approx(peak * begins, rel=0.01)
    assert asked_for == ["Rate on clean labels, B = 16: "] * (0 if said.learning_rate else 2)


def _code(page: Page) -> str:
    """The code of an advice, as its page shows it in a terminal, without the margin."""
    return textwrap.dedent(as_text(page).rpartition("In PyTorch")[2].partition("\n")[2])


def test_an_optimiser_of_ones_own_needs_training(ask):
    with pytest.raises(effbatch.core.errors.InputError, match=r"laws are for sgd, .*, got mine:make"):
        ask(optimizer="mine:make")


def test_no_kernel_is_computed_where_it_would_take_minutes(ask, monkeypatch):
    def make() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 64, 3), nn.Conv2d(64, 64, 3), nn.Flatten(), nn.Linear(1024, 3))

    data = (torch.zeros(60, 1, 8, 8).normal_().numpy(), np.arange(60) % 3) * 2
    monkeypatch.setattr("effbatch.measure.kernel.measure_spectrum", lambda *_, **__: pytest.fail("it was computed"))
    said = ask(make, data)
    assert said.chosen.law == "square_root_clean_count"
    assert said.chosen.accuracy.value is None
    assert "the kernel of this network would take" in said.chosen.accuracy.reason


def test_a_tuned_rate_is_carried_over_and_the_theory_stands_beside_it(ask):
    said = ask(alpha=3.0, anchor=effbatch.Anchor(0.2, 16))
    assert said.chosen.law == "square_root_clean_count"
    assert said.learning_rate == pytest.approx(0.2 * 4**-0.5)
    assert said.accuracy is not None


def test_a_matrix_and_its_transition_are_the_same_noise(ask, spectrum):
    labels = MatrixNoise(1.5, np.array(CONFUSED))
    given = ask(alpha=1.5, matrix=CONFUSED)
    rate = float(best_learning_rate(spectrum, 1.5, 16, 50, noise_matrix=labels.matrix))
    assert given.learning_rate == pytest.approx(rate)
    curve = learning_curve(spectrum, 1.5, 16, rate, 50, noise_matrix=labels.matrix)
    assert given.accuracy == pytest.approx(float(curve.accuracy))
    same = ask(alpha=None, transition=labels.transition_matrix())
    assert same.learning_rate == pytest.approx(rate, rel=1e-6)
    assert same.accuracy == pytest.approx(given.accuracy, abs=1e-6)
    assert same.alpha.value == pytest.approx(labels.effective_alpha)
    assert same.pay.cleaner.gain.value == pytest.approx(given.pay.cleaner.gain.value, abs=1e-6)
    assert same.pay.cleaner.d_factor == pytest.approx(given.pay.cleaner.d_factor)


def test_the_order_of_false_labels_is_that_of_the_data(ask, little_images, spectrum):
    said = ask(noise="structured", delta=0.9, order="random")
    order = class_order(little_images, "random")
    matrix = structured_noise_matrix(1.0, 3, 0.9, order=order)
    curve = learning_curve(spectrum, 1.0, 16, said.learning_rate, 50, noise_matrix=matrix)
    assert said.accuracy == pytest.approx(float(curve.accuracy))
    assert said.accuracy == ask(noise="structured", delta=0.9, order=order).accuracy


def test_schedule_and_warm_up_reach_the_theory(ask, spectrum):
    cosine = ask(schedule="cosine")
    assert cosine.learning_rate == pytest.approx(float(best_learning_rate(spectrum, 1.0, 16, 50, schedule="cosine")))
    warm = ask(recipe=effbatch.Recipe(warmup=0.2))
    assert warm.learning_rate != ask().learning_rate
    assert warm.to_dict()["learning_rate"]["level"] is None


def test_what_theory_and_laws_leave_out_is_a_limit(ask):
    said = ask(recipe=effbatch.Recipe(weight_decay=5e-4, label_smoothing=0.1, clip=1.0))
    left_out = "weight decay 0.0005, label smoothing 0.1, gradients clipped at 1: theory and laws know nothing of it"
    assert left_out in said.limits
    assert said.limits[0].startswith("nothing was trained")
    many = ask(steps=50, batch_sizes=(16,))
    assert any(f"every example would be used {many.passes:.3g} times" in limit for limit in many.limits)
    assert not any("would be used" in limit for limit in ask(steps=2, batch_sizes=(4,)).limits)


@pytest.mark.parametrize("labels", ["clean", "noisy"])
def test_labels_that_are_noisy_are_taken_as_right_and_the_answer_says_so_first(ask, labels):
    said = ask(labels=labels)
    assert said.to_dict()["accuracy"]["of"] == f"{labels} labels"
    assert said.limits[0].startswith("the theory takes the labels as right" if labels == "noisy" else "nothing was")
    assert ("but they are noisy" in " ".join(str(said).split())) == (labels == "noisy")


def test_without_an_upper_limit_of_alpha_there_is_no_interval(ask, file):
    said = ask("perceptron", file, alpha=None, labels="noisy", checked=20, wrong=12)
    assert said.chosen.learning_rate.interval is None
    assert f"learning rate {said.learning_rate:.3g} (no interval)" in " ".join(str(said).split())


def test_the_figures_are_those_of_batch_sizes_and_labels(ask, file):
    assert effbatch.plot(ask("perceptron", file, batch_sizes=SIZES)).names == ["batch_size", "labels"]


class Faint(nn.Module):
    """A network that normalises and passes on a tenth: the linearised theory has its rate far above any that works."""

    def __init__(self, *, gains: bool = True) -> None:
        super().__init__()
        norm = nn.LayerNorm(8, elementwise_affine=gains)
        self.layers = nn.Sequential(nn.Flatten(), nn.LazyLinear(8), norm, nn.ReLU(), nn.Linear(8, 3))

    def forward(self, images):
        return 0.1 * self.layers(images)


def faint(data, **how) -> nn.Module:
    torch.manual_seed(0)
    network = Faint(**how)
    network(torch.as_tensor(data.x_train[:2]))
    return network


@pytest.mark.parametrize("alpha", [0.0, 3.0])
@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_networks_that_normalise_get_no_rate_near_the_one_that_loses_them(ask, little_images, alpha, momentum):
    how = {"optimizer": "momentum", "momentum": momentum} if momentum else {}
    said, cap = ask(lambda: faint(little_images), little_images, alpha=alpha, **how), gains_cap(3, momentum)
    assert said.chosen.learning_rate.n == 4
    assert said.learning_rate == pytest.approx(cap / 2 / np.sqrt(1 + alpha))
    assert said.chosen.learning_rate.interval is None
    assert any(f"lose such networks from a rate of about {cap:.2g} on" in limit for limit in said.limits)


@pytest.mark.parametrize(
    ("gains", "how"),
    [(False, {}), (True, {"optimizer": "momentum", "nesterov": True})],
    ids=["no-gains", "nesterov"],
)
def test_where_no_cap_is_known_it_says_so_and_caps_nothing(ask, little_images, gains, how):
    network = faint(little_images, gains=gains)
    said = ask(network, little_images, **how)
    spectrum = measure_spectrum(network, *with_held_out(little_images), num_classes=3)
    momentum = 0.9 if how else 0.0
    assert said.learning_rate == pytest.approx(float(best_learning_rate(spectrum, 1.0, 16, 50, momentum=momentum)))
    assert any("no cap is known" in limit for limit in said.limits)


def test_networks_that_do_not_normalise_hear_nothing_of_it(ask):
    assert not any("normalise:" in limit for limit in ask().limits)
