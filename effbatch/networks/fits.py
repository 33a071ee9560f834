"""A network and a data set -> what in the data does not fit the network, by its value and its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from effbatch.core.errors import InputError
from effbatch.data.dataset import DataSet
from effbatch.networks.classifier import as_classifier, called, logits_in
from effbatch.networks.untouched import untouched


def check_fits(network: nn.Module, data: DataSet) -> None:
    """InputError for a token beyond an embedding, and for a class with one example that the network has no logit for.

    What else does not fit is said where it is met, by `per_image.logits_of`.
    """
    network = as_classifier(network, data.num_classes, data.x_train)
    if data.x_train.dtype.kind == "i":
        for half, x in (("training", data.x_train), ("test", data.x_test)):
            _check_tokens(network, data.name, half, x)
    _check_lone_classes(network, data)


def _check_tokens(network: nn.Module, name: str, half: str, x: np.ndarray) -> None:
    """Run the example with the largest token, and look at what the embeddings are asked for."""
    example, place = (int(i) for i in np.unravel_index(x.argmax(), x.shape))
    token, rows = int(x[example, place]), []

    def look(embedding: nn.Module, given: tuple[Any, ...]) -> None:
        if isinstance(embedding, nn.Embedding) and int(given[0].max()) == token >= embedding.num_embeddings:
            rows.append(embedding.num_embeddings)

    looking = [one.register_forward_pre_hook(look) for one in network.modules() if isinstance(one, nn.Embedding)]
    try:
        _logits(network, x[example : example + 1])
    finally:
        for one in looking:
            one.remove()
    if rows:
        count = int((x >= rows[0]).any(1).sum())
        raise InputError(
            f"tokens of {name} need to be below {rows[0]}, the size of the network's embedding, got {token} at place "
            f"{place} of {half} example {example}, counted from 0, and such tokens in {count:,} of {len(x):,} "
            "examples: mend them, or enlarge the embedding",
            token=token,
            example=example,
        )


def _check_lone_classes(network: nn.Module, data: DataSet) -> None:
    labels = np.concatenate([data.y_train, data.y_test])
    lone = np.flatnonzero(np.bincount(labels, minlength=data.num_classes) == 1)
    z = _logits(network, data.x_train[:2]) if len(lone) else None
    width = None if z is None or z.ndim < 2 else z.flatten(1).shape[1]
    if width is None or not data.num_classes - len(lone) <= width < data.num_classes:
        return
    names = data.class_names or tuple(map(str, range(data.num_classes)))
    at = int(np.flatnonzero(labels == lone[-1])[0])
    n = len(data.y_train)
    half, at = ("training", at) if at < n else ("test", at - n)
    raise InputError(
        f"the network needs a logit for each of the {data.num_classes} classes of {data.name}, got {width} logits, and "
        f"one example alone is of class {names[lone[-1]]}, {half} example {at}, counted from 0: mend its label, or "
        "widen the last layer",
        example=at,
    )


def _logits(network: nn.Module, x: np.ndarray) -> Tensor | None:
    """None where the network refuses the examples."""
    weight = next(network.parameters(), torch.zeros(()))
    with untouched(network, training=False), torch.no_grad():
        try:
            return logits_in(called(network, torch.as_tensor(x, device=weight.device)))
        except Exception:  # the user's code may raise anything
            return None
