"""Short runs to the full run's best rate: known optima, the linearised theory, and real networks."""

import numpy as np
import pytest
import torch
from torch import nn

from effbatch.core.errors import InputError
from effbatch.data import datasets
from effbatch.engine.device import pick_device
from effbatch.engine.train import train_unit
from effbatch.engine.visits import Stream
from effbatch.fitting.peak import peak
from effbatch.networks import zoo
from effbatch.plan.spec import Data, Train
from effbatch.plan.units import Unit
from effbatch.probe.plain_rule import probe, shift_exponent
from effbatch.probe.plain_runs import _Run, held_out_score, probe_learning_rate
from effbatch.theory.dynamics import best_learning_rate, learning_curve
from effbatch.theory.spectrum import Spectrum


def parabola(best: float, exponent: float):
    """A score that peaks at log2 eta = best for the full run, and at best - exponent log2(f) after a fraction f."""
    asked = []

    def score(rates, fraction):
        asked.extend((rate, fraction) for rate in rates)
        return [-((np.log2(rate) - best + exponent * np.log2(fraction)) ** 2) for rate in rates]

    return score, asked


@pytest.mark.parametrize("alpha", [0.0, 0.5, 15.0], ids="alpha={}".format)
@pytest.mark.parametrize("best", [-9.3, -3.0, 2.6], ids="best=2^{}".format)
def test_finds_the_optimum_of_a_score_that_shifts_as_the_law_says(best, alpha):
    score, asked = parabola(best, shift_exponent(alpha))
    found = probe(score, alpha)
    assert np.log2(found.learning_rate) == pytest.approx(best, abs=1e-9)
    assert len(set(asked)) == len(asked)  # nothing is trained twice
    longest = {}
    for rate, fraction in asked:
        longest[rate] = max(fraction, longest.get(rate, 0))
    assert found.cost == pytest.approx(sum(longest.values()))


def test_an_optimum_that_does_not_shift_is_missed_by_the_weighted_shift():
    score, _ = parabola(-3.2, 0.0)
    p = 0.4 * (1 - 1 / 16**2)
    off = p * (1 / 16 * -4 + 1 / 4 * -2 + 1 / 2 * -1) / (1 / 16 + 1 / 4 + 1 / 2)
    assert np.log2(probe(score, 15.0).learning_rate) == pytest.approx(-3.2 + off, abs=1e-9)


def test_a_search_near_the_start_costs_two_runs():
    score, _ = parabola(-3.0, shift_exponent(0))
    # five rates at T/16, of which three go on to T/2
    assert probe(score, 0).cost == pytest.approx(2 / 16 + 3 / 2)


def test_scores_that_never_peak_give_no_rate():
    found = probe(lambda rates, fraction: [0.1] * len(rates), 3.0)
    assert np.isnan(found.learning_rate)
    assert len(found.stages) == 1
    assert np.isnan(found.stages[0].peak)


@pytest.mark.parametrize("values", [[0.1], [0.1, 0.2, np.nan, 0.1, 0.0]], ids=["too few", "NaN"])
def test_scores_that_are_no_numbers_are_named(values):
    with pytest.raises(InputError, match="one finite number for each of 5 learning rates"):
        probe(lambda rates, fraction: values, 3.0)


@pytest.mark.parametrize("alpha", [-1.0, np.inf])
def test_alpha_out_of_range_is_named(alpha):
    with pytest.raises(InputError, match=f"alpha needs a finite value >= 0, got {alpha:g}"):
        probe(lambda rates, fraction: [0.0] * len(rates), alpha)


@pytest.mark.parametrize("alpha", [3.0, 15.0])
@pytest.mark.parametrize("batch", [16, 128])
def test_finds_the_best_rate_of_the_linearised_theory(alpha, batch):
    """Short runs of the recursion against its own optimum at the full length, whose exponent is not quite p."""
    k = np.arange(1, 301, dtype=float)
    energies = k**-1.3 / (k**-1.3).sum()
    spectrum = Spectrum(20 * k**-1.5, energies, 0.02 * k**-1.5, num_classes=10, examples=300)

    def score(rates, fraction):
        return learning_curve(spectrum, alpha, batch, rates, round(fraction * 640)).accuracy

    found = probe(score, alpha)
    best = best_learning_rate(spectrum, alpha, batch, 640, confident_edge=False)
    assert abs(np.log2(found.learning_rate / best)) < 0.75


def test_score_against_a_loop():
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((7, 4)), rng.integers(4, size=7)
    logits[3] = 0
    expected = 0.0
    for f, c in zip(logits, labels, strict=True):
        g, target = f - f.mean(), np.eye(4)[c] - 1 / 4
        cosine = g @ target / (np.linalg.norm(g) * np.linalg.norm(target)) if g.any() else 0.0
        expected += ((f.argmax() == c) + cosine) / 2 / 7
    assert held_out_score(torch.tensor(logits), torch.tensor(labels)) == pytest.approx(expected)


def test_a_continued_run_is_the_run_of_the_engine():
    data = datasets.load("digits")
    rate, seed = 0.25, 3
    network = zoo.build("mlp1", data.image_shape, 10, seed=seed)
    x, y = torch.tensor(data.x_train), torch.tensor(data.y_train)
    stream = Stream(Data(), y, 10, alphas=[2.0], seeds=[seed], batch_size=8)
    run = _Run(network, rate)
    run.train(x, stream, 25)
    run.train(x, stream, 60)
    unit = Unit({}, Data(), Train(), 8, 60, (60,), (2.0,), (rate,), (seed,))
    engine = train_unit(unit, data, device=pick_device("cpu"))
    with torch.no_grad():
        logits = run.network(torch.tensor(data.x_test))
    loss = nn.functional.cross_entropy(logits, torch.tensor(data.y_test))
    assert float(loss) == pytest.approx(float(engine["test_loss"][0, 0, 0]), rel=1e-4)


def test_a_diverged_run_scores_chance():
    run = _Run(nn.Linear(4, 5), 1.0)
    x, y = torch.ones(3, 4), torch.zeros(3, dtype=torch.long)
    with torch.no_grad():
        run.network.weight.fill_(1e30)
    assert np.isfinite(run.score(x, y))
    assert run.score(x * 1e20, y) == 0.1


def test_finds_the_best_rate_of_a_sweep():
    """Softmax regression on digits: the mean over four seeds of the search against a sweep of other seeds."""
    data = datasets.load("digits")
    rates = tuple(2.0 ** np.arange(-8, 0))
    unit = Unit({}, Data(), Train(network="perceptron"), 16, 200, (200,), (4.0,), rates, tuple(range(8)))
    swept = train_unit(unit, data, device=pick_device("cpu"))["test_accuracy"][0].mean(1)
    best = float(peak(np.log2(rates), swept[None]).location[0])
    found = []
    for seed in range(100, 104):
        network = zoo.build("perceptron", data.image_shape, 10, seed=seed)
        before = [w.clone() for w in network.parameters()]
        one = probe_learning_rate(
            network, data.x_train[300:], data.y_train[300:], data.x_train[:300], data.y_train[:300],
            num_classes=10, alpha=4.0, batch_size=16, steps=200, seed=seed,
        )  # fmt: skip
        assert all(torch.equal(w, v) for w, v in zip(network.parameters(), before, strict=True))
        assert one.cost < 3
        found.append(np.log2(one.learning_rate))
    assert np.mean(found) == pytest.approx(best, abs=0.75)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": 15}, "at least 16 steps, got 15"),
        ({"batch_size": 0}, "batch_size needs a whole number >= 1, got 0"),
        ({"num_classes": 7}, r"needs to return 7 logits per image, got shape \(1, 5\)"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_is_named(changed, message):
    options = {"num_classes": 5, "alpha": 1.0, "batch_size": 2, "steps": 16} | changed
    x, y = np.ones((6, 4), dtype=np.float32), np.arange(6) % 5
    with pytest.raises(InputError, match=message):
        probe_learning_rate(nn.Linear(4, 5), x, y, x, y, **options)
