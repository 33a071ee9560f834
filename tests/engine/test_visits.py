"""Which image and label a member sees: every image once per pass, the same whatever is drawn at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from effbatch.engine.visits import Stream, image_order, image_subset
from effbatch.plan.spec import Data

N, K = 40, 5
LABELS = torch.arange(N) % K


def stream(copies: str = "fresh", **changes) -> Stream:
    options = {"alphas": (0.0, 2.0), "seeds": (0, 7), "batch_size": 16} | changes
    return Stream(Data(copies=copies, clean_examples=30), LABELS, K, **options)


def test_a_pass_shows_every_image_of_the_subset_once():
    visits = stream(batch_size=10).block(0, 6)  # two passes of 30
    for s, seed in enumerate((0, 7)):
        images = visits.image[:, s].flatten()
        subset = sorted(image_subset(seed, 30, N))
        assert sorted(images[:30].tolist()) == subset
        assert sorted(images[30:].tolist()) == subset
        assert images[:30].tolist() != images[30:].tolist()


def test_seeds_share_neither_subset_nor_order():
    assert not np.array_equal(image_subset(0, 30, N), image_subset(1, 30, N))
    assert not np.array_equal(image_order(0, 0, 30), image_order(1, 0, 30))


@pytest.mark.parametrize("copies", ["fresh", "fixed", "expected"])
def test_blocks_and_single_steps_agree(copies):
    whole = stream(copies).block(0, 9)
    for step in range(9):
        one = stream(copies).block(step, step + 1)
        assert torch.equal(one.image[0], whole.image[step])
        assert torch.equal(one.label[0], whole.label[step])


def test_clean_members_see_true_labels_and_expectations_start_from_them():
    for copies in ("fresh", "fixed", "expected"):
        visits = stream(copies).block(0, 9)
        true = LABELS[visits.image]
        assert torch.equal(visits.label[:, :, 0], true)
        assert torch.equal(visits.label[:, :, 1], true) == (copies == "expected")


def test_images_do_not_depend_on_the_other_seeds_or_alphas_of_the_unit():
    alone = stream(seeds=(7,), alphas=(2.0,)).block(0, 9)
    whole = stream().block(0, 9)
    assert torch.equal(alone.image[:, 0], whole.image[:, 1])
    assert torch.equal(alone.label[:, 0, 0], whole.label[:, 1, 1])


def test_fixed_copies_are_seen_equally_often_and_keep_their_labels():
    alpha, passes = 2.0, 30
    visits = stream("fixed", alphas=(alpha,), seeds=(0,), batch_size=30).block(0, passes)
    by_image: dict[int, list[int]] = {}
    for images, labels in zip(visits.image[:, 0], visits.label[:, 0, 0], strict=True):
        for image, label in zip(images.tolist(), labels.tolist(), strict=True):
            by_image.setdefault(image, []).append(label)
    for image, labels in by_image.items():
        assert labels[:3] * 10 == labels  # three copies, in the same turn
        assert LABELS[image] in labels[:3]


@pytest.mark.parametrize("noise", ["given", "same_matrix"])
def test_a_label_that_came_with_an_image_is_the_same_at_every_visit(noise):
    matrix = np.roll(np.eye(K), 1, axis=1) * 0.5 + np.eye(K) * 0.5
    data = Data(noise=noise, clean_examples=30)
    matrices = None if noise == "given" else matrix[None]
    options = {"alphas": (0.0,), "seeds": (0, 7), "batch_size": 30, "noise_matrices": matrices}
    visits = Stream(data, LABELS, K, **options).block(0, 4)
    for s in range(2):
        first, *later = (
            dict(zip(image.tolist(), label.tolist(), strict=True))
            for image, label in zip(visits.image[:, s], visits.label[:, s, 0], strict=True)
        )
        assert all(one == first for one in later)
        wrong = {image: label - int(LABELS[image]) for image, label in first.items() if label != LABELS[image]}
        assert {by % K for by in wrong.values()} == ({1} if noise == "same_matrix" else set())
        assert noise == "given" or 5 <= len(wrong) <= 25
