"""A data set -> in which order the false labels of each class come, for structured noise."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from effbatch.core.errors import InputError
from effbatch.data.dataset import DataSet

REFERENCE_IMAGES = 10_000
REFERENCE_PENALTY = 0.1  # scikit-learn's C
RANDOM_ORDER = 20170530  # seeds the order `random`, the same one in every run


@cache
def class_order(dataset: DataSet, name: str) -> NDArray[np.intp]:
    """All classes by falling preference as a label, one row per true class, shape (K, K).

    name  "confusion": those that `reference_confusion` takes the class for most come first (ties: the smaller class),
          the class itself wherever it lands; "reverse": the same rows backwards; "random": a permutation per class,
          drawn once and for all.
    """
    if name == "random":
        rng = np.random.Generator(np.random.PCG64(RANDOM_ORDER))
        return rng.permuted(np.tile(np.arange(dataset.num_classes), (dataset.num_classes, 1)), axis=1)
    confusion = np.argsort(-reference_confusion(dataset), axis=1, kind="stable")
    return {"confusion": confusion, "reverse": confusion[:, ::-1]}[name]


@cache
def reference_confusion(dataset: DataSet) -> NDArray[np.float64]:
    """How often a clean reference model takes class c (row) for class k: rows sum to 1, shape (K, K).

    The model is softmax regression on the pixels with the true labels, of at most the first 10,000 training images;
    one half of them is judged by the model fitted to the other, and the test set is not touched. Entry (c, k) is the
    mean probability that images of class c are given for k, the expected number of confusions: counts of the likeliest
    class would leave most pairs of a small data set tied at zero.

    Raises InputError where a class has fewer than two of these images.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    y = dataset.y_train[:REFERENCE_IMAGES]
    x = dataset.x_train[:REFERENCE_IMAGES].reshape(len(y), -1).astype(float)
    counts = np.bincount(y, minlength=dataset.num_classes)
    if counts.min() < 2:
        raise InputError(
            f"the order of confusion needs two training images of every class among the first {len(y)} of "
            f'{dataset.name}; class {counts.argmin()} has {counts.min()}: use order = "random"'
        )
    model = LogisticRegression(C=REFERENCE_PENALTY, max_iter=1000)
    given = cross_val_predict(model, x, y, cv=StratifiedKFold(2), method="predict_proba")
    return np.stack([given[y == c].mean(0) for c in range(dataset.num_classes)])
