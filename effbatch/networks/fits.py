"""A network and a data set -> the token that the network's embedding does not have, with its place."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import nn

from effbatch.core.errors import InputError
from effbatch.data.dataset import DataSet
from effbatch.networks.classifier import as_classifier, called
from effbatch.networks.untouched import untouched


def check_fits(network: nn.Module, data: DataSet) -> None:
    """InputError for a token beyond an embedding; what else does not fit is said by `per_image.logits_of`."""
    network = as_classifier(network, data.num_classes, data.x_train)
    if data.x_train.dtype.kind == "i":
        for half, x in (("training", data.x_train), ("test", data.x_test)):
            _check_tokens(network, data.name, half, x)


def _check_tokens(network: nn.Module, name: str, half: str, x: np.ndarray) -> None:
    """Run the example with the largest token, and look at what the embeddings are asked for."""
    example, place = (int(i) for i in np.unravel_index(x.argmax(), x.shape))
    token, rows = int(x[example, place]), []

    def look(embedding: nn.Module, given: tuple[Any, ...]) -> None:
        if isinstance(embedding, nn.Embedding) and int(given[0].max()) == token >= embedding.num_embeddings:
            rows.append(embedding.num_embeddings)

    looking = [one.register_forward_pre_hook(look) for one in network.modules() if isinstance(one, nn.Embedding)]
    device = next(network.parameters(), torch.zeros(())).device
    try:
        with untouched(network, training=False), torch.no_grad(), suppress(Exception):  # the user's code may raise any
            called(network, torch.as_tensor(x[example : example + 1], device=device))
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
