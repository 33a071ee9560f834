"""The cross-entropy at the best temperature: against a fine grid of temperatures, and along training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import unit
from torch.nn.functional import cross_entropy

from effbatch.core.errors import InputError
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


def test_it_is_that_of_all_images_where_they_are_seen_in_turns(little_images, monkeypatch):
    """A dense network writes the logits of a turn over those of the turn before."""
    asked = unit(measure=("calibrated_loss",), learning_rates=(0.05,))
    at_once = train_unit(asked, little_images, device=CPU)["calibrated_loss_history"]
    turn = len(little_images.x_test) // 4
    monkeypatch.setattr("effbatch.engine.members.images_that_fit", lambda *_: turn)
    in_turns = train_unit(asked, little_images, device=CPU)["calibrated_loss_history"]
    np.testing.assert_allclose(in_turns, at_once, rtol=1e-5, atol=1e-9)


@pytest.fixture
def wrongly_labelled(little_images):
    """Every third training label is wrong."""
    clean = little_images.y_train
    given = np.where(np.arange(len(clean)) % 3 == 0, (clean + 1) % 3, clean)
    return replace(little_images, y_train=given, clean_labels=clean)


def test_labels_given_train_as_they_are_and_are_memorised_at_length(wrongly_labelled):
    given = unit(noise="given", measure=("memorised",), alphas=(0.0,), steps=400)
    found = train_unit(given, wrongly_labelled, device=CPU)
    plain = train_unit(unit(alphas=(0.0,), steps=400), wrongly_labelled, device=CPU)
    np.testing.assert_array_equal(found["test_loss"], plain["test_loss"])
    memorised = found["memorised_history"][0, 1]  # at the higher rate
    assert memorised.shape == (2, 2)
    assert (memorised[:, -1] > 0.9).all()
    early = train_unit(replace(given, steps=4, checkpoints=(2, 4)), wrongly_labelled, device=CPU)
    assert (early["memorised_history"][0, 1, :, 0] < 0.8).all()


def test_twins_are_memorised_with_labels_of_their_own(wrongly_labelled):
    clean_given = replace(wrongly_labelled, y_train=wrongly_labelled.clean_labels)
    twin = unit(noise="same_rate", measure=("memorised",), alphas=(0.0,), steps=400)
    assert (train_unit(twin, wrongly_labelled, device=CPU)["memorised_history"][0, 1, :, -1] > 0.9).all()
    with pytest.raises(InputError, match="needs wrong labels among the training images of every seed, got none"):
        train_unit(twin, clean_given, device=CPU)


def test_what_a_seed_memorises_does_not_depend_on_the_seeds_beside_it(wrongly_labelled):
    asked = unit(noise="same_rate", measure=("memorised",), alphas=(0.0,), seeds=(0, 3, 5), steps=60)
    together = train_unit(asked, wrongly_labelled, device=CPU)["memorised_history"]
    for s, seed in enumerate(asked.seeds):
        alone = train_unit(replace(asked, seeds=(seed,)), wrongly_labelled, device=CPU)["memorised_history"]
        np.testing.assert_array_equal(alone[..., 0, :], together[..., s, :])
