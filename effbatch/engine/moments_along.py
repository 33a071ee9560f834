"""The weights of a network in training -> its gradient moments there, and how far labels really noised bear them out.

In double precision, on images of the training set alone.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from effbatch.data.dataset import DataSet
from effbatch.engine.visits import image_subset
from effbatch.measure.gradients import measure_moments
from effbatch.measure.moments_check import ENUMERATED, exact_error, intervals_hold, of_these_images
from effbatch.networks.untouched import evaluation_mode

IMAGES = 400  # measured, the same ones at every checkpoint of a seed
NOISED_SETS = 4  # per checkpoint
NOISED_IMAGES = 100  # in each of them, drawn from those measured


def moments_along(
    network: nn.Module, dataset: DataSet, *, clean_examples: int, alpha: float, seed: int, step: int
) -> dict[str, float]:
    """The variables of `cube.MEASURED["moments"]` at the network's present weights, for uniform noise.

    The five numbers, with 95 % intervals, are those of `measure_moments` on (at most) 400 of the images that `seed`
    trains on. Of these images' own moments, the closed form at `alpha` is compared with data sets really noised at
    alpha and with labels enumerated: `moments_check`. Random numbers depend on seed, step and alpha.
    `network` becomes one of float64, and is measured in evaluation mode: that is where labels can be enumerated.
    """
    K = dataset.num_classes
    trained_on = image_subset(seed, clean_examples, len(dataset.x_train))
    chosen = trained_on[np.random.default_rng(seed).permutation(len(trained_on))[:IMAGES]]
    x, y = dataset.x_train[chosen], dataset.y_train[chosen]
    if x.dtype.kind == "f":  # tokens stay whole
        x = x.astype(np.float64)
    measured = measure_moments(network.double(), x, y, num_classes=K, mode="evaluation")
    rng = np.random.default_rng([seed, step, int(np.float64(alpha).view(np.uint64))])
    with evaluation_mode(network):
        closed = of_these_images(network, x, y, measured.estimate, num_classes=K)
        inside = [
            intervals_hold(network, x, y, closed, alpha, num_classes=K, images=NOISED_IMAGES, rng=rng)
            for _ in range(NOISED_SETS)
        ]
        error = exact_error(network, x[:ENUMERATED], y[:ENUMERATED], (alpha,), num_classes=K)
    values: dict[str, float] = {}
    for name, found in measured.numbers().items():
        low, high = found.interval or (None, None)
        limits = {name: found.value, f"{name}_low": low, f"{name}_high": high}
        values |= {key: np.nan if value is None else value for key, value in limits.items()}
    norm, second = map(sum, zip(*inside, strict=True))
    return {
        **values,
        "noised_sets": NOISED_SETS,
        "norm_squared_inside": norm,
        "second_moment_inside": second,
        "exact_error": error,
    }
