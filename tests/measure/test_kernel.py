"""The kernel against a loop of gradients, and its prediction against training the linearised network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.func import functional_call, jacrev, vmap

from effbatch.core.errors import InputError
from effbatch.measure import kernel
from effbatch.measure.kernel import measure_spectrum
from effbatch.noise import expected_targets
from effbatch.theory.dynamics import learning_curve


def small_network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv1d(1, 3, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(18, 4)
    )  # fmt: skip


def naive_kernel(network: nn.Module, a, b, classes: int) -> np.ndarray:
    def gradients(x):
        rows = []
        for image in x:
            for logit in network(image[None])[0]:
                grads = torch.autograd.grad(logit, list(network.parameters()), retain_graph=True)
                rows.append(torch.cat([g.flatten() for g in grads]))
        return torch.stack(rows).view(len(x), classes, -1)

    return torch.einsum("icp,jcp->ij", gradients(a), gradients(b)).numpy() / classes


@pytest.mark.parametrize("chunk", [7, 10, 100])
def test_spectrum_rebuilds_the_kernel_of_a_loop_of_gradients(chunk, monkeypatch):
    monkeypatch.setattr(kernel, "CHUNK", chunk)
    rng = np.random.default_rng(0)
    x, y = torch.tensor(rng.standard_normal((30, 1, 8)), dtype=torch.float32), rng.integers(4, size=30)
    network = small_network()
    network.train()
    s = measure_spectrum(network, x[:20], y[:20], x[20:], y[20:], num_classes=4)
    assert network.training  # left as found
    network.eval()
    order = np.random.default_rng(0).permutation(20)  # the draw of seed 0
    gram = naive_kernel(network, x[order], x[order], 4)
    rows = naive_kernel(network, x[20:], x[order], 4)

    h, test = s.eigenvalues, s.held_out
    np.testing.assert_allclose(h, np.linalg.eigvalsh(gram / 20)[::-1], atol=1e-6 * h[0])
    assert s.trace == pytest.approx(np.trace(gram) / 20, rel=1e-5)
    assert s.inputs.sum() == pytest.approx(float((x[order] ** 2).sum()) / 20, rel=1e-5)
    np.testing.assert_allclose(
        (h * s.inputs).sum(), ((gram / 20) * (x[order, 0] @ x[order, 0].T / 20).numpy()).sum(), rtol=1e-4
    )
    # rows theta(x, X) theta(X, X)^-1 labels: kernel regression, from the modes and without them
    labels = (np.eye(4)[y[order]] - 1 / 4) / np.sqrt(3 / 4)
    np.testing.assert_allclose(test.modes @ test.target, rows @ np.linalg.solve(gram, labels), atol=1e-3)


def test_energies_are_those_of_labels_and_initial_logits():
    rng = np.random.default_rng(1)
    x, y = torch.tensor(rng.standard_normal((40, 1, 8)), dtype=torch.float32), rng.integers(4, size=40)
    network = small_network()
    s = measure_spectrum(network, x, y, x, y, num_classes=4)
    logits = network.eval()(x).detach().double().numpy()
    energy = ((logits - logits.mean(1, keepdims=True)) ** 2).sum(1).mean() / 4**2 / (3 / 4)
    assert s.target_energies.sum() == pytest.approx(1)
    assert s.initial_energies.sum() == pytest.approx(energy, rel=1e-5)
    assert (s.held_out.start**2).sum(1).mean() == pytest.approx(energy, rel=1e-5)


def test_foreign_images_overlap_the_modes_by_their_mean_square():
    network, (x, y, x_test, y_test) = digits_and_network(0, train=120, test=80)
    s = measure_spectrum(network, x, y, x_test, y_test, num_classes=10, foreign=x_test)
    np.testing.assert_allclose(s.foreign, (s.held_out.modes**2).mean(0), rtol=1e-6)
    same = measure_spectrum(network, x, y, x_test, y_test, num_classes=10, foreign=x)
    np.testing.assert_allclose(same.foreign[:50], 1, rtol=1e-3)  # phi_k has mean square 1 over the images
    np.testing.assert_allclose(same.held_out.modes[:, :50], s.held_out.modes[:, :50], rtol=1e-3, atol=1e-4)
    assert measure_spectrum(network, x, y, x_test, y_test, num_classes=10).foreign is None


def test_at_most_so_many_examples_the_same_ones_every_time(monkeypatch):
    monkeypatch.setattr(kernel, "MOST_EXAMPLES", 12)
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((40, 1, 8)), rng.integers(4, size=40)
    s, again = (measure_spectrum(small_network(), x, y, x, y, num_classes=4) for _ in range(2))
    assert s.examples == len(s.eigenvalues) == 12
    np.testing.assert_array_equal(s.eigenvalues, again.eigenvalues)


def test_mismatches_are_named():
    x, y = np.zeros((5, 1, 8)), np.arange(5) % 4
    with pytest.raises(InputError, match="needs to return 3 logits per example, got shape"):
        measure_spectrum(small_network(), x, y % 3, x, y % 3, num_classes=3)
    with pytest.raises(InputError, match=r"0 to 3 is needed for each of 5 examples, got labels of shape \(4,\)"):
        measure_spectrum(small_network(), x, y[:4], x, y, num_classes=4)
    with pytest.raises(InputError, match=r"got labels of shape \(5,\) from 0 to 4"):
        measure_spectrum(small_network(), x, y, x, np.arange(5), num_classes=4)


def test_indicators_are_the_classes_seen_through_the_modes():
    rng = np.random.default_rng(1)
    x, y = torch.tensor(rng.standard_normal((40, 1, 8)), dtype=torch.float32), np.arange(40) ** 2 % 4  # 0 or 1
    test = measure_spectrum(small_network(), x, y, x, y, num_classes=4).held_out
    np.testing.assert_allclose((test.indicators**2).sum(0), [0.5, 0.5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(test.modes @ test.indicators, np.eye(4)[y], atol=1e-2)  # the same images
    everything_is_2 = np.tile([0.0, 0, 1, 0], (4, 1))
    target = test.modes @ test.target_of(everything_is_2)
    np.testing.assert_allclose(target, np.tile([-0.25, -0.25, 0.75, -0.25] / np.sqrt(3 / 4), (40, 1)), atol=1e-2)


def train_linearised(network, x, y, x_test, y_test, transitions, rates, batch, steps, seed):
    """Accuracy of softmax regression on the frozen gradients of `network`, trained on fresh labels from rows of T.

    One cell per T and rate; the result has shape (cells, test images).
    """
    weights = {name: p.detach() for name, p in network.named_parameters()}

    def features(images):
        jacobian = vmap(jacrev(lambda w, z: functional_call(network, w, (z[None],))[0]), in_dims=(None, 0))
        return torch.cat([j.flatten(2) for j in jacobian(weights, images).values()], 2)

    with torch.no_grad():
        start, start_test = network(x), network(x_test)
        phi, phi_test = features(x), features(x_test)
    cumulative, eta = torch.tensor(transitions).cumsum(2), torch.tensor(rates)
    generator = torch.Generator().manual_seed(seed)
    w = torch.zeros(phi.shape[2], len(eta))
    for _ in range(steps):
        i = torch.randint(len(x), (batch,), generator=generator)
        u = torch.rand(batch, 1, generator=generator, dtype=torch.float64)
        label = (cumulative[:, y[i], :-1] <= u).sum(2)
        logits = start[i][..., None] + (phi[i] @ w)
        residual = logits.softmax(1) - nn.functional.one_hot(label.T, 10).transpose(1, 2)
        w -= eta * torch.einsum("bkp,bkm->pm", phi[i], residual) / batch
    logits = start_test[..., None] + phi_test @ w
    return (logits.argmax(1) == y_test[:, None]).T.numpy()


def digits_and_network(seed, train, test):
    """Images and labels to train and to test on, and an untrained network of one hidden layer."""
    x, y = load_digits(return_X_y=True)
    x = torch.tensor((x / 16 - (x / 16).mean()) / (x / 16).std(), dtype=torch.float32)
    y = torch.tensor(y)
    order = torch.tensor(np.random.default_rng(seed).permutation(len(x)))
    seen, unseen = order[:train], order[train : train + test]
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
    return network, (x[seen], y[seen], x[unseen], y[unseen])


def test_predicts_the_linearised_softmax_network_on_digits(monkeypatch):
    monkeypatch.setattr(kernel, "MOST_EXAMPLES", 500)
    alphas = np.repeat([0.0, 3.0, 15.0], 3)
    rates = 2.0 ** np.array([-5, -3, -1, -5, -3, -2, -7, -5, -4], dtype=np.float32)  # up to the best
    predicted, measured = [], []
    for seed in range(2):
        network, data = digits_and_network(seed, train=700, test=300)
        s = measure_spectrum(network, *data, num_classes=10)
        predicted.append(learning_curve(s, alphas, 64, rates, 200).accuracy)
        transitions = expected_targets(alphas, np.full((10, 10), 0.1))
        measured.append(train_linearised(network, *data, transitions, rates, 64, 200, seed).mean(1))
    table = 100 * np.array([np.mean(predicted, 0), np.mean(measured, 0)])
    print(np.round(np.vstack([alphas, np.log2(rates), table]), 1))  # alpha, log2 eta, predicted %, measured %
    gap = table[0] - table[1]
    assert np.sqrt((gap**2).mean()) < 4
    assert np.abs(gap).max() < 6


def test_predicts_structured_labels_on_digits():
    often_next = 0.6 * np.full((10, 10), 0.1) + 0.4 * np.roll(np.eye(10), 1, axis=1)
    swapped = np.full((10, 10), 0.1)
    swapped[[3, 8]] = np.eye(10)[[8, 3]]  # noisy copies of a 3 are called 8, and the other way round
    cells, rate = [(0.8, often_next), (2.0, often_next), (2.0, swapped)], 2.0**-4
    network, data = digits_and_network(0, train=400, test=600)
    s = measure_spectrum(network, *data, num_classes=10)
    transitions = np.stack([expected_targets(alpha, matrix) for alpha, matrix in cells])
    hits = train_linearised(network, *data, transitions, np.full(3, rate, dtype=np.float32), 64, 150, seed=0)

    def predict(s):
        return np.stack([learning_curve(s, alpha, 64, rate, 150, noise_matrix=m).accuracy for alpha, m in cells])

    np.testing.assert_allclose(predict(s), hits.mean(1), atol=0.05)
    assert learning_curve(s, 2.0, 64, rate, 150).accuracy > hits[1].mean() + 0.15  # uniform noise would do less harm
    # two thirds of the labels of the swapped classes are wrong alike: these are lost, the others are not
    lost, test = np.isin(data[3], [3, 8]), s.held_out
    few = replace(test, modes=test.modes[lost], start=test.start[lost], labels=test.labels[lost])
    assert max(predict(replace(s, held_out=few))[2], hits[2, lost].mean()) < 0.15
    assert hits[2, ~lost].mean() > 0.5


@pytest.mark.parametrize("way", ["BatchNorm without statistics", "by hand"])
def test_images_that_change_each_other_have_no_kernel(way):
    class ByHand(torch.nn.Module):
        def forward(self, x):
            return x - x.mean(0)

    norm = ByHand() if way == "by hand" else torch.nn.BatchNorm1d(4, track_running_stats=False)
    network = torch.nn.Sequential(torch.nn.Linear(4, 4), norm, torch.nn.Linear(4, 3))
    x, y = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32), np.arange(9) % 3
    with pytest.raises(InputError, match="change each other's logits, in evaluation mode too"):
        measure_spectrum(network, x, y, x, y, num_classes=3)
