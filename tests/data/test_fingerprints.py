"""Sweep folders know their data by these fingerprints: the literal ones were taken with version 0.1."""

from __future__ import annotations

import numpy as np

from effbatch.data import datasets
from effbatch.data.dataset import from_bytes
from effbatch.data.sources import Half

IMAGES = (np.arange(24) % 251).astype(np.uint8).reshape(4, 1, 2, 3)
LABELS = np.array([0, 1, 2, 1])


def test_digits():
    of_digits = "f919793815c4939f84d5f0653ce275f37c99c866df66d669776efad5b170ded2"
    assert datasets.load("digits").fingerprint == of_digits


def test_bytes_as_folders_archives_and_the_hub_hold_them():
    data = from_bytes("bytes", Half(IMAGES, LABELS), Half(IMAGES[:2] + 1, np.array([2, 0])), 3, source="made here")
    assert data.fingerprint == "0819668b543b20d91ad09f80201c4cb8756ad79f850713ec5403b33ee676beab"


def test_arrays_have_the_fingerprint_of_the_file_that_holds_them(tmp_path):
    held = {"x_train": IMAGES / 7, "y_train": LABELS, "x_test": IMAGES[:2] / 3, "y_test": np.array([2, 0])}
    np.savez(tmp_path / "my.npz", **held)
    of_file = datasets.load(str(tmp_path / "my.npz")).fingerprint
    assert of_file == "d3828dc2b049c1018319d22c1ee84ba60d4151c6e67e82582c190b9c76cd63ac"
    assert datasets.as_dataset(tuple(held.values())).fingerprint == of_file
    np.savez(tmp_path / "five.npz", **held, num_classes=np.uint8(5))
    of_five_classes = "c9373e4ad2818f47c619bd4e46aae9730077ddd083c747cf47f9b908fadcfeb7"
    assert datasets.load(str(tmp_path / "five.npz")).fingerprint == of_five_classes
