"""Gradient moments against brute force -> effbatch/validation/moments_check.json, which the scorecard reads.

python benchmarks/moments_check.py         # after `measure.moments_check`, or the gradients that it checks, changed
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np

from effbatch.data import datasets
from effbatch.measure.gradients import measure_moments
from effbatch.measure.moments_check import ENUMERATED, exact_error, intervals_hold, of_these_images
from effbatch.networks import zoo
from effbatch.validation.scorecard import MOMENTS

NETWORK, DATASET = "mlp1", "digits"
ALPHAS = (0.0, 1.0, 4.0, 15.0)
DRAWS = 15  # noised data sets per α
IMAGES = 150  # in each of them


def check(network: str = NETWORK, dataset: str = DATASET, *, draws: int = DRAWS, images: int = IMAGES) -> dict:
    """The closed form of `moments.GradientMoments` on a built-in network at initialisation, uniform noise.

    exact_error     greatest relative error of mean gradient and second moment at α, from the five numbers, against the
                    sum over all images and all K labels with their probabilities
    inside, cells   of how many data sets, images drawn with replacement and labels really drawn at α, then taken for
                    clean, the 95 % intervals of E‖g‖² and of ‖G‖² held the closed form
    """
    data = datasets.load(dataset)
    net = zoo.build(network, data.image_shape, data.num_classes, seed=0).double()
    x, y, K = data.x_train.astype(np.float64), data.y_train, data.num_classes
    closed = of_these_images(net, x, y, measure_moments(net, x, y, num_classes=K).estimate, num_classes=K)
    rng = np.random.default_rng(0)
    inside = [
        intervals_hold(net, x, y, closed, alpha, num_classes=K, images=images, rng=rng)
        for alpha in ALPHAS
        for _ in range(draws)
    ]
    error = exact_error(net, x[:ENUMERATED], y[:ENUMERATED], ALPHAS, num_classes=K)
    return {"exact_error": error, "inside": int(np.sum(inside)), "cells": 2 * len(ALPHAS) * draws}


def main() -> None:
    """Check, and write what came out with the command that repeats it."""
    found = check()
    source = (
        f"`python benchmarks/moments_check.py` ({NETWORK} on {DATASET}, cpu, {found['cells']} intervals, "
        f"{datetime.now(UTC):%Y-%m-%d})"
    )
    MOMENTS.write_text(json.dumps({**found, "source": source}, indent=2) + "\n", encoding="utf-8")
    print(MOMENTS.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
