"""A data set -> its training images in two parts, to train on and to hold out: nothing ever looks at the test set."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from effbatch.core.errors import InputError
from effbatch.data.dataset import DataSet

MOST = 500  # held-out images
SHARE, FEWEST_SCORED, MOST_SCORED = 10, 300, 2000  # one in so many is held out to score runs; at least, at most
SEED = 20170531


def with_held_out(data: DataSet) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and labels, then the held-out ones: the first quarter, at most 500.

    InputError where there are fewer than 4 training images.
    """
    n = min(MOST, len(data.x_train) // 4)
    if not n:
        raise InputError(
            f"{data.name} needs at least 4 training examples, to hold one out, got {len(data.x_train)}: add some"
        )
    return data.x_train[n:], data.y_train[n:], data.x_train[:n], data.y_train[:n]


def held_out_of(data: DataSet, *, most: int = MOST_SCORED, share: int = SHARE, part: int = 0) -> DataSet:
    """The training examples less a stratified tenth (300 to 2,000 of them), which stands in place of the test set.

    One in `share`, if that is not a tenth. Not more than `most` and 300 are held out, and of small sets at most half.
    Another `part` holds others out; that shares next to none with those before, while there are any left.
    InputError where there are fewer than 4 training examples.
    """
    n = len(data.y_train)
    if n < 4:
        raise InputError(f"{data.name} needs at least 4 training examples, to hold some out, got {n}: add some")
    size = scored_of(n, most=most, share=share)
    rng = np.random.Generator(np.random.PCG64(SEED))
    shuffled = rng.permutation(n)
    by_class = shuffled[np.argsort(data.y_train[shuffled], kind="stable")]  # every k-th of it is a stratified sample
    out = np.zeros(n, dtype=bool)
    out[by_class[(np.linspace(0, n - 1, size).round().astype(int) + part) % n]] = True
    kept = ~out
    return replace(
        data,
        x_train=data.x_train[kept],
        y_train=data.y_train[kept],
        x_test=data.x_train[out],
        y_test=data.y_train[out],
        clean_labels=None if data.clean_labels is None else data.clean_labels[kept],
        fingerprint=f"{data.fingerprint}, part {part}" if part else data.fingerprint,
    )


def scored_of(examples: int, *, most: int = MOST_SCORED, share: int = SHARE) -> int:
    """How many of so many training examples `held_out_of` holds out."""
    return min(examples // 2, max(FEWEST_SCORED, min(most, MOST_SCORED, examples // share)))


def checked_out(data: DataSet, index: np.ndarray, right: np.ndarray) -> DataSet | None:
    """The training examples less those checked by hand, which stand, rightly labelled, in place of the test set.

    None where they are fewer than 300, or more than half of the examples: too few to score runs, or to train them.
    """
    kept = np.ones(len(data.y_train), dtype=bool)
    kept[index] = False
    if len(index) < FEWEST_SCORED or 2 * len(index) > len(kept):
        return None
    checked = hashlib.sha256(np.stack([index, right]).astype("<i8").tobytes()).hexdigest()
    return replace(
        data,
        x_train=data.x_train[kept],
        y_train=data.y_train[kept],
        x_test=data.x_train[index],
        y_test=right.astype(data.y_train.dtype),
        clean_labels=None if data.clean_labels is None else data.clean_labels[kept],
        fingerprint=f"{data.fingerprint}, checked {checked}",
    )
