"""Training in float32, as the engine does it, agrees with a float64 loop to 1e-5 of the loss after a short run."""

from __future__ import annotations

import pytest
import torch
from slow_twin import train_cell
from synthetic import unit

from effbatch.engine.train import train_unit

STEPS, RELATIVE = 100, 1e-5


@pytest.mark.parametrize("copies", ["fresh", "fixed"])
def test_float32_training_is_float64_training_but_for_rounding(copies, little_images):
    small = unit(copies=copies, steps=STEPS, batch_size=8, learning_rates=(0.03, 0.3), seeds=(0,))
    trained = train_unit(small, little_images, device=torch.device("cpu"))
    for a, alpha in enumerate(small.alphas):
        for r, rate in enumerate(small.learning_rates):
            accuracy, loss = train_cell(small, little_images, alpha, rate, 0, dtype=torch.float64)
            assert trained["test_loss"][a, r, 0] == pytest.approx(loss, rel=RELATIVE)
            assert trained["test_accuracy"][a, r, 0] == pytest.approx(accuracy, abs=1e-6)
