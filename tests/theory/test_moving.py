"""Kernels that move: against networks small enough to follow weight by weight, and real ones in training."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from effbatch.core.errors import InputError
from effbatch.data import datasets
from effbatch.measure.kernel import measure_spectrum
from effbatch.theory.dynamics import learning_curve
from effbatch.theory.moving import MovingKernel, least_trace, moving_accuracy, moving_rate, softmax_edge
from effbatch.theory.spectrum import Spectrum


def power_law(modes: int = 200, classes: int = 10) -> Spectrum:
    k = np.arange(1, modes + 1)
    e, h = k**-1.3 / (k**-1.3).sum(), 10 * k**-1.5
    return Spectrum(h, e, 0.02 * e, num_classes=classes, examples=modes, inputs=4 * h)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_the_least_trace_is_that_of_aligned_layers_and_of_no_others(depth):
    rng, width, x = np.random.default_rng(0), 6, np.array([3.0, 4.0])

    def trace(layers):  # of one logit: the sum over layers of |what comes after|² |what came before|²
        before, after = [x], [np.ones(1)]
        for W in layers[:-1]:
            before.append(W @ before[-1])
        for W in layers[:0:-1]:
            after.append(W.T @ after[-1])
        return sum((b**2).sum() * (a**2).sum() for b, a in zip(before, reversed(after), strict=True))

    def output(layers):
        out = x
        for W in layers:
            out = W @ out
        return float(out[0])

    shapes = [2, *[width] * (depth - 1), 1]
    units = [x / 5, *[np.eye(width)[0]] * (depth - 1), np.ones(1)]
    aligned = [0.7 * np.outer(after, before) for before, after in pairwise(units)]
    assert trace(aligned) == pytest.approx(float(least_trace(output(aligned), depth, 25.0)))
    for _ in range(20):
        drawn = [rng.standard_normal((n, m)) for m, n in pairwise(shapes)]
        assert trace(drawn) >= float(least_trace(abs(output(drawn)), depth, 25.0)) - 1e-9


def plus_minus(start: float, energy: float, target: float, rate: float, steps: int, noise: float = 0.0):
    """SGD on (w₊² − w₋²)√X, noise of this deviation in the residual: output, and kernel 4X(w₊² + w₋²)/2, along it."""
    rng = np.random.default_rng(0)
    plus = minus = np.full(400 if noise else 1, start)
    for _ in range(steps):
        residual = (plus**2 - minus**2) * energy**0.5 - target + noise * rng.standard_normal(len(plus))
        plus, minus = plus * (1 - rate * residual * energy**0.5), minus * (1 + rate * residual * energy**0.5)
    return (plus**2 - minus**2).mean() * energy**0.5, 2 * energy * (plus**2 + minus**2), plus, minus


@pytest.mark.parametrize("target", [0.1, 1.0, 5.0])
def test_two_layers_in_gradient_flow(target):
    energy, start = 4.0, 0.3
    size, kernel, *_ = plus_minus(start, energy, target, 1e-3, 5000)
    first = 4 * energy * start**2
    theory = MovingKernel(np.array([first]), np.array([energy]), 2, energy)
    assert size == pytest.approx(target, rel=1e-2)
    assert float(theory.at(size)[0]) == pytest.approx(float(kernel[0]), rel=1e-2)


def test_label_noise_forgets_the_unaligned_part():
    energy, start, noise, rate, steps = 4.0, 0.5, 2.0, 0.01, 1500
    *_, plus, minus = plus_minus(start, energy, 0.0, rate, steps, noise)
    theory = MovingKernel(np.array([1.0]), np.array([energy]), 2, energy)
    left = np.mean(np.log(plus * minus / start**2))
    assert left == pytest.approx(-(rate**2) * noise**2 * theory.forgetting * steps, rel=0.05)


def test_one_layer_has_a_kernel_that_stays():
    theory = MovingKernel(np.array([3.0, 1.0]), np.array([2.0, 2.0]), 1, 4.0)
    np.testing.assert_allclose(theory.at(np.array([[0.0], [7.0]])), [[3, 1], [3, 1]])
    assert theory.forgetting == 0


@pytest.mark.parametrize(("hidden", "alpha", "rate"), [(1, 0, 0.25), (2, 0, 0.25), (1, 4, 0.25), (2, 4, 0.5)])
def test_the_kernel_of_a_real_network_in_training(hidden, alpha, rate):
    """Its trace, from the size of its mean logits, within 40 %, where it grew or shrank up to ninetyfold."""
    data, K, B, steps = datasets.load("digits"), 10, 64, 200
    torch.manual_seed(0)
    widths = [64] * (hidden + 1)
    layers = [m for n, k in pairwise(widths) for m in (nn.Linear(n, k), nn.ReLU())]
    net = nn.Sequential(nn.Flatten(), *layers, nn.Linear(64, K))
    x, y = torch.as_tensor(data.x_train), torch.as_tensor(data.y_train).long()

    def spectrum():
        return measure_spectrum(net, x[:200], data.y_train[:200], x[:2], data.y_train[:2], num_classes=K)

    before = spectrum()
    theory = MovingKernel(before.eigenvalues, before.inputs, hidden + 1, float(before.inputs.sum()))
    draw, optimizer, forgotten = torch.Generator().manual_seed(0), torch.optim.SGD(net.parameters(), lr=rate), 0.0
    for _ in range(steps):
        i = torch.randint(len(x), (B,), generator=draw)
        noisy = torch.rand(B, generator=draw) < alpha / (1 + alpha)
        label = torch.where(noisy, torch.randint(K, (B,), generator=draw), y[i])
        logits = net(x[i])
        residual = (logits.detach().softmax(1) - nn.functional.one_hot(label, K)).square().mean()
        forgotten += rate**2 * float(residual) * theory.forgetting / B
        optimizer.zero_grad()
        cross_entropy(logits, label).backward()
        optimizer.step()
    with torch.no_grad():
        logits = net(x[:200])
    size = float((logits - logits.mean(1, keepdim=True)).square().sum(1).mean().sqrt())
    assert float(theory.at(size, forgotten).sum()) == pytest.approx(spectrum().trace, rel=0.4)


def test_heavy_noise_and_one_layer_are_the_linear_theory():
    s = power_law()
    cells = (np.array([[100.0], [400.0]]), 64, 2.0 ** np.arange(-8.0, -3))
    np.testing.assert_allclose(moving_accuracy(s, 1, *cells, 300), learning_curve(s, *cells, 300).accuracy, atol=5e-3)


def test_beyond_the_edge_shallow_networks_go_on_and_deep_ones_are_lost():
    s = power_law()
    rate = 6 * softmax_edge(s, 5, 0.0, 64)
    assert moving_accuracy(s, 1, 0.0, 64, rate, 300) > 0.5
    assert moving_accuracy(s, 5, 0.0, 64, rate, 300) == pytest.approx(0.1)


def test_the_edge_of_a_kernel_that_stays_is_the_steepest_softmax():
    s = power_law()
    steepest = 10 / 9 / 4  # p (1 − p) K/(K − 1) at p = ½
    assert softmax_edge(s, 1, 0.0, 10**9) == pytest.approx(2 / (steepest * 10), rel=1e-3)
    assert softmax_edge(s, 1, 0.0, 16) == pytest.approx(2 / (steepest * (10 + s.trace / 16)), rel=1e-3)
    assert softmax_edge(s, 1, 1e9, 10**9) == pytest.approx(2 * 10 / 10, rel=1e-3)  # uniform output, 2K/h_1
    assert softmax_edge(s, 3, 0.0, 16) < softmax_edge(s, 1, 0.0, 16)


def test_the_best_rate_is_the_highest_of_a_finer_grid_below_the_edge():
    s, alpha = power_law(), np.array([0.5, 3.0, 15.0])
    best, edge = moving_rate(s, 2, alpha, 32, 200), softmax_edge(s, 2, alpha, 32)
    assert (best <= edge * (1 + 1e-12)).all()
    finer = edge[:, None] * 2.0 ** np.arange(-8, 0.01, 0.1)
    top = moving_accuracy(s, 2, alpha[:, None], 32, finer, 200).max(-1)
    np.testing.assert_allclose(moving_accuracy(s, 2, alpha, 32, best, 200), top, atol=2e-3)


def test_momentum_is_a_larger_rate_and_a_schedule_multiplies_it():
    s = power_law()
    plain, heavy = (moving_rate(s, 3, 3.0, 32, 100, momentum=m) for m in (0.0, 0.75))
    assert heavy == pytest.approx(plain / 4)
    half = moving_accuracy(s, 3, 3.0, 32, 0.1, 100, schedule=np.full(100, 0.5))
    assert half == pytest.approx(float(moving_accuracy(s, 3, 3.0, 32, 0.05, 100)))


def test_what_it_needs():
    s = power_law()
    with pytest.raises(InputError, match="with the energies of its inputs and without foreign images, got another"):
        moving_rate(replace(s, inputs=None), 2, 1.0, 32, 100)
    with pytest.raises(InputError, match="depth needs to be at least 1, the number of layers with weights, got 0"):
        softmax_edge(s, 0, 1.0, 32)
    with pytest.raises(InputError, match="learning_rate needs finite values > 0, got -1"):
        moving_accuracy(s, 2, 1.0, 32, -1.0, 100)
