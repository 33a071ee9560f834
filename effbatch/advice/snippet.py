"""Batch size, learning rate and steps -> the lines of PyTorch that use them."""

from __future__ import annotations

from effbatch.advice.first_principles import steps_of
from effbatch.advice.prediction import Prediction

_CLASSES = {
    "sgd": "SGD",
    "momentum": "SGD",
    "adam": "Adam",
    "adamw": "AdamW",
    "rmsprop": "RMSprop",
    "adadelta": "Adadelta",
}

_TEMPLATE = """\
import torch
from torch.utils.data import DataLoader, RandomSampler

# in as many passes as it takes
images = RandomSampler(train_set, num_samples={steps} * {batch_size})
optimizer = torch.optim.{optimizer}(network.parameters(), {options})
for x, y in DataLoader(train_set, batch_size={batch_size}, sampler=images):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(network(x), y).backward()
    optimizer.step()
"""


def snippet(prediction: Prediction, *, momentum: float) -> str:
    """A training loop over `train_set` with `network`; without a rate, a factor on one that the user has tuned."""
    setting, chosen = prediction.setting, prediction.recommended
    rate = f"{chosen.value:.3g}" if chosen.value is not None else f"{chosen.factor:.3g} * clean_learning_rate"
    momentum_option = f", momentum={momentum:g}" if setting.optimizer == "momentum" else ""
    return _TEMPLATE.format(
        batch_size=setting.batch_size,
        optimizer=_CLASSES[setting.optimizer],
        options=f"lr={rate}{momentum_option}",
        steps=steps_of(setting),
    )
