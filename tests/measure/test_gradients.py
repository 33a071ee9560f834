"""Measured gradient numbers against explicit gradients of every (image, label), and their intervals by simulation."""

from __future__ import annotations

from dataclasses import astuple
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import effbatch
from effbatch.core.errors import InputError
from effbatch.data import datasets
from effbatch.measure import scatter
from effbatch.measure.gradients import measure_moments
from effbatch.measure.measured import MeasuredMoments, fieller
from effbatch.networks import zoo
from effbatch.theory.moments import GradientMoments

K = 3
NOISE = np.random.default_rng(5).dirichlet(np.ones(K), size=K)


def little_network(*extra: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(1, 2, 3), nn.Tanh(), *extra, nn.Flatten(), nn.Linear(8, K)).double()


def little_data(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 1, 6)), rng.integers(K, size=n)


def every_gradient(network: nn.Module, x: np.ndarray, parameters: list[nn.Parameter]) -> np.ndarray:
    """Gradient of cross-entropy for each image and each of its possible labels, (n, K, parameters)."""
    rows = []
    for image, label in product(torch.as_tensor(x), range(K)):
        loss = nn.functional.cross_entropy(network(image[None]), torch.tensor([label]))
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]))
    return torch.stack(rows).numpy().reshape(len(x), K, -1)


def population_moments(g: np.ndarray, y: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean gradient and mean squared norm of one copy, with label probabilities targets[y]."""
    p = targets[y] / len(y)
    return np.einsum("ik,ikd->d", p, g), float(np.einsum("ik,ikd,ikd->", p, g, g))


def pairs_mean(a: np.ndarray, b: np.ndarray) -> float:
    """Mean of a_i·b_j over all pairs i ≠ j, one by one."""
    n = len(a)
    return float(np.mean([a[i] @ b[j] for i in range(n) for j in range(n) if i != j]))


def brute_force(g: np.ndarray, y: np.ndarray, noise: np.ndarray) -> tuple[float, ...]:
    clean = g[np.arange(len(y)), y]
    noisy = np.einsum("ik,ikd->id", noise[y], g)
    second = [population_moments(g, y, targets)[1] for targets in (np.eye(K), noise)]
    return (pairs_mean(clean, clean), pairs_mean(clean, noisy), pairs_mean(noisy, noisy), *second)


@pytest.mark.parametrize("numbers_at_once", [1, 400, 10**6], ids=["one-image", "some-images", "all-images"])
def test_five_numbers_of_the_network_and_its_layers(monkeypatch, numbers_at_once):
    monkeypatch.setattr(scatter, "GRADIENT_NUMBERS", numbers_at_once)
    monkeypatch.setattr(scatter, "BATCH", 4)
    network, (x, y) = little_network(), little_data(7)
    measured = measure_moments(network, x, y, num_classes=K, noise_matrix=NOISE)
    g = every_gradient(network, x, list(network.parameters()))
    np.testing.assert_allclose(astuple(measured.estimate), brute_force(g, y, NOISE), rtol=1e-10)
    assert list(measured.layers) == ["0", "3"]
    for name, layer in measured.layers.items():
        g = every_gradient(network, x, list(network.get_submodule(name).parameters()))
        np.testing.assert_allclose(astuple(layer.estimate), brute_force(g, y, NOISE), rtol=1e-10)
    total = np.sum([astuple(layer.estimate) for layer in measured.layers.values()], axis=0)
    np.testing.assert_allclose(astuple(measured.estimate), total, rtol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.7, 12.0])
def test_numbers_at_alpha_are_those_of_gradients_with_that_noise(alpha):
    network, (x, y) = little_network(), little_data(8)
    measured = measure_moments(network, x, y, num_classes=K, noise_matrix=NOISE)
    g = every_gradient(network, x, list(network.parameters()))

    def scale(targets: np.ndarray) -> tuple[float, float]:
        mean = np.einsum("ik,ikd->id", targets[y], g)
        squared, second = pairs_mean(mean, mean), population_moments(g, y, targets)[1]
        return squared, (second - squared) / squared

    squared, noise_scale = scale((np.eye(K) + alpha * NOISE) / (1 + alpha))
    assert measured.mean_norm_squared(alpha).value == pytest.approx(squared, rel=1e-10)
    assert measured.estimate.noise_scale(alpha) == pytest.approx(noise_scale if squared > 0 else np.nan, nan_ok=True)


def test_without_a_matrix_the_noise_is_uniform():
    network, (x, y) = little_network(), little_data(6)
    uniform = measure_moments(network, x, y, num_classes=K, noise_matrix=np.full((K, K), 1 / K))
    assert measure_moments(network, x, y, num_classes=K).estimate == uniform.estimate


def test_thousands_of_classes_take_no_matrix():
    x, y = torch.randn(9, 4, generator=torch.Generator().manual_seed(0)), np.arange(9) * 1000
    network = zoo.build("perceptron", (4,), 10_000, seed=0)
    found = measure_moments(network, x, y, num_classes=10_000)
    assert found.numbers()["noisy_second_moment"].value == pytest.approx(
        found.numbers()["clean_second_moment"].value, rel=0.2
    )
    few, labels = zoo.build("perceptron", (4,), 100, seed=0), np.arange(9)
    drawn, given = (
        measure_moments(few, x, labels, num_classes=100, noise_matrix=matrix).numbers()
        for matrix in (None, np.full((100, 100), 0.01))
    )
    for name, estimate in drawn.items():
        assert estimate.value == pytest.approx(given[name].value, rel=1e-4)


def test_estimates_are_unbiased():
    """The mean over all 4³ samples of three from a population of four images is exactly the population's value."""
    network, (x, y) = little_network(), little_data(4)
    samples = [list(sample) for sample in product(range(4), repeat=3)]
    every = [measure_moments(network, x[s], y[s], num_classes=K, noise_matrix=NOISE) for s in samples]
    g = every_gradient(network, x, list(network.parameters()))
    (G_0, S_0), (G_N, S_N) = (population_moments(g, y, targets) for targets in (np.eye(K), NOISE))
    expected = (G_0 @ G_0, G_0 @ G_N, G_N @ G_N, S_0, S_N)
    np.testing.assert_allclose(np.mean([astuple(m.estimate) for m in every], axis=0), expected, rtol=1e-10)
    assert min(m.estimate.clean_norm_squared for m in every) < 0  # nothing is clamped


def test_what_is_left_out_is_what_measuring_the_rest_gives():
    network, (x, y) = little_network(), little_data(5)
    left_out = measure_moments(network, x, y, num_classes=K).left_out
    for i in range(5):
        rest = measure_moments(network, np.delete(x, i, 0), np.delete(y, i), num_classes=K).estimate
        np.testing.assert_allclose([values[i] for values in astuple(left_out)], astuple(rest), rtol=1e-10)


def test_single_precision_agrees_with_double():
    network, (x, y) = little_network(), little_data(50)
    double = astuple(measure_moments(network, x, y, num_classes=K).estimate)
    single = measure_moments(network.float(), torch.tensor(x), torch.tensor(y), num_classes=K)
    np.testing.assert_allclose(astuple(single.estimate), double, rtol=1e-4)


def products(clean: np.ndarray, noisy: np.ndarray, second: np.ndarray) -> MeasuredMoments:
    """Measured moments of given gradients (n, d)."""
    n = len(clean)

    def with_others(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        gram = a @ b.T
        return ((gram + gram.T) / 2 * (1 - np.eye(n))).sum(1) / (n - 1)

    squares = (clean**2).sum(1)
    values = with_others(clean, clean), with_others(clean, noisy), with_others(noisy, noisy), squares, second
    return MeasuredMoments(GradientMoments(*values))


def holds(estimate, truth: float) -> bool:
    low, high = estimate.interval
    return (low is None or low <= truth) and (high is None or truth <= high)


def test_intervals_cover():
    """400 samples of 60 from a known law."""
    rng = np.random.default_rng(0)
    spread = np.arange(1, 41) ** -0.5
    G_0, G_N = (0.6 * rng.standard_normal(40) * spread for _ in range(2))
    variance = (spread**2).sum()
    S_0, S_N = G_0 @ G_0 + variance, G_N @ G_N + 2 * variance
    truth = GradientMoments(G_0 @ G_0, G_0 @ G_N, G_N @ G_N, S_0, S_N)
    kept = []
    for _ in range(400):
        clean = G_0 + spread * rng.standard_normal((60, 40))
        noisy = G_N + spread * rng.standard_normal((60, 40))
        second = (noisy**2).sum(1) + variance  # of single labels about their mean over labels
        m = products(clean, noisy, second)
        kept.append(
            [
                *(holds(estimate, getattr(truth, name)) for name, estimate in m.numbers().items()),
                *(holds(m.noise_scale(a), truth.noise_scale(a)) for a in (0.0, 4.0)),
                holds(m.effective_batch_size(4.0, 32), truth.effective_batch_size(4.0, 32)),
            ]
        )
    coverage = np.mean(kept, axis=0)
    assert coverage.min() > 0.92, coverage
    assert coverage.max() < 0.995, coverage


def test_without_a_mean_gradient_it_cannot_tell():
    rng = np.random.default_rng(1)
    told = 0
    for _ in range(300):
        g = rng.standard_normal((40, 30))
        m = products(g, g, (g**2).sum(1))
        scale, effective = m.noise_scale(0.0), m.effective_batch_size(2.0, 64)
        told += scale.value is not None
        if scale.value is None:
            assert scale.interval[1] is None
            assert effective.value is None
            for estimate, symbol in ((scale, "‖G_0‖²"), (effective, "trΣ_2 ‖G_0‖²")):
                assert "n = 40" in estimate.reason
                assert symbol in estimate.reason
            assert "whether ‖G_0‖² is above zero" in m.numbers()["clean_norm_squared"].reason
            assert m.numbers()["clean_norm_squared"].value == m.estimate.clean_norm_squared  # shown, even below zero
    assert told <= 0.03 * 300


def test_what_the_data_tell_has_a_value_inside_its_interval():
    rng = np.random.default_rng(2)
    clean, noisy = 1 + rng.standard_normal((100, 20)), 0.5 + rng.standard_normal((100, 20))
    m = products(clean, noisy, (noisy**2).sum(1))
    for estimate, value in (
        (m.noise_scale(3.0), m.estimate.noise_scale(3.0)),
        (m.effective_batch_size(3.0, 32), m.estimate.effective_batch_size(3.0, 32)),
        (m.mean_norm_squared(3.0), m.estimate.mean_norm_squared(3.0)),
    ):
        assert estimate.value == pytest.approx(value, rel=1e-12)
        assert estimate.interval[0] < value < estimate.interval[1]
        assert (estimate.n, estimate.reason) == (100, None)
    assert m.effective_batch_size(0.0, 32).interval == (32.0, 32.0)
    close = m.effective_batch_size(1e-9, 32)
    np.testing.assert_allclose([close.value, *close.interval], 32, rtol=1e-6)


@pytest.mark.parametrize(
    ("x", "y", "v_xx", "v_xy", "v_yy"),
    [
        pytest.param(3, 2, 0.2, 0.05, 0.1, id="both-limits"),
        pytest.param(3, 0.4, 0.2, -0.05, 0.1, id="open-above"),
        pytest.param(0.5, 2, 0.2, 0.1, 0.1, id="open-below"),
        pytest.param(0.3, 0.3, 1, 0, 1, id="no-limit"),
        pytest.param(3, -2, 0.2, 0, 0.1, id="denominator-below-zero"),
    ],
)
def test_fieller_holds_the_ratios_that_are_not_rejected(x, y, v_xx, v_xy, v_yy):
    low, high = fieller(x, y, np.array([[v_xx, v_xy], [v_xy, v_yy]]), 2.0)
    ratios = np.geomspace(1e-4, 1e4, 200_001)
    kept = ratios[(x - ratios * y) ** 2 <= 4 * (v_xx - 2 * ratios * v_xy + ratios**2 * v_yy)]
    assert (low is None) == (x <= 0 or x * x <= 4 * v_xx)
    assert (high is None) == (y <= 0 or y * y <= 4 * v_yy)
    if low is not None and y > 0:
        assert kept.min() == pytest.approx(low, rel=1e-3)
    if high is not None:
        assert kept.max() == pytest.approx(high, rel=1e-3)


def test_evaluation_mode_is_measured_where_it_is_asked_for_and_said_so():
    network, (x, y) = little_network(nn.BatchNorm1d(2), nn.Dropout(0.5)), little_data(9)
    network.train()
    network[2].eval()  # frozen by its owner
    before = {name: value.clone() for name, value in network.state_dict().items()}
    measured = measure_moments(network, x, y, num_classes=K, mode="evaluation")
    modes = [module.training for module in network]
    assert modes == [True, True, False, True, True, True]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network.eval()
    g = every_gradient(network, x, list(network.parameters()))
    np.testing.assert_allclose(astuple(measured.estimate), brute_force(g, y, np.full((K, K), 1 / K)), rtol=1e-10)
    assert "2" in measured.layers
    assert "evaluation mode, as asked for" in measured.remarks[0]
    assert measure_moments(little_network(), x, y, num_classes=K).remarks == ()


class Odd(nn.Module):
    """A frozen parameter, an unused one, and one that belongs to the network itself."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.unused = nn.Parameter(torch.ones(2))
        self.head = nn.Linear(6, K)
        self.head.weight.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * self.head(x.flatten(1))


def test_only_trainable_weights_count_and_each_has_a_layer():
    network, (x, y) = Odd().double(), little_data(6)
    with torch.no_grad():  # of the caller
        measured = measure_moments(network, x, y, num_classes=K)
    assert list(measured.layers) == ["scale", "unused", "head"]
    assert astuple(measured.layers["unused"].estimate) == (0, 0, 0, 0, 0)
    g = every_gradient(network, x, [network.scale, network.head.bias])
    np.testing.assert_allclose(astuple(measured.estimate), brute_force(g, y, np.full((K, K), 1 / K)), rtol=1e-10)


def test_only_the_examples_asked_for():
    network, (x, y) = little_network(), little_data(40)
    some, again, other = (
        measure_moments(network, x, y, num_classes=K, max_examples=10, seed=seed) for seed in (0, 0, 1)
    )
    assert some.n == 10
    assert some.estimate == again.estimate != other.estimate
    drawn = np.sort(np.random.default_rng(0).permutation(40)[:10])
    assert some.estimate == measure_moments(network, x[drawn], y[drawn], num_classes=K).estimate
    assert some.seconds > 0
    assert some.epochs > 1


def test_the_public_name():
    assert effbatch.measure_moments is measure_moments


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_classes": 4}, r"return 4 logits per example, got shape \(9, 3\)"),
        ({"labels": np.arange(9)}, "0 to 2 is needed for each of 9 examples, got .* from 0 to 8"),
        ({"labels": np.arange(9) % 3 - 1}, "got labels of shape .9,. from -1 to 1"),
        ({"labels": np.full(9, 0.5)}, "got labels of shape .9,. and type float64"),
        ({"labels": np.zeros(8, int)}, r"labels of shape \(8,\) from 0 to 0"),
        ({"images": np.full((9, 1, 6), np.nan)}, "9 of 9 examples have NaN or infinite ones"),
        ({"images": np.zeros((9, 1, 7))}, r"take examples of shape \(1, 7\); it refused"),
        ({"noise_matrix": np.eye(2)}, "noise matrix of 3 classes is needed, got one of 2"),
        ({"noise_matrix": np.ones((3, 3))}, "row 0 sums to 3"),
        ({"max_examples": 2}, "at least 3 examples are needed for an interval, got 2"),
        ({"max_examples": 0}, "must be at least 3, got 0"),
        ({"network": nn.Flatten()}, "at least one parameter"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_is_refused_in_one_sentence(change, words):
    x, y = little_data(9)
    given = {"network": little_network(), "images": x, "labels": y, "num_classes": K, **change}
    with pytest.raises(InputError, match=words) as error:
        measure_moments(given.pop("network"), given.pop("images"), given.pop("labels"), **given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("alpha", "batch"), [(-1, 8), (np.nan, 8), (np.inf, 8), (1, 0)])
def test_alpha_and_batch_out_of_range(alpha, batch):
    g = np.random.default_rng(0).standard_normal((5, 3))
    with pytest.raises(InputError, match=r"must be (at least|from)"):
        products(g, g, (g**2).sum(1)).effective_batch_size(alpha, batch)


@pytest.mark.parametrize("kind", ["the same layer", "the same weights"])
def test_a_network_that_uses_weights_twice_is_measured_rightly_and_left_as_it_was(kind):
    torch.manual_seed(0)
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    if kind == "the same weights":
        second.weight, second.bias = first.weight, first.bias
    network = nn.Sequential(first, nn.Tanh(), first if kind == "the same layer" else second, nn.Linear(4, 3)).double()
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    rows = []
    for image, label in zip(x, y, strict=True):
        loss = nn.functional.cross_entropy(network(image[None]), label[None])
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(network.parameters()))]))
    second_moment = float(torch.stack(rows).square().sum(1).mean())
    before = network(x)
    for _ in range(2):
        found = measure_moments(network, x, y.numpy(), num_classes=3).estimate
        assert found.clean_second_moment == pytest.approx(second_moment, rel=1e-9)
    torch.testing.assert_close(network(x), before)


def test_data_of_any_kind_are_measured_on_their_training_images():
    digits = datasets.load("digits")
    network = zoo.build("perceptron", digits.image_shape, 10, seed=0)
    right = measure_moments(network, digits.x_train[:90], digits.y_train[:90], num_classes=10).estimate
    halves = (digits.x_train[:90], digits.y_train[:90]), (digits.x_test, digits.y_test)
    torch_sets = [TensorDataset(*map(torch.tensor, half)) for half in halves]
    names = dict(zip(("x_train", "y_train", "x_test", "y_test"), (*halves[0], *halves[1]), strict=True))
    for data in (halves, (*halves[0], *halves[1]), names, tuple(torch_sets), tuple(map(DataLoader, torch_sets))):
        assert measure_moments(network, data).estimate == right
    assert measure_moments(network, "digits", max_examples=50).n == 50
    with pytest.raises(InputError, match="the number of classes is needed beside labels, got none: give num_classes"):
        measure_moments(network, *halves[0])
