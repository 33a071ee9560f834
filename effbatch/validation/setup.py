"""Spec -> `Setup`: what a claim may know before the run, with the networks built but untrained."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from effbatch.claims import Setup
from effbatch.data import datasets
from effbatch.data.dataset import DataSet
from effbatch.data.held_out import with_held_out
from effbatch.engine.visits import image_subset
from effbatch.measure.kernel import measure_spectrum
from effbatch.networks.loading import load_network
from effbatch.noise.foreign import foreign_images
from effbatch.plan.cube import CORE_DIMS
from effbatch.plan.label_noise import noise_matrices
from effbatch.plan.spec import Spec, at
from effbatch.plan.units import steps_for
from effbatch.theory.spectrum import Spectrum

FOREIGN_IMAGES = 1000  # of them see how much they overlap the clean ones


def setup_of(spec: Spec) -> Setup:
    """The setup of a spec; kernels are measured when a claim asks for them, once per network and data set.

    Of an adaptive grid, the claim sees the rates from start to stop at the finest spacing: what it may come to.
    """
    extras = {key: values for key, values in spec.grid.items() if key not in CORE_DIMS}
    points = [dict(zip(extras, values, strict=True)) for values in product(*extras.values())]

    def settings(point: Mapping[str, Any]) -> dict[str, Any]:
        data, train = at(spec, point)
        return {**vars(data), **vars(train)}

    def steps(point: Mapping[str, Any], alpha: float, batch_size: int) -> int:
        data, train = at(spec, point)
        clean_examples = data.clean_examples or len(datasets.load(data.dataset).x_train)
        return steps_for(train, batch_size, alpha, clean_examples)

    def spectrum(point: Mapping[str, Any], *, seed: int = spec.grid["seed"][0]) -> Spectrum:
        data, train = at(spec, point)
        dataset = datasets.load(data.dataset)
        images = dataset, data.clean_examples, data.source
        return initial_spectrum(train.network, *images, seed=seed, last_layer=train.last_layer)

    def noise_matrix(point: Mapping[str, Any], alpha: float) -> np.ndarray | None:
        data, _ = at(spec, point)
        matrices = noise_matrices(data, datasets.load(data.dataset), [alpha])
        return None if matrices is None else matrices[0]

    grid = spec.grid if spec.ladder is None else {**spec.grid, "learning_rate": spec.ladder.between_ends}
    return Setup(grid, points, settings, steps, spectrum, noise_matrix)


@cache  # by the data set itself: its name may come to mean another content
def initial_spectrum(
    network: str,
    data: DataSet,
    clean_examples: int = 0,
    source: str | None = None,
    *,
    seed: int,
    last_layer: float = 1.0,
) -> Spectrum:
    """Kernel spectrum of a network (see `loading`) as initialised by `seed`, on clean training images of a data set.

    A part of them is held out to score the predicted accuracy: a prediction never sees the test set. With
    `clean_examples` the kernel is taken on the images that this seed trains on, and others are held out. `source` is
    that of the foreign images that noisy copies show, `last_layer` a factor on the weights of the last layer.
    """
    net = load_network(network, data.image_shape, data.num_classes, seed=seed, last_layer=last_layer)
    images = with_held_out(data)
    available = len(data.x_train)
    if 0 < clean_examples < available:
        train = image_subset(seed, clean_examples, available)
        held_out = np.setdiff1d(np.arange(available), train)[:500]
        images = (data.x_train[train], data.y_train[train], data.x_train[held_out], data.y_train[held_out])
    foreign = None
    if source is not None:
        foreign = foreign_images(source, data)
        foreign = foreign[:: max(1, len(foreign) // FOREIGN_IMAGES)][:FOREIGN_IMAGES]
    return measure_spectrum(net, *images, num_classes=data.num_classes, foreign=foreign)
