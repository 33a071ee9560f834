"""Where the images and labels of a data set come from: one reader for each kind of file, and the data directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

VARIABLE = "EFFBATCH_DATA_DIR"
TRAINING = ("train", "training")
TESTING = ("test", "testing", "val", "valid", "validation", "dev")  # what scores; the first that is there
MAX_PIXELS = 2**30  # of one half of a data set, which is held in memory as float32: 4 GiB


class Half(NamedTuple):
    """The training or the test set as it was read: bytes (n, C, H, W) and whole numbers (n,) int64."""

    images: np.ndarray
    labels: np.ndarray


def data_dir() -> Path:
    """The folder that holds one folder for each data set: $EFFBATCH_DATA_DIR, else effbatch/data in the user's cache.

    The cache is $XDG_CACHE_HOME where that is set, else ~/.cache.
    """
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "effbatch" / "data"
