"""The kernel against a loop of gradients, and its prediction against training the linearised network."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.func import functional_call, jacrev, vmap

from effbatch.dynamics import learning_curve
from effbatch.errors import InputError
from effbatch.training.kernel import measure_spectrum


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
def test_spectrum_rebuilds_the_kernel_of_a_loop_of_gradients(chunk):
    rng = np.random.default_rng(0)
    x, y = torch.tensor(rng.standard_normal((30, 1, 8)), dtype=torch.float32), rng.integers(4, size=30)
    network = small_network()
    network.train()
    s = measure_spectrum(network, x[:20], y[:20], x[20:], y[20:], num_classes=4, chunk=chunk)
    assert network.training  # left as found
    network.eval()
    order = np.random.default_rng(0).permutation(20)  # the draw of seed 0
    gram = naive_kernel(network, x[order], x[order], 4)
    rows = naive_kernel(network, x[20:], x[order], 4)

    h, test = s.eigenvalues, s.held_out
    np.testing.assert_allclose(h, np.linalg.eigvalsh(gram / 20)[::-1], atol=1e-6 * h[0])
    assert s.trace == pytest.approx(np.trace(gram) / 20, rel=1e-5)
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


def test_only_the_examples_asked_for():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((40, 1, 8)), rng.integers(4, size=40)
    s, again, other = (
        measure_spectrum(small_network(), x, y, x, y, num_classes=4, max_examples=12, seed=seed) for seed in (0, 0, 1)
    )
    assert s.examples == len(s.eigenvalues) == 12
    np.testing.assert_array_equal(s.eigenvalues, again.eigenvalues)
    assert not np.allclose(s.eigenvalues, other.eigenvalues)


def test_mismatches_are_named():
    x, y = np.zeros((5, 1, 8)), np.arange(5) % 4
    with pytest.raises(InputError, match="needs to return 3 logits per image; shape"):
        measure_spectrum(small_network(), x, y % 3, x, y % 3, num_classes=3)
    with pytest.raises(InputError, match=r"0 to 3 is needed for each of 5 images; labels of shape \(4,\)"):
        measure_spectrum(small_network(), x, y[:4], x, y, num_classes=4)
    with pytest.raises(InputError, match="from 0 to 4 came"):
        measure_spectrum(small_network(), x, y, x, np.arange(5), num_classes=4)


def train_linearised(network, x, y, x_test, y_test, alphas, rates, batch, steps, seed):
    """Accuracy of softmax regression on the frozen gradients of `network`, trained on fresh noisy labels."""
    weights = {name: p.detach() for name, p in network.named_parameters()}

    def features(images):
        jacobian = vmap(jacrev(lambda w, z: functional_call(network, w, (z[None],))[0]), in_dims=(None, 0))
        return torch.cat([j.flatten(2) for j in jacobian(weights, images).values()], 2)

    with torch.no_grad():
        start, start_test = network(x), network(x_test)
        phi, phi_test = features(x), features(x_test)
    signal = 1 / (1 + torch.tensor(alphas))
    eta = torch.tensor(rates)
    generator = torch.Generator().manual_seed(seed)
    w = torch.zeros(phi.shape[2], len(eta))
    for _ in range(steps):
        i = torch.randint(len(x), (batch,), generator=generator)
        true = torch.rand(batch, generator=generator) < signal[:, None]
        label = torch.where(true, y[i], torch.randint(10, (batch,), generator=generator))
        logits = start[i][..., None] + (phi[i] @ w)
        residual = logits.softmax(1) - nn.functional.one_hot(label.T, 10).transpose(1, 2)
        w -= eta * torch.einsum("bkp,bkm->pm", phi[i], residual) / batch
    logits = start_test[..., None] + phi_test @ w
    return (logits.argmax(1) == y_test[:, None]).float().mean(0).numpy()


def test_predicts_the_linearised_softmax_network_on_digits():
    x, y = load_digits(return_X_y=True)
    x = torch.tensor((x / 16 - (x / 16).mean()) / (x / 16).std(), dtype=torch.float32)
    y = torch.tensor(y)
    alphas = np.repeat([0.0, 3.0, 15.0], 3)
    rates = 2.0 ** np.array([-5, -3, -1, -5, -3, -2, -7, -5, -4], dtype=np.float32)  # up to the best
    predicted, measured = [], []
    for seed in range(2):
        order = torch.tensor(np.random.default_rng(seed).permutation(len(x)))
        train, test = order[:700], order[700:1000]
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
        data = x[train], y[train], x[test], y[test]
        s = measure_spectrum(network, *data, num_classes=10, max_examples=500)
        predicted.append(learning_curve(s, alphas, 64, rates, 200).accuracy)
        measured.append(train_linearised(network, *data, alphas.astype(np.float32), rates, 64, 200, seed))
    table = 100 * np.array([np.mean(predicted, 0), np.mean(measured, 0)])
    print(np.round(np.vstack([alphas, np.log2(rates), table]), 1))  # alpha, log2 eta, predicted %, measured %
    gap = table[0] - table[1]
    assert np.sqrt((gap**2).mean()) < 4
    assert np.abs(gap).max() < 6
