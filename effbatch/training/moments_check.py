"""Closed-form gradient moments at every α -> how well they agree with gradients of labels that are really noisy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from effbatch.moments import GradientMoments
from effbatch.noise import UniformNoise, fresh_label
from effbatch.training import datasets, networks
from effbatch.training.gradients import measure_moments
from effbatch.training.probe import image_gradients, trainable_weights

ALPHAS = (0.0, 1.0, 4.0, 15.0)
DRAWS = 15  # noised data sets per α
IMAGES = 150  # in each of them
ENUMERATED = 12  # images whose every label is enumerated


@dataclass(frozen=True)
class MomentsCheck:
    """`exact_error`: greatest relative error of the closed form against every label enumerated with its probability.

    inside, cells   of how many explicitly noised data sets the 95 % interval of E‖g‖² and of ‖G‖² held the closed form
    """

    exact_error: float
    inside: int
    cells: int


def check_moments(network: str = "mlp1", dataset: str = "digits", *, seed: int = 0) -> MomentsCheck:
    """Check the closed form of `moments.GradientMoments` on a built-in network at initialisation, uniform noise.

    Exact: mean gradient and second moment at α, from the five numbers, against the sum over all images and all K labels
    with their probabilities. Sampled: images are drawn with replacement, their labels really drawn at α and then taken
    for clean; the closed form, from the whole training set's clean labels, should lie in 95 % of the intervals.
    """
    data = datasets.load(dataset)
    net = networks.build(network, data.image_shape, data.num_classes, seed=seed).double()
    x, y, K = data.x_train.astype(np.float64), data.y_train, data.num_classes
    whole = measure_moments(net, x, y, num_classes=K).estimate
    rng = np.random.default_rng(seed)
    inside = 0
    for alpha in ALPHAS:
        for draw in range(DRAWS):
            images = rng.integers(0, len(x), IMAGES)
            labels = fresh_label(y[images], np.arange(IMAGES), np.array(draw), alpha, np.array(seed), num_classes=K)
            found = measure_moments(net, x[images], labels, num_classes=K).numbers()
            for name, truth in (
                ("clean_norm_squared", whole.mean_norm_squared(alpha)),
                ("clean_second_moment", whole.second_moment(alpha)),
            ):
                low, high = found[name].interval or (np.nan, np.nan)
                inside += bool(low is not None and high is not None and low <= truth <= high)
    return MomentsCheck(_exact_error(net, x[:ENUMERATED], y[:ENUMERATED], K), inside, 2 * len(ALPHAS) * DRAWS)


def _exact_error(net: torch.nn.Module, x: np.ndarray, y: np.ndarray, K: int) -> float:
    """Greatest relative error of ‖G_α‖² and S_α, all from per-image gradients of each of the K labels."""
    images = torch.as_tensor(x)
    residuals = net(images).softmax(1).detach()[:, None] - torch.eye(K, dtype=torch.float64)
    parts = image_gradients(net, trainable_weights(net), images, residuals)
    gradients = torch.cat(list(parts.values()), dim=2).numpy()  # (images, K labels, parameters)
    squares = (gradients**2).sum(2)
    clean, noisy = gradients[np.arange(len(y)), y], gradients.mean(1)
    G_0, G_N, S_0, S_N = clean.mean(0), noisy.mean(0), squares[np.arange(len(y)), y].mean(), squares.mean()
    closed = GradientMoments(G_0 @ G_0, G_0 @ G_N, G_N @ G_N, S_0, S_N)
    worst = 0.0
    for alpha in ALPHAS:
        labels = UniformNoise(alpha, K).transition_matrix()[y]
        mean = np.einsum("ik,ikp->p", labels, gradients) / len(y)
        second = (labels * squares).sum(1).mean()
        worst = max(
            worst,
            abs(closed.mean_norm_squared(alpha) / (mean @ mean) - 1),
            abs(closed.second_moment(alpha) / second - 1),
        )
    return float(worst)
