"""Closed-form gradient moments at every α -> how well they agree with gradients of labels that are really noisy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from effbatch.core.estimate import Estimate
from effbatch.measure.gradients import measure_moments
from effbatch.networks.per_image import as_images, image_gradients, trainable_weights
from effbatch.noise import UniformNoise
from effbatch.noise.labels import fresh_label
from effbatch.theory.moments import GradientMoments

Floats = NDArray[np.float64]
Whole = NDArray[np.integer]

ENUMERATED = 12  # images whose every label is enumerated


def of_these_images(
    network: nn.Module, x: Floats, y: Whole, sampled: GradientMoments, *, num_classes: int
) -> GradientMoments:
    """The five numbers of the images x (n, ...) themselves, of which `sampled` are those of their population.

    Here ‖G‖² is that of the mean over the images, no U-statistic; S_0 and S_N are means over the images in both.
    """
    eye = np.eye(num_classes)
    G_0 = _mean_gradient(network, x, eye[y])
    G_N = _mean_gradient(network, x, np.full((len(y), num_classes), 1 / num_classes))
    return replace(
        sampled,
        clean_norm_squared=float(G_0 @ G_0),
        clean_noisy_inner=float(G_0 @ G_N),
        noisy_norm_squared=float(G_N @ G_N),
    )


def intervals_hold(
    network: nn.Module,
    x: Floats,
    y: Whole,
    closed: GradientMoments,
    alpha: float,
    *,
    num_classes: int,
    images: int,
    rng: np.random.Generator,
) -> tuple[bool, bool]:
    """Whether the 95 % intervals of ‖G‖², and of E‖g‖², from one noised data set hold the closed form at α.

    It has `images` of the images x, drawn with replacement, their labels drawn at α and then taken for clean.
    """
    chosen = rng.integers(0, len(x), images)
    seed = np.array(rng.integers(2**62))
    labels = fresh_label(y[chosen], np.arange(images), np.array(0), alpha, seed, num_classes=num_classes)
    found = measure_moments(network, x[chosen], labels, num_classes=num_classes, mode="evaluation").numbers()
    return (
        _holds(found["clean_norm_squared"], closed.mean_norm_squared(alpha)),
        _holds(found["clean_second_moment"], closed.second_moment(alpha)),
    )


def exact_error(network: nn.Module, x: Floats, y: Whole, alphas: Sequence[float], *, num_classes: int) -> float:
    """Greatest relative error of ‖G_α‖² and S_α, all from per-image gradients of each of the K labels."""
    images = as_images(network, x)
    p = network(images).softmax(1).detach()
    residuals = p[:, None] - torch.eye(num_classes, dtype=p.dtype, device=p.device)
    parts = image_gradients(network, trainable_weights(network), images, lambda _, v: v, residuals)
    gradients = torch.cat(list(parts.values()), dim=2).cpu().numpy()  # (images, K labels, parameters)
    squares = (gradients**2).sum(2)
    clean, noisy = gradients[np.arange(len(y)), y], gradients.mean(1)
    G_0, G_N, S_0, S_N = clean.mean(0), noisy.mean(0), squares[np.arange(len(y)), y].mean(), squares.mean()
    closed = GradientMoments(G_0 @ G_0, G_0 @ G_N, G_N @ G_N, S_0, S_N)
    worst = 0.0
    for alpha in alphas:
        labels = UniformNoise(alpha, num_classes).transition_matrix()[y]
        mean = np.einsum("ik,ikp->p", labels, gradients) / len(y)
        second = (labels * squares).sum(1).mean()
        worst = max(
            worst,
            abs(closed.mean_norm_squared(alpha) / (mean @ mean) - 1),
            abs(closed.second_moment(alpha) / second - 1),
        )
    return float(worst)


@torch.enable_grad()
def _mean_gradient(network: nn.Module, x: Floats, targets: Floats) -> torch.Tensor:
    """Gradient of the mean cross-entropy against `targets` (n, K), flat."""
    logits = network(as_images(network, x))
    loss = nn.functional.cross_entropy(logits, torch.as_tensor(targets, dtype=logits.dtype, device=logits.device))
    weights = [w for w in network.parameters() if w.requires_grad]
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights, materialize_grads=True)])


def _holds(found: Estimate, truth: float) -> bool:
    low, high = found.interval or (None, None)
    return low is not None and high is not None and low <= truth <= high
