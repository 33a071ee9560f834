"""CIFAR-10 with training labels that several people agreed on: CIFAR-10N, about 9 % of them wrong."""

from __future__ import annotations

from effbatch.data import human_labels
from effbatch.data.builtin.cifar10 import SIZE
from effbatch.data.dataset import DataSet
from effbatch.data.human_labels import where

__all__ = ["SIZE", "load", "where"]


def load() -> DataSet:
    """Wei et al. (2022), arXiv 2110.12088, CC BY-NC 4.0; 50,000 to train on, 10,000 with clean labels to test."""
    return human_labels.load("cifar10n-aggregate", "aggre_label")
