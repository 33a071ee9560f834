"""The walk of noise against the drift of the signal: Adam followed step by step, and networks trained with it."""

from pathlib import Path

import numpy as np
import pytest
from walk import walk_cap

from effbatch.plan.cube import open_cubes, score

RECORDED = Path(__file__).parents[2] / "simulations" / "results"


def way_back(rate: float, weight: float, noise: float, signal: float, batch: int, steps: int, walks: int = 4000):
    """Mean and standard deviation of weights that start at -weight, by Adam on a gradient of constant mean -signal."""
    rng = np.random.default_rng(0)
    w, m, v = np.full(walks, -weight), np.zeros(walks), np.full(walks, (signal**2 + noise**2 / batch))
    for _ in range(steps):
        g = -signal + noise / np.sqrt(batch) * rng.standard_normal(walks)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w -= rate * m / np.sqrt(v)
    return w.mean(), w.std()


@pytest.mark.parametrize(("alpha", "batch"), [(1, 16), (3, 64)])
def test_at_the_rate_noise_moves_weights_as_far_as_the_signal_brings_them_back(alpha, batch):
    weight, scale = 0.07, 2000
    rate = float(walk_cap(weight, scale, alpha, batch))
    steps = round(weight / (rate * np.sqrt(batch / (1 + scale)) / (1 + alpha)))
    signal = 1 / (1 + alpha)
    there, moved = way_back(rate, weight, np.sqrt(1 + scale - signal**2), signal, batch, steps)
    assert there == pytest.approx(0, abs=0.1 * weight)
    assert moved == pytest.approx(weight, rel=0.1)


def test_it_grows_as_the_root_of_the_effective_batch():
    alpha, B = np.array([0, 1, 7])[:, None], np.array([8, 32])
    np.testing.assert_allclose(walk_cap(0.1, 30, alpha, B) ** 2, 0.01 / 31 * B / (1 + alpha) ** 2)


@pytest.mark.parametrize("dataset", ["digits", "fashion-mnist-14"])
def test_recorded_networks_keep_what_they_learn_below_it_and_lose_it_beyond(dataset):
    from effbatch.data import datasets
    from effbatch.measure.gradients import measure_moments
    from effbatch.networks.loading import load_network

    data = datasets.load(dataset)
    network = load_network("mlp1", data.image_shape, 10, seed=0)
    matrices = [w.detach().flatten() for w in network.parameters() if w.ndim > 1]
    weight = float(np.concatenate(matrices).astype(float).std())
    scale = measure_moments(network, data.x_train[:600], data.y_train[:600], num_classes=10).noise_scale(0).value
    cube = open_cubes(RECORDED / dataset)["learning_rate_adam" + f"-{dataset}" * (dataset != "digits")]
    noisy = score(cube).mean("seed").squeeze(drop=True).sel(alpha=slice(1, None)).transpose("alpha", "batch_size", ...)
    rates, best = np.log2(noisy["learning_rate"].values), noisy.max("learning_rate").values
    caps = np.log2(walk_cap(weight, scale, noisy["alpha"].values[:, None], noisy["batch_size"].values))
    for i, row in enumerate(caps):
        for j, cap in enumerate(row):
            below, beyond = np.interp([cap - 1, cap + 1], rates, noisy.values[i, j])
            assert beyond < (best[i, j] + 0.1) / 2 < below
