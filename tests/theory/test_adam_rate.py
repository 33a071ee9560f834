"""Adam's rate from that of SGD, against both optimisers really run on a linear model with label noise."""

import numpy as np
import pytest
from adam_rate import adam_over_sgd

SCALES = np.geomspace(0.1, 3, 60)  # of the features: coordinates of unequal gradients
BATCH = 8


def steady_loss(rate, optimizer, steps=6000, repeats=8):
    """Mean excess loss ½ E(x·w)² of the second half of a run on pure noise, and the mean g² of every coordinate."""
    rng = np.random.default_rng(0)
    w, m, v, loss, squares = (np.zeros((repeats, len(SCALES))) for _ in range(5))
    for t in range(1, steps + 1):
        x = SCALES * rng.standard_normal((repeats, BATCH, len(SCALES)))
        residual = np.einsum("rbi,ri->rb", x, w) - rng.standard_normal((repeats, BATCH))
        g = np.einsum("rbi,rb->ri", x, residual) / BATCH
        if optimizer == "adam":
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            w = w - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        else:
            w = w - rate * g
        if 2 * t > steps:
            loss, squares = loss + 0.5 * (SCALES * w) ** 2, squares + g**2
    return loss.sum(1).mean() / (steps / 2), squares.mean(0) / (steps / 2)


def test_adam_at_the_predicted_rate_ends_as_noisy_as_sgd():
    rate = 2e-3
    of_sgd, squares = steady_loss(rate, "sgd")
    ratio = adam_over_sgd(squares)
    of_adam, _ = steady_loss(ratio * rate, "adam")
    assert of_adam == pytest.approx(of_sgd, rel=0.15)
    plain = np.sqrt(squares.mean())
    assert plain < 0.8 * ratio
    assert steady_loss(plain * rate, "adam")[0] < 0.8 * of_sgd


def test_equal_coordinates_give_the_simple_formula_and_unequal_ones_more():
    P, B, S_0 = 50, 16, 3.0
    assert adam_over_sgd(np.full(P, S_0 / (P * B))) == pytest.approx(np.sqrt(S_0 / (P * B)))
    q = np.random.default_rng(0).random(P)
    assert adam_over_sgd(q) > np.sqrt(q.mean())
    assert adam_over_sgd(q, 4 * q) == pytest.approx(adam_over_sgd(q) / 2)
