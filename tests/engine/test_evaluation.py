"""The cross-entropy at the best temperature: against a fine grid of temperatures, and along training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic import unit
from torch.nn.functional import cross_entropy

from effbatch.engine.evaluation import calibrated_loss
from effbatch.engine.train import train_unit

CPU = torch.device("cpu")


def drawn(scale: float, num_classes: int = 5, examples: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that know a little of their labels, `scale` times too large."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(num_classes, (examples,), generator=rng)
    logits = torch.randn(examples, num_classes, generator=rng, dtype=torch.float64)
    logits[torch.arange(examples), labels] += 0.7
    return scale * logits.T, labels


@pytest.mark.parametrize("scale", [1e-3, 0.3, 1.0, 40.0])
def test_it_is_the_least_over_temperatures_and_blind_to_the_scale(scale):
    logits, labels = drawn(scale)
    by_grid = min(float(cross_entropy(logits.T * beta / scale, labels)) for beta in np.geomspace(0.01, 100, 4001))
    assert float(calibrated_loss(logits, labels)) == pytest.approx(by_grid, rel=1e-6)


def test_logits_that_mislead_are_worth_no_more_than_chance():
    logits, labels = drawn(1.0)
    assert float(calibrated_loss(-logits, labels)) == pytest.approx(np.log(5))


def test_a_logit_that_is_not_finite_gives_nan():
    logits, labels = drawn(1.0)
    both = torch.stack([logits, logits])
    both[1, 2, 3] = torch.inf
    assert calibrated_loss(both, labels).isnan().tolist() == [False, True]


def test_it_is_measured_along_training(little_images):
    asked = unit(measure=("calibrated_loss",), learning_rates=(0.05, 1e30))
    found = train_unit(asked, little_images, device=CPU)
    plain = train_unit(unit(learning_rates=(0.05, 1e30)), little_images, device=CPU)
    np.testing.assert_array_equal(found["test_loss_history"], plain["test_loss_history"])
    values, loss = found["calibrated_loss_history"], found["test_loss_history"]
    assert values.shape == loss.shape
    assert (values[:, 0] < loss[:, 0]).all()
    assert (values[:, 0] < np.log(3)).all()
    assert np.isnan(values[:, 1, :, -1]).all()
