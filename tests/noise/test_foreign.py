"""Foreign noise: what the foreign images are, and which visit shows which."""

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
from effbatch.noise.foreign import ShownImages, foreign_images, images_to_show
from effbatch.plan import spec
from effbatch.plan.spec import Data, Train
from effbatch.plan.units import Unit
from effbatch.theory.dynamics import learning_curve
from effbatch.validation.setup import initial_spectrum, setup_of

CPU = torch.device("cpu")
N, K, POOL = 500, 5, 10_000
LABELS = torch.arange(N) % K


def shown(copies: str, alpha: float, passes: int = 40, seed: int = 0):
    """Images and labels of every pass, (passes, N), sorted by the clean image whose turn it is."""
    data = Data(noise="foreign", source="white", copies=copies)
    options = {"alphas": (alpha,), "seeds": (seed,), "batch_size": N}
    visits = Stream(data, LABELS, K, foreign_images=POOL, **options).block(0, passes)
    turn = Stream(Data(), LABELS, K, **options).block(0, passes).image[:, 0].argsort(1)
    return visits.image[:, 0].gather(1, turn).numpy(), visits.label[:, 0, 0].gather(1, turn).numpy()


def test_white_noise_has_the_mean_and_variance_of_the_pixels_and_no_structure(little_images):
    images = foreign_images("white", little_images)
    some = images[torch.arange(0, len(images), 997)].double().flatten(1)
    pixels = little_images.x_train
    n = some.numel()
    assert abs(some.mean() - pixels.mean()) < 4.5 * pixels.std() / np.sqrt(n)
    assert abs(some.std() / pixels.std() - 1) < 4.5 / np.sqrt(2 * n)
    between = np.corrcoef(some.T.numpy())[np.triu_indices(64, 1)]
    assert np.abs(between).max() < 5 / np.sqrt(len(some))
    shifted = images[torch.arange(0, 10_000, 64)].flatten(), images[torch.arange(1, 10_001, 64)].flatten()
    assert abs(np.corrcoef(*shifted)[0, 1]) < 4.5 / np.sqrt(len(shifted[0]))  # overlapping stretches


def test_a_data_set_may_be_its_own_source_and_others_need_its_shape(little_images):
    assert torch.equal(foreign_images("little", little_images), torch.as_tensor(little_images.x_train))
    digits = datasets.load("digits")
    assert torch.equal(foreign_images("digits", little_images), torch.as_tensor(digits.x_train))
    wide = DataSet(
        name="wide",
        x_train=np.zeros((2, 1, 8, 9)),
        y_train=np.zeros(2),
        x_test=np.zeros((1, 1, 8, 9)),
        y_test=np.zeros(1),
        num_classes=2,
        source="here",
    )
    with pytest.raises(InputError, match=r"shape \(1, 8, 9\) of wide, got \(1, 8, 8\) from digits"):
        foreign_images("digits", wide)
    with pytest.raises(InputError, match="data set 'wite' is not known"):
        foreign_images("wite", wide)


def test_shown_images_are_numbered_as_if_they_stood_in_one_row(little_images):
    clean, foreign = torch.as_tensor(little_images.x_train), torch.randn(7, 1, 8, 8)
    index = torch.tensor([[0, 59, 60], [66, 3, 61]])
    assert torch.equal(ShownImages(clean, foreign)[index], torch.cat([clean, foreign])[index])
    images, count = images_to_show(None, little_images, CPU)
    assert torch.equal(images, clean)
    assert count == 0


@pytest.mark.parametrize("copies", ["fresh", "fixed"])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 3.0])
def test_clean_images_keep_their_label_and_foreign_ones_come_with_random_labels(copies, alpha):
    images, labels = shown(copies, alpha)
    foreign = images >= N
    assert np.array_equal(images[~foreign], np.tile(np.arange(N), (40, 1))[~foreign])
    assert np.array_equal(labels[~foreign], images[~foreign] % K)
    share, n = alpha / (1 + alpha), images.size
    assert abs(foreign.sum() - n * share) <= 4.5 * np.sqrt(n * share * (1 - share))
    if alpha:
        # neither the label nor the image tells of the clean image in whose place it stands
        copy_of_first = slice(None) if copies == "fresh" else slice(0, 3)
        place = np.nonzero(foreign[copy_of_first])[1] % K
        table = np.zeros((K, K))
        np.add.at(table, (place, labels[copy_of_first][foreign[copy_of_first]]), 1)
        expected = table.sum() / K**2
        assert ((table - expected) ** 2 / expected).sum() < (K**2 - 1) + 4.5 * np.sqrt(2 * (K**2 - 1))
        assert images.max() > N + 0.98 * POOL
        assert images.max() < N + POOL


def test_more_noise_shows_the_same_foreign_images_more_often():
    (few, few_labels), (many, many_labels) = (shown("fresh", alpha) for alpha in (1.0, 5.0))
    foreign = few >= N
    assert np.array_equal(few[foreign], many[foreign])
    assert np.array_equal(few_labels[foreign], many_labels[foreign])
    assert (many >= N).sum() > foreign.sum()
    assert not np.array_equal(many, shown("fresh", 5.0, seed=1)[0])


def test_fixed_copies_never_change_and_fresh_ones_do():
    images, labels = shown("fixed", 3.0)
    for start in range(4, 40, 4):  # four copies, each once in four passes
        assert np.array_equal(images[start : start + 4], images[:4])
        assert np.array_equal(labels[start : start + 4], labels[:4])
    assert ((images[:4] >= N).sum(0) == 3).all()
    fresh = shown("fresh", 3.0)[0]
    assert len(np.unique(fresh[fresh >= N])) > 0.7 * POOL


def test_the_overlap_of_foreign_images_predicts_what_they_cost():
    alpha, rates, steps = 10.0, (0.03125, 0.0625), 300
    images = {
        source: initial_spectrum("perceptron", datasets.load("digits"), 0, source, seed=0)
        for source in ("white", "digits")
    }
    np.testing.assert_allclose(images["digits"].foreign[:10], 1, atol=0.15)  # the images that the kernel was taken on
    assert images["white"].foreign[:5].mean() < 0.4
    for source, spectrum in images.items():
        unit = Unit(
            point={}, data=Data(noise="foreign", source=source), train=Train(network="perceptron"),
            batch_size=32, steps=steps, checkpoints=(steps,), alphas=(alpha,), learning_rates=rates, seeds=(0, 1, 2),
        )  # fmt: skip
        measured = train_unit(unit, datasets.load("digits"), device=CPU)["test_accuracy"][0].mean(1)
        predicted = learning_curve(spectrum, alpha, 32, rates, steps).accuracy
        np.testing.assert_allclose(predicted, measured, atol=0.06)
        uniform = learning_curve(replace(spectrum, foreign=None), alpha, 32, rates, steps).accuracy
        assert (measured > uniform + 0.1).all() == (source == "white")


def test_predictions_before_a_run_know_the_source(spec_text):
    text = spec_text.replace("seed = 2", 'seed = 2\nsource = ["white", "digits"]').replace("mlp1", "perceptron")
    text = text.replace("[0.1, 0.4]", "[0.01, 0.04]").replace("steps = 20", "steps = 200")
    made = setup_of(spec.parse(text.replace("[train]", 'noise = "foreign"\n[train]')))
    accuracy = linearised.surface(made)["accuracy"].squeeze()
    np.testing.assert_allclose(accuracy.sel(alpha=0, source="white"), accuracy.sel(alpha=0, source="digits"))
    for source in ("white", "digits"):
        spectrum = initial_spectrum("perceptron", datasets.load("digits"), 100, source, seed=0)
        curve = learning_curve(spectrum, 2.5, 8, [0.01, 0.04], 200)
        np.testing.assert_allclose(accuracy.sel(alpha=2.5, source=source), curve.accuracy)
    assert (abs(accuracy.sel(alpha=2.5, source="white") - accuracy.sel(alpha=2.5, source="digits")) > 0.01).all()
