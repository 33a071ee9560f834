"""Advice against the theory it is made of, its snippet by running it, its page by reading it, and its refusals."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.utils.data import TensorDataset

import effbatch
from effbatch.advice.evidence import recorded
from effbatch.advice.labels_pay import labels_worth
from effbatch.advice.law_answers import PROBE, silent
from effbatch.advice.noise import Noise, audits
from effbatch.advice.question import Anchor, asked
from effbatch.advice.untrained import Linearised, predicted
from effbatch.audit import estimate_noise
from effbatch.cli import main
from effbatch.core.errors import InputError
from effbatch.noise import UniformNoise
from effbatch.plan.recipe import Recipe
from effbatch.probe import plain_runs as runs
from effbatch.theory import schedules
from effbatch.theory.detection import accuracy_curve, d_prime
from effbatch.theory.dynamics import best_learning_rate, learning_curve
from effbatch.theory.spectrum import Spectrum
from effbatch.validation.setup import initial_spectrum

SIZES = (8, 32)


@pytest.fixture(scope="module")
def file(little_images, tmp_path_factory):
    """The little images as a user brings them."""
    path = tmp_path_factory.mktemp("data") / "little.npz"
    d = little_images
    np.savez(path, x_train=d.x_train, y_train=d.y_train, x_test=d.x_test, y_test=d.y_test)
    return str(path)


@pytest.fixture(scope="module")
def advice(file):
    return effbatch.advise(
        "perceptron", file, labels="clean", alpha=4.0, alpha_interval=(3.0, 6.0), steps=60, batch_sizes=SIZES
    )


@pytest.fixture(scope="module")
def spectra(file):
    return [initial_spectrum("perceptron", file, seed=seed) for seed in range(4)]


# --- the choice ---


def with_network(spectra, noise: Noise, recipe: Recipe, anchor: Anchor | None = None):
    """The prediction at the batch size of the recipe, from these spectra and without a probe."""
    question = asked(noise, recipe, num_classes=spectra[0].num_classes, anchor=anchor)
    return predicted(question, Linearised(spectra, recipe), silent("", PROBE))


def test_it_is_the_prediction_at_every_batch_size_and_the_best_of_them(advice, spectra):
    noise = Noise(alpha=4.0, alpha_interval=(3.0, 6.0))
    said = [with_network(spectra, noise, Recipe(steps=60, batch_size=size)) for size in SIZES]
    for ours, direct in zip(advice.predictions, said, strict=True):
        assert ours.recommended == direct.recommended
        assert ours.accuracy == direct.accuracy
    best = max(said, key=lambda p: p.accuracy.value)
    assert (advice.batch_size, advice.learning_rate) == (best.setting.batch_size, best.recommended.value)
    assert advice.accuracy == best.accuracy.value


def test_batch_sizes_within_a_point_are_named(file):
    close = effbatch.advise("perceptron", file, labels="clean", alpha=1.0, examples=640, batch_sizes=(16, 17, 640))
    assert set(close.as_good) == {16, 17}
    assert close.steps in (40, 38)
    assert "Within one point of it: B = 16, 17." in str(close)


def test_one_untrained_module_has_no_spread_over_initialisations(little_images):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    said = effbatch.advise(module, little_images, labels="clean", alpha=2.0, steps=50, batch_sizes=(16,))
    assert said.chosen.accuracy.n == 1
    assert said.labels.more.gain.n == 1
    assert said.labels.more.gain.interval is None


def test_a_function_and_arrays_are_as_good_as_names(little_images, file):
    data = little_images
    arrays = (data.x_train, data.y_train, data.x_test, data.y_test)

    def make() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

    by_name = effbatch.advise("perceptron", file, labels="clean", alpha=2.0, steps=50, batch_sizes=(16,))
    own = effbatch.advise(make, arrays, labels="clean", alpha=2.0, steps=50, batch_sizes=(16,))
    assert (own.network, own.data.name, own.data.shape) == ("make", "arrays", (1, 8, 8))
    assert own.learning_rate == pytest.approx(by_name.learning_rate)
    assert own.accuracy == pytest.approx(by_name.accuracy)


# --- what is known of alpha ---


def test_knowledge_of_alpha_is_taken_as_it_comes():
    assert Noise(alpha=3.0).known(10).interval is None
    middle = Noise(alpha_interval=(1.0, 7.0)).known(10)
    assert middle.value == pytest.approx(3.0)  # 1 + α = √(2 · 8)
    nothing = Noise().known(10)
    assert nothing.interval == (0.0, 9.0)
    assert "81 % wrong" in nothing.how
    sample = Noise(checked=200, wrong=66).known(10)
    direct = estimate_noise(200, 66, 10).alpha
    assert (sample.value, sample.interval) == (direct.value, direct.interval)


def test_audits_narrow_the_interval_and_only_larger_ones_are_offered():
    known = Noise(checked=150, wrong=60).known(10)
    offered = audits(known, 10)
    assert [audit.checked for audit in offered] == [400, 1600]
    assert offered[0].wrong == 160
    widths = [high - low for low, high in (known.interval, *(audit.alpha.interval for audit in offered))]
    assert widths == sorted(widths, reverse=True)
    assert audits(Noise(alpha=2.0).known(10), 10) == ()


# --- more labels or cleaner labels ---


def test_changes_of_d_are_those_of_the_forced_choice():
    K, n, kappa, alpha = 10, 500.0, 0.1, 4.0  # n labels in all

    def d(n: float, alpha: float) -> float:
        return float(d_prime(accuracy_curve(n / (1 + alpha), alpha, kappa, K), K))

    worth = labels_worth(Linearised([], Recipe(steps=100)), UniformNoise(alpha, K), 16, reason="not asked")
    assert d(2 * n, alpha) / d(n, alpha) == pytest.approx(worth.more.d_factor)
    assert d(n, worth.cleaner.alpha) / d(n, alpha) == pytest.approx(worth.cleaner.d_factor)
    clean_share = 1 / (1 + alpha) + worth.equal_share * alpha / (1 + alpha)
    assert d(n, 1 / clean_share - 1) == pytest.approx(d(2 * n, alpha))
    assert worth.more.gain.value is None
    assert worth.more.gain.reason == "not asked"


def test_gains_are_differences_of_the_theory(spectra):
    worth = labels_worth(Linearised(spectra, Recipe(steps=60)), UniformNoise(4.0, 3), 16, reason=None)

    def at(spectrum: Spectrum, alpha: float, steps: int) -> float:
        rate = best_learning_rate(spectrum, alpha, 16, steps)
        return float(learning_curve(spectrum, alpha, 16, rate, steps).accuracy)

    gains = [at(s, 1 / (0.2 + 0.08) - 1, 60) - at(s, 4.0, 60) for s in spectra]
    assert worth.cleaner.gain.value == pytest.approx(np.median(gains))
    assert worth.cleaner.gain.interval == pytest.approx((min(gains), max(gains)))


@pytest.mark.parametrize(("alpha", "share"), [(0.0, None), (0.4, None), (0.5, pytest.approx(0.828, abs=1e-3))])
def test_little_noise_makes_relabelling_worth_less_than_more_labels(alpha, share):
    assert labels_worth(Linearised([], Recipe(steps=10)), UniformNoise(alpha, 3), 8, reason="").equal_share == share


# --- outside the theory ---


def test_adam_falls_back_on_its_law_and_says_so(file):
    said = effbatch.advise(
        "perceptron", file, labels="clean", alpha=3.0, steps=50, optimizer="adam", batch_sizes=(64, 8)
    )
    assert said.batch_size == 64
    assert said.learning_rate is None
    assert said.chosen.recommended.law == "adaptive"
    assert "cannot be told" in said.why
    assert f"lr={4**-0.75:.3g} * clean_learning_rate" in said.snippet
    assert any("not for adam" in limit for limit in said.limits)
    assert "learning_rate" not in effbatch.plot(said).names
    assert "times the rate best on clean labels" in " ".join(str(said).split())


def test_limits_name_passes_and_settings_beyond_the_record(advice, file):
    assert advice.passes == pytest.approx(advice.batch_size * 60 / 60)
    assert any(f"every image of these data would be used {advice.passes:.3g} times" in limit for limit in advice.limits)
    far = effbatch.advise("perceptron", file, labels="clean", alpha=1.0, steps=2, batch_sizes=(4,))
    assert any("beyond where errors of the theory were recorded" in limit for limit in far.limits)
    assert not any("would be used" in limit for limit in far.limits)


# --- what it looks like ---


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(steps=80),
        Recipe(steps=80, optimizer="momentum"),
        Recipe(steps=80, optimizer="momentum", nesterov=True, schedule="cosine", warmup=0.1),
        Recipe(steps=80, schedule="step", weight_decay=1e-4, label_smoothing=0.1, clip=5.0),
        Recipe(steps=80, schedule="one_cycle"),
    ],
    ids=["sgd", "momentum", "cosine", "step", "one_cycle"],
)
def test_the_snippet_trains(recipe, little_images):
    data = little_images
    said = effbatch.advise("perceptron", data, labels="clean", alpha=0.0, batch_sizes=(16,), recipe=recipe)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    torch.manual_seed(0)
    names = {"train_set": TensorDataset(torch.tensor(data.x_train), torch.tensor(data.y_train)), "network": network}
    exec(compile(said.snippet, "snippet", "exec"), names)
    with torch.no_grad():
        reached = (network(torch.tensor(data.x_test)).argmax(1).numpy() == data.y_test).mean()
    assert reached > said.accuracy - 0.1
    options = names["optimizer"].param_groups[0]
    assert options["momentum"] == recipe.momentum_used
    assert options["weight_decay"] == recipe.weight_decay
    if recipe.constant:
        assert options["lr"] == pytest.approx(said.learning_rate, rel=0.01)
    assert ("label_smoothing=0.1" in said.snippet) == bool(recipe.label_smoothing)
    assert ("clip_grad_norm_(network.parameters(), 5.0)" in said.snippet) == (recipe.clip is not None)


@pytest.mark.parametrize(("schedule", "warmup"), [("cosine", 0.0), ("step", 0.0), ("one_cycle", 0.0), ("cosine", 0.3)])
def test_the_snippet_schedules_as_the_theory_does(schedule, warmup, little_images):
    recipe = Recipe(steps=20, schedule=schedule, warmup=warmup)
    said = effbatch.advise("perceptron", little_images, labels="clean", alpha=0.0, batch_sizes=(16,), recipe=recipe)
    rates: list[float] = []
    train_set = TensorDataset(torch.tensor(little_images.x_train), torch.tensor(little_images.y_train))
    names = {"train_set": train_set, "network": nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), "rates": rates}
    code = said.snippet.replace(
        "    optimizer.step()", '    rates.append(optimizer.param_groups[0]["lr"])\n    optimizer.step()'
    )
    exec(compile(code, "snippet", "exec"), names)
    expected = said.learning_rate * schedules.multipliers(schedule, 20, warmup=warmup)
    assert rates == pytest.approx(expected.tolist(), rel=0.02, abs=1e-6)


def test_the_page_says_every_number_with_its_interval(advice):
    page = str(advice)
    assert repr(advice) == page
    assert f"batches of {advice.batch_size}" in page
    assert "α = 4.0 [3.0, 6.0]" in page
    assert re.search(
        r"400 labels checked by hand, if about 213 .* α is [\d.]+ \[[\d.]+, [\d.]+\] \(95 %, exact\)",
        " ".join(page.split()),
    )
    assert f"n = {recorded()['linearised'].n}" in page
    assert max(map(len, page.splitlines())) <= 130
    html = advice._repr_html_()
    assert html.count("<table>") == html.count("</table>") == 2
    assert "&lt;" not in html.split("<pre>")[0]
    assert replace(advice, network="<b>")._repr_html_().count("&lt;b&gt;") == 1


def test_without_an_upper_limit_of_alpha_the_page_says_that_there_is_no_interval(file):
    said = effbatch.advise("perceptron", file, checked=20, wrong=12, steps=40, batch_sizes=(16,))
    page = " ".join(str(said).split())
    assert re.search(r"α = [\d.]+ \(at least [\d.]+\) noisy labels per clean one", page)
    assert f"at learning rate {said.learning_rate:.3g} (no interval)" in page
    assert "no interval: alpha has no upper limit" in page
    assert "the only batch size asked for" in page


def test_the_figure_has_a_line_per_alpha_and_the_advised_rate(advice):
    (panel,) = effbatch.plot(advice)["learning_rate"].figure.panels
    assert {series.name for series in panel.series} == {
        "α = 3",
        "α = 4",
        "α = 6",
        f"advised: {advice.learning_rate:.3g}",
    }
    at_advised = advice.curve.accuracy[1][8]  # α = 4 and the advised rate itself
    assert at_advised == pytest.approx(advice.accuracy, abs=1e-9)


# --- the command ---


def run(*arguments: str):
    return CliRunner().invoke(main, ["advise", *arguments])


def test_json_has_the_numbers_of_the_function(advice, file):
    result = run("perceptron", file, "--steps", "60", "--labels", "clean", "--alpha", "4", "--alpha-interval", "3", "6",
                 "--batch", "8", "--batch", "32", "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == json.loads(json.dumps(advice.to_dict()))


def test_a_probe_finds_the_rate_by_real_runs(little_images):
    said = effbatch.advise(
        "perceptron", little_images, labels="clean", alpha=1.0, steps=32, batch_sizes=(16,), probe=True
    )
    assert said.chosen.recommended.law == "probe"
    assert said.probe.done
    assert said.predictions == (said.chosen,)
    assert "It was run for this answer." in " ".join(str(said).split())


def test_prediction_and_probe_round_the_steps_of_a_budget_alike(little_images, monkeypatch):
    tried, made = [], runs.probe_learning_rate
    monkeypatch.setattr(runs, "probe_learning_rate", lambda *a, **how: tried.append(how["steps"]) or made(*a, **how))
    said = effbatch.advise(
        "perceptron", little_images, labels="clean", alpha=1.0, examples=521, batch_sizes=(16,), probe=True
    )
    assert tried == [said.steps] == [33]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mlp1", "digits"], "needs a budget, got none: give steps or examples"),
        (["mlp1", "digits", "--steps", "9", "--examples", "9"], "got steps and examples: leave all but one out"),
        (["mlp1", "digits", "--steps", "9", "--checked", "20"], "needs checked and wrong"),
        (
            ["mlp1", "digits", "--steps", "9", "--alpha", "1", "--checked", "2", "--wrong", "1"],
            "got alpha and checked labels: leave one of them out",
        ),
        (["mlp1", "digits", "--steps", "9", "--checked", "9", "--wrong", "9"], "no alpha to work with"),
        (["mlp1", "digits", "--steps", "9", "--alpha-interval", "3", "2"], "0 <= low <= high; got 3.0 to 2.0"),
        (["mlp1", "digits", "--steps", "9", "--batch", "0"], "batch size must be from 1"),
        (
            ["mlp1", "digits", "--steps", "9", "--probe", "--optimizer", "adam"],
            "a probe trains with plain sgd at a constant rate on uniform noise",
        ),
        (["mlp9", "digits", "--steps", "9"], "mlp9.* is not known"),
        (["mlp1", "nothing", "--steps", "9"], "data set 'nothing' is not known"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(arguments, words):
    result = run(*arguments)
    assert result.exit_code == 2
    assert re.search(words, result.output)
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("network", "data", "words"),
    [
        (3, "digits", "a name, an nn.Module or a function"),
        (lambda: 3, "digits", "needs to return an nn.Module, got int"),
        ("perceptron", 3, "a name or path, a DataSet, arrays .*, got int"),
        (
            "perceptron",
            (np.zeros((4, 1, 2, 2)), np.zeros(4), np.zeros((4, 1, 2, 2)), np.zeros(4)),
            "2 to 1,000,000 classes, got 1",
        ),
    ],
    ids=["network", "function", "data", "labels"],
)
def test_what_is_neither_network_nor_data_is_refused(network, data, words):
    with pytest.raises(InputError, match=words):
        effbatch.advise(network, data, labels="clean", alpha=1.0, steps=5)


def test_importing_effbatch_stays_light():
    code = "import sys, effbatch; from effbatch.cli.advise import command; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
