"""Fashion-MNIST with 2×2 pixels averaged into one: 70,000 images of 14×14."""

from __future__ import annotations

import numpy as np

from effbatch.data.builtin import fashion_mnist
from effbatch.data.builtin.fashion_mnist import FINGERPRINT, where
from effbatch.data.dataset import DataSet, Size, standardised

__all__ = ["SIZE", "load", "where"]

SIDE = 14
SIZE = Size(60_000, 10_000, (1, SIDE, SIDE), 10)


def load() -> DataSet:
    """Xiao, Rasul & Vollgraf (2017), arXiv 1708.07747; 60,000 to train on, 10,000 to test, 10 classes."""
    train, test = fashion_mnist.read()
    x_train, x_test = standardised(pooled(train.images), pooled(test.images))
    return DataSet(
        name="fashion-mnist-14",
        x_train=x_train,
        y_train=train.labels,
        x_test=x_test,
        y_test=test.labels,
        num_classes=SIZE.num_classes,
        source=f"Fashion-MNIST (Xiao et al. 2017) from {where()}, 2×2 pixels averaged",
        fingerprint=FINGERPRINT,
    )


def pooled(images: np.ndarray) -> np.ndarray:
    """Bytes (n, 1, 28, 28) -> means of 2×2 pixels (n, 1, 14, 14) in [0, 1], float32."""
    return images.reshape(-1, 1, SIDE, 2, SIDE, 2).mean((3, 5), dtype=np.float32) / 255
