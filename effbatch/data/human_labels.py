"""CIFAR-10 and a file of labels that people gave -> data sets (CIFAR-10N, Wei et al. 2022, arXiv 2110.12088)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from effbatch.core.errors import InputError
from effbatch.data.builtin import cifar10
from effbatch.data.dataset import DataSet, fingerprint
from effbatch.data.sources import data_dir

FILE = "cifar10n.npz"
CLEAN = "clean_label"
LICENCE = "its labels are licensed CC BY-NC 4.0, for non-commercial use only"


def where() -> str:
    """The file of labels in the data directory, beside the images of CIFAR-10; InputError that says what to do."""
    path = data_dir() / FILE
    if not path.is_file():
        raise InputError(
            f"CIFAR-10N needs {path}, an .npz with the arrays {CLEAN}, aggre_label, random_label1 and worse_label in "
            "the order of CIFAR-10's training images, got none: make it of the published CIFAR-10_human.pt; "
            f"{LICENCE}"
        )
    cifar10.where()
    return str(path)


def load(name: str, array: str) -> DataSet:
    """CIFAR-10 with an array of the file in place of the training labels; InputError where they do not belong."""
    path, clean = Path(where()), cifar10.load()
    with np.load(path, allow_pickle=False) as file:
        if missing := {CLEAN, array} - set(file.files):
            raise InputError(
                f"{path} needs the arrays {CLEAN} and {array}, got no {', '.join(sorted(missing))}: make it again"
            )
        true, given = (np.asarray(file[key]).astype(np.int64) for key in (CLEAN, array))
    if not np.array_equal(true, clean.y_train):
        raise InputError(
            f"{path} needs its {CLEAN} in the order of CIFAR-10's training images, got another order: make it again"
        )
    return replace(
        clean,
        name=name,
        y_train=given,
        clean_labels=true,
        source=f"{clean.source}; labels of CIFAR-10N (Wei et al. 2022), {array}, from {path}; {LICENCE}",
        fingerprint=fingerprint(np.frombuffer(clean.fingerprint.encode(), np.uint8), given),
    )
