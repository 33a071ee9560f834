"""Structured noise in training: the order of the false labels, and labels drawn from the matrix of each α."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from effbatch.claims.shared import linearised
from effbatch.core.errors import InputError
from effbatch.data import datasets
from effbatch.data.dataset import DataSet
from effbatch.engine.train import train_unit
from effbatch.engine.visits import Stream
from effbatch.noise import expected_targets, structured_noise_matrix
from effbatch.noise.class_orders import class_order, reference_confusion
from effbatch.plan import spec
from effbatch.plan.label_noise import noise_matrices
from effbatch.plan.spec import Data, Train
from effbatch.plan.units import Unit
from effbatch.theory.dynamics import learning_curve
from effbatch.validation.setup import setup_of

ALPHAS = (0.0, 0.5, 4.0, 20.0)
STRUCTURED = Data(noise="structured", delta=0.8, order="confusion")


def on_a_line(places: list[float], images: int = 400) -> DataSet:
    """Classes as noisy points: the nearer their places, the more easily one is taken for the other."""
    rng = np.random.default_rng(5)
    y = rng.integers(0, len(places), images)
    x = rng.normal(size=(images, 1, 1, 2))
    x[:, 0, 0] += np.exp(1j * np.array(places)[y]).view(float).reshape(-1, 2) * 3  # on a circle
    return DataSet(
        name="line",
        x_train=x.astype(np.float32),
        y_train=y,
        x_test=x[:9].astype(np.float32),
        y_test=y[:9],
        num_classes=len(places),
        source="made here",
    )


def test_the_nearest_class_is_the_commonest_false_label():
    data = on_a_line([0.0, 0.5, 1.5, 3.5])
    order = class_order(data, "confusion")
    false = [[k for k in row if k != c] for c, row in enumerate(order)]
    assert [row[0] for row in false] == [1, 0, 1, 2]
    assert false[1] == [0, 2, 3]
    np.testing.assert_allclose(reference_confusion(data).sum(1), 1)
    np.testing.assert_array_equal(class_order(data, "reverse"), order[:, ::-1])


def test_the_random_order_is_a_permutation_per_class_and_always_the_same(little_images):
    order = class_order(little_images, "random")
    np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(range(3), (3, 1)))
    np.testing.assert_array_equal(order, class_order.__wrapped__(little_images, "random"))
    assert len(np.unique(class_order(on_a_line([0.0] * 8, 50), "random"), axis=0)) > 4  # classes have their own


def test_the_reference_model_is_the_same_each_time(little_images):
    np.testing.assert_array_equal(reference_confusion(little_images), reference_confusion.__wrapped__(little_images))


def test_a_class_without_images_to_judge_is_named():
    data = on_a_line([0.0, 1.0, 2.0])
    of_two = np.flatnonzero(data.y_train == 2)
    data.y_train[of_two[2:]] = 1
    assert class_order(data, "confusion").shape == (3, 3)  # two images will do
    for left, label in enumerate(of_two[1::-1].tolist()):
        data.y_train[label] = 1
        with pytest.raises(InputError, match=rf"two training images of every class .* class 2 has {1 - left}"):
            class_order(replace(data), "confusion")


def test_every_alpha_has_its_own_matrix_in_the_order_asked_for(little_images):
    matrices = noise_matrices(STRUCTURED, little_images, ALPHAS)
    for alpha, matrix in zip(ALPHAS, matrices, strict=True):
        order = class_order(little_images, "confusion")
        np.testing.assert_array_equal(matrix, structured_noise_matrix(alpha, 3, 0.8, order=order))
    assert not np.allclose(matrices[1], matrices[3])
    assert noise_matrices(Data(), little_images, ALPHAS) is None
    assert noise_matrices(Data(noise="foreign", source="white"), little_images, ALPHAS) is None


@pytest.mark.parametrize("copies", ["fresh", "fixed"])
def test_labels_come_with_the_frequencies_of_the_transition_matrix(copies):
    classes, images, passes = 4, 2000, 50
    y = torch.arange(images) % classes
    matrices = np.stack([structured_noise_matrix(alpha, classes, 0.8) for alpha in ALPHAS])
    data = Data(noise="structured", delta=0.8, order="random", copies=copies)
    stream = Stream(data, y, classes, alphas=ALPHAS, seeds=(3,), batch_size=images, noise_matrices=matrices)
    visits = stream.block(0, passes)
    true = y[visits.image[:, 0]].flatten()
    for a, (alpha, matrix) in enumerate(zip(ALPHAS, matrices, strict=True)):
        label = visits.label[:, 0, a].flatten()
        drawn = np.zeros((classes, classes))
        np.add.at(drawn, (true, label), 1)
        n = images * passes / classes
        expected = n * expected_targets(alpha, matrix)
        assert (drawn[expected == 0] == 0).all()
        # fixed copies come back: as many independent labels as there are copies
        independent = 1 if copies == "fresh" else min(1, (1 + alpha) / passes)
        spread = np.sqrt(expected * (1 - expected / n) / independent)
        assert (np.abs(drawn - expected) <= 4.5 * spread).all()
    assert torch.equal(visits.label[:, :, 0].flatten(), true)  # alpha = 0


def test_labels_do_not_depend_on_the_other_alphas_of_the_unit(little_images):
    def labels(alphas):
        data, y = STRUCTURED, torch.as_tensor(little_images.y_train)
        matrices = noise_matrices(data, little_images, alphas)
        return Stream(data, y, 3, alphas=alphas, seeds=(1,), batch_size=20, noise_matrices=matrices).block(0, 40).label

    assert torch.equal(labels((4.0,))[:, :, 0], labels(ALPHAS)[:, :, 2])


def accuracy(**noise) -> np.ndarray:
    """On digits after a short training at α = 1, 2 and 5, averaged over 2 seeds."""
    unit = Unit(
        point={}, data=Data(noise="structured", order="confusion", **noise), train=Train(network="perceptron"),
        batch_size=32, steps=200, checkpoints=(200,), alphas=(1.0, 2.0, 5.0), learning_rates=(0.05,), seeds=(0, 1),
    )  # fmt: skip
    return train_unit(unit, datasets.load("digits"), device=torch.device("cpu"))["test_accuracy"][:, 0].mean(1)


def test_structure_hurts():
    uniform, structured = (accuracy(delta=delta) for delta in (0.0, 1.0))
    assert (uniform > structured + 0.1).all()


def test_predictions_know_the_matrix_of_every_alpha(spec_text):
    text = (
        spec_text.replace("seed = 2", "seed = 2\ndelta = [0, 1]")
        .replace("[0.1, 0.4]", "[0.01, 0.04]")
        .replace("steps = 20", "steps = 200")
    )
    made = setup_of(spec.parse(text.replace("[train]", 'noise = "structured"\norder = "reverse"\n[train]')))
    surface = linearised.surface(made)["accuracy"]
    digits, spectrum = datasets.load("digits"), made.spectrum({"delta": 1})
    order = class_order(digits, "reverse")
    for alpha, delta in ((0.0, 1), (2.5, 0), (2.5, 1)):
        matrix = structured_noise_matrix(alpha, 10, delta, order=order)
        curve = learning_curve(spectrum, alpha, 8, [0.01, 0.04], 200, noise_matrix=matrix)
        np.testing.assert_allclose(surface.sel(alpha=alpha, delta=delta).squeeze(), curve.accuracy)
    at_noise = surface.sel(alpha=2.5, batch_size=8)
    assert (at_noise.sel(delta=1) < at_noise.sel(delta=0)).all()
