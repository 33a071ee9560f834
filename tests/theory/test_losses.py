"""Slope and curvature of losses at uniform output, against derivatives that PyTorch takes of the losses themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from slow_twin import loss_of
from test_dynamics import power_law

from effbatch import noise
from effbatch.plan.spec import Train
from effbatch.theory.dynamics import learning_curve
from effbatch.theory.losses import slope_and_curvature, with_start

K, ALPHA = 5, 3.0
CENTRED = np.eye(K) - 1 / K
T = torch.as_tensor(noise.expected_targets(ALPHA, np.full((K, K), 1 / K)))


def derivatives(train: Train, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and Hessian in the logits, at uniform output."""

    def loss(logits):
        return loss_of(train, logits[None], torch.eye(K, dtype=torch.float64)[[label]], T)

    zero = torch.zeros(K, dtype=torch.float64)
    both = torch.autograd.functional.jacobian(loss, zero), torch.autograd.functional.hessian(loss, zero)
    return both[0].numpy(), both[1].numpy()


@pytest.mark.parametrize(
    "train", [Train(), Train(label_smoothing=0.3), Train(loss="gce"), Train(loss="forward")], ids=lambda t: t.loss
)
def test_slope_and_mean_curvature_are_the_derivatives(train):
    g, c = slope_and_curvature(train.loss, ALPHA, K, label_smoothing=train.label_smoothing)
    gradients, hessians = zip(*(derivatives(train, label) for label in range(K)), strict=True)
    np.testing.assert_allclose(np.stack(gradients), -g * CENTRED, atol=1e-12)
    curvature = np.mean(hessians, axis=0)  # over labels that say nothing
    if train.loss == "forward":  # Gauss-Newton: mean of g gᵀ over labels as the network gives them
        curvature = np.mean([np.outer(one, one) for one in gradients], axis=0)
    np.testing.assert_allclose(curvature, c * CENTRED / K, atol=1e-12)


def test_a_start_changes_the_energy_of_the_initial_function_alone():
    spectrum = power_law()
    twice, none = with_start(spectrum, 2), with_start(spectrum, 0)
    np.testing.assert_allclose(twice.initial_energies, 4 * spectrum.initial_energies)
    at = 3.0, 32, 0.05, 300
    given, alike = (
        replace(spectrum, initial_energies=energies)
        for energies in (0 * spectrum.initial_energies, twice.initial_energies)
    )
    assert learning_curve(none, *at).accuracy == learning_curve(given, *at).accuracy
    assert (
        learning_curve(twice, *at).accuracy == learning_curve(alike, *at).accuracy < learning_curve(none, *at).accuracy
    )
