"""Gradients as training sees them, dropout by image and BatchNorm by batch, against enumeration and brute force."""

from __future__ import annotations

import random
from dataclasses import astuple, fields
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from effbatch.core.errors import InputError
from effbatch.measure.gradients import _batch, _cross_entropy, measure_moments
from effbatch.measure.scatter import Scatter, Slopes
from effbatch.networks.behaviour import Behaviour, behaviour
from effbatch.networks.per_image import trainable_weights
from effbatch.theory.moments import CoupledMoments, GradientMoments

K = 3


def drawn_images(n: int, rng: np.random.Generator) -> tuple[torch.Tensor, np.ndarray]:
    y = rng.integers(K, size=n)
    return torch.tensor(rng.normal(size=(n, 4)) + np.eye(K, 4)[y]), y


def normed(*extra: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), *extra, nn.Linear(6, K)).double()


# --- what a network does is found by calling it ---


class By(nn.Module):
    """A network that does something to its images in training, by a function."""

    def __init__(self, does, *, always: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.last, self.does, self.always = nn.Linear(4, K), does, always

    def forward(self, x):
        return self.last(self.does(x) if self.training or self.always else x)


def drop_path(x):
    return x * (torch.rand(len(x), 1) < 0.5)


def drop_path_of_the_batch(x):
    return x * (torch.rand(()) < 0.5)


def drop_by_python(x):
    return x if random.random() < 0.5 else 2 * x


def whitened(x):
    return x / x.std(0)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (nn.Linear(4, K), (False, False)),
        (nn.Sequential(nn.Linear(4, K), nn.Dropout(0.0)), (False, False)),
        (nn.Sequential(nn.Linear(4, K), nn.Dropout(0.3)), (True, False)),
        (nn.Sequential(nn.LayerNorm(4), nn.Linear(4, K)), (False, False)),
        (nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, K)), (False, True)),
        (nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, K)).eval(), (False, False)),
        (nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, K)).eval(), (False, True)),
        (nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, K), nn.Dropout()), (True, True)),
        (By(lambda x: F.dropout(x, 0.5)), (True, False)),
        (By(drop_path), (True, False)),
        (By(drop_path).eval(), (False, False)),
        (By(drop_path, always=True).eval(), (True, False)),
        (By(drop_path_of_the_batch), (True, True)),
        (By(drop_by_python), (True, True)),
        (By(whitened), (False, True)),
        (By(lambda x: x + 0.1 * torch.randn_like(x)), (True, False)),
    ],
)
def test_random_and_coupled_networks_are_found_by_what_they_do(network, expected):
    state = {name: value.clone() for name, value in network.state_dict().items()}
    for n in (1, 2, 40):
        found = behaviour(network, torch.randn(n, 4, generator=torch.Generator().manual_seed(n)))
        assert found == Behaviour(expected[0], expected[1] and (n > 1 or found.coupled))
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


# --- dropout: one draw for each example ---


def test_dropout_is_part_of_the_noise():
    """Over many seeds, the means that all 16 masks of an image give exactly."""
    x, y = drawn_images(8, np.random.default_rng(0))
    network = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, K)).double()
    masks = 2 * torch.tensor(list(product((0.0, 1.0), repeat=4)), dtype=torch.float64)
    mean, square = [], []
    for image, label in zip(x, y, strict=True):
        loss = [F.cross_entropy(network[1]((image * mask)[None]), torch.tensor([label])) for mask in masks]
        g = [torch.cat([g.flatten() for g in torch.autograd.grad(one, list(network.parameters()))]) for one in loss]
        mean.append(torch.stack(g).mean(0))
        square.append(float(torch.stack(g).square().sum(1).mean()))
    G = torch.stack(mean)
    norm = float(G.sum(0) @ G.sum(0) - (G * G).sum()) / (8 * 7)
    for dropping in (network, By(lambda x: F.dropout(x, 0.5)), By(lambda x: x * (torch.rand_like(x) < 0.5) * 2)):
        if dropping is not network:
            dropping.double().last.load_state_dict(network[1].state_dict())
        found = [measure_moments(dropping, x, y, num_classes=K, seed=1000 * seed).estimate for seed in range(30)]
        for name, truth in (("clean_norm_squared", norm), ("clean_second_moment", float(np.mean(square)))):
            values = [getattr(one, name) for one in found]
            assert abs(np.mean(values) - truth) < 4 * np.std(values) / np.sqrt(len(values)), name
    said = measure_moments(network, x, y, num_classes=K)
    assert said.n == 8
    assert "one draw for each example" in said.remarks[0]


# --- BatchNorm: batches ---


def brute_force(network: nn.Module, alpha: float, B: int, batches: int) -> tuple[float, float]:
    """‖G‖² and trΣ of one copy, from gradients of many batches whose labels are really noised."""
    rng = np.random.default_rng(2)
    x, y = drawn_images(B * batches, rng)
    noisy = rng.random(len(y)) < alpha / (1 + alpha)
    labels = torch.tensor(np.where(noisy, rng.integers(K, size=len(y)), y))
    weights = {name: w.detach() for name, w in network.named_parameters()}
    plain = dict(network.named_buffers())

    def loss(weights, x, y):
        first = F.linear(x, weights["0.weight"], weights["0.bias"])
        first = (first - first.mean(0)) / (first.var(0, unbiased=False) + network[1].eps).sqrt()
        hidden = torch.tanh(first * weights["1.weight"] + weights["1.bias"])
        return F.cross_entropy(F.linear(hidden, weights["3.weight"], weights["3.bias"]), y)

    torch.testing.assert_close(
        loss(weights, x[:B], labels[:B]),
        F.cross_entropy(functional_call(network, weights | plain, (x[:B],)), labels[:B]),
    )
    g = vmap(grad(loss), in_dims=(None, 0, 0))(weights, x.view(batches, B, 4), labels.view(batches, B))
    g = torch.cat([one.flatten(1) for one in g.values()], 1)
    trace = float(B * g.var(0).sum())
    return float(g.mean(0) @ g.mean(0)) - trace / B / batches, trace


def test_batch_norm_is_measured_as_it_is_trained():
    network, rng, B = normed(), np.random.default_rng(1), 8
    x, y = drawn_images(B * 500, rng)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    measured = measure_moments(network, x, y, num_classes=K, batch_size=B)
    evaluated = measure_moments(network, x, y, num_classes=K, mode="evaluation", max_examples=2000)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert (measured.n, measured.batch_size, evaluated.n, evaluated.batch_size) == (500, B, 2000, None)
    for alpha in (0.0, 1.0, 6.0):
        norm, trace = brute_force(network, alpha, B, 20_000)
        for found, truth in ((measured.mean_norm_squared(alpha), norm), (measured.covariance_trace(alpha), trace)):
            low, high = found.interval
            assert abs(found.value - truth) < 1.5 * (high - low) / 2, (alpha, found, truth)
            assert high - low < 0.8 * truth, "else the test says nothing"
        wrong = evaluated.covariance_trace(alpha)
        assert not wrong.interval[0] < trace < wrong.interval[1]
    told, asked = " ".join(measured.remarks), " ".join(evaluated.remarks)
    assert "500 disjoint batches of 8 examples" in told
    assert "evaluation mode, as asked for" in asked


def test_second_moments_at_every_alpha_are_those_of_all_labels_enumerated():
    """Of three batches of three images, which change each other much; signs and drawn labels are averaged out."""
    network, B, batches = normed(), 3, 3
    x, y = drawn_images(B * batches, np.random.default_rng(3))
    N = np.random.default_rng(4).dirichlet(np.ones(K), size=K)
    parameters = list(network.parameters())

    def square(b: int, labels: tuple[int, ...]) -> float:
        loss = F.cross_entropy(network(x[b * B : b * B + B]), torch.tensor(labels))
        return float(sum(g.square().sum() for g in torch.autograd.grad(loss, parameters)))

    squares = {(b, k): square(b, k) for b in range(batches) for k in product(range(K), repeat=B)}

    def enumerated(alpha: float) -> float:
        T = (np.eye(K) + alpha * N) / (1 + alpha)
        of_label = {(b, k): np.prod(T[y[b * B : b * B + B], k]) for b, k in squares}
        return sum(squares[key] * chance for key, chance in of_label.items()) / batches

    whole = _batch(x, y, K, N, parameters[0], 0)
    found = []
    for seed in range(0, 2000, 10):
        scatter = Scatter(network, trainable_weights(network), Slopes(_cross_entropy), Behaviour(False, True), seed)
        by_layer, _ = scatter.moments(list(whole.parts(B)))
        found.append(np.sum([[v.mean() for v in vars(m.per_image).values()] for m in by_layer.values()], axis=0))
    error = np.std(found, axis=0) / np.sqrt(len(found))
    raw = CoupledMoments(*np.mean(found, axis=0))
    assert abs(raw.coupling) > 10 * error[5], "else the five numbers would do"
    assert raw.clean_second_moment == pytest.approx(enumerated(0.0), rel=1e-9)
    for alpha in (0.3, 1.0, 3.0, 20.0):
        assert abs(raw.second_moment(alpha) - enumerated(alpha)) < 4 * (error[4] + error[5] / 4)
        per_copy = raw.of_copies(B)
        trace = B * (raw.second_moment(alpha) - raw.mean_norm_squared(alpha))
        assert per_copy.covariance_trace(alpha) == pytest.approx(trace, rel=1e-12)


def test_clean_numbers_come_back_from_mixed_ones_where_images_are_coupled():
    clean, alpha = CoupledMoments(1.0, 0.3, 0.5, 9.0, 11.0, 1.7), 2.5
    inner = (clean.clean_noisy_inner + alpha * clean.noisy_norm_squared) / (1 + alpha)
    share = 1 / (1 + alpha)
    mixed = CoupledMoments(
        clean.mean_norm_squared(alpha), inner, 0.5, clean.second_moment(alpha), 11.0, share * share * clean.coupling
    )
    assert astuple(mixed.with_clean_labels(alpha)) == pytest.approx(astuple(clean))
    for more in (0.5, 4.0):  # α more of the noisy labels on top of the mixed ones: (1 + α)(1 + more) − 1 in all
        total = (1 + alpha) * (1 + more) - 1
        assert mixed.second_moment(more) == pytest.approx(clean.second_moment(total))
    plain = CoupledMoments(1.0, 0.3, 0.5, 9.0, 11.0, 0.0)
    five = GradientMoments(*(getattr(plain, field.name) for field in fields(GradientMoments)))
    assert plain.noise_scale(alpha) == five.noise_scale(alpha)


def test_batches_are_no_larger_than_eight_of_them_allow():
    x, y = drawn_images(90, np.random.default_rng(0))
    found = measure_moments(normed(), x, y, num_classes=K)
    assert (found.n, found.batch_size) == (8, 11)
    pure_noise = np.random.default_rng(1).integers(K, size=90)
    unknown = measure_moments(normed(), x, pure_noise, num_classes=K).noise_scale(0.0)
    assert "cannot tell at n = 8 batches of 11 examples" in unknown.reason
    assert set(found.layers) == {"0", "1", "3"}
    with pytest.raises(InputError, match=r"at least 16 examples are needed, got 15: measure more, or mode=.evaluation"):
        measure_moments(normed(), x[:15], y[:15], num_classes=K)
    with pytest.raises(InputError, match="mode 'eval' is not known"):
        measure_moments(normed(), x, y, num_classes=K, mode="eval")


def test_frozen_layers_stay_frozen_and_an_evaluated_network_is_measured_in_training():
    x, y = drawn_images(40, np.random.default_rng(0))
    network = normed(nn.Dropout(0.5))
    network[1].eval()
    assert measure_moments(network, x, y, num_classes=K).batch_size is None
    assert [module.training for module in network] == [True, False, True, True, True]
    network.eval()
    assert measure_moments(network, x, y, num_classes=K).batch_size == 5
    assert not any(module.training for module in network.modules())


def test_batch_norm_without_running_statistics_is_measured_by_batches_in_any_mode():
    x, y = drawn_images(80, np.random.default_rng(0))
    network = normed()
    network[1] = nn.BatchNorm1d(6, track_running_stats=False).double()
    trained, evaluated = (
        measure_moments(network, x, y, num_classes=K, mode=mode) for mode in ("training", "evaluation")
    )
    assert trained.batch_size == evaluated.batch_size == 10
    assert trained.estimate == evaluated.estimate


def test_many_classes_take_bounded_time():
    rng, classes = np.random.default_rng(0), 300
    network = nn.Linear(8, classes).double()
    x, y = rng.normal(size=(60, 8)), rng.integers(classes, size=60)
    measured = measure_moments(network, x, y, num_classes=classes)
    assert "16 labels drawn for each example, not over all 300" in measured.remarks[0]
    p = network(torch.tensor(x)).softmax(1).detach().numpy()
    of_labels = (p**2).sum(1) - 2 / classes + 1  # Σ_k ‖p − e_k‖²/K
    exact = np.mean(of_labels * ((x**2).sum(1) + 1))
    low, high = measured.numbers()["noisy_second_moment"].interval
    assert low < exact < high
    assert measured.estimate.noisy_second_moment == pytest.approx(exact, rel=0.01)
