"""An untrained network, images and clean labels -> its best learning rate by SGD, from short runs at a few rates."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from effbatch.core.errors import InputError
from effbatch.engine.visits import Stream
from effbatch.networks.evaluation_mode import evaluation_mode
from effbatch.networks.per_image import Images, as_images, as_labels, logits_of
from effbatch.plan.spec import Data
from effbatch.probe.plain_rule import FRACTIONS, Probe, probe

CHUNK = 500  # images per forward pass of the scoring
BLOCK = 2_000_000  # labels drawn at once


def probe_learning_rate(
    network: nn.Module,
    x_train: Images,
    y_train: ArrayLike,
    x_held_out: Images,
    y_held_out: ArrayLike,
    *,
    num_classes: int,
    alpha: float,
    batch_size: int,
    steps: int,
    seed: int = 0,
) -> Probe:
    """Best constant learning rate of `steps` steps of plain SGD on fresh noisy labels, from about two full runs.

    Runs of 1/16, 1/4 and 1/2 of the steps at octaves of the learning rate, each continued where it is asked for
    again; see `probe.rule` for how they become one number. All start from a copy of `network` and see the images and
    labels of `seed`. Held-out images are taken from the training images, never from the test set: they choose the
    rate. Scoring costs one forward pass over them per rate and stage, about 13 in all.

    Raises InputError when steps are fewer than 16, images and labels do not match, or the network does not fit them.
    """
    if steps < 1 / FRACTIONS[0]:
        raise InputError(f"a probe needs at least {1 / FRACTIONS[0]:g} steps, got {steps}: try every rate in full")
    if batch_size < 1:
        raise InputError(f"batch_size needs a whole number >= 1, got {batch_size}")
    train, held_out = as_images(network, x_train), as_images(network, x_held_out)
    targets, truth = (
        torch.as_tensor(as_labels(y, x, num_classes), device=train.device)
        for y, x in ((y_train, x_train), (y_held_out, x_held_out))
    )
    with evaluation_mode(network):
        logits_of(network, held_out[:1], num_classes, 1)  # raises where network, images and classes do not fit
    stream = Stream(Data(), targets, num_classes, alphas=[alpha], seeds=[seed], batch_size=batch_size)
    runs: dict[float, _Run] = {}

    def score(learning_rates: Sequence[float], fraction: float) -> list[float]:
        values = []
        for rate in learning_rates:
            if rate not in runs:
                runs[rate] = _Run(network, rate)
            runs[rate].train(train, stream, round(fraction * steps))
            values.append(runs[rate].score(held_out, truth))
        return values

    return probe(score, alpha)


def held_out_score(logits: Tensor, labels: Tensor) -> float:
    """½ (accuracy + mean cosine of an image's centred logits with its target e_c − 1/K).

    Accuracy alone moves in steps of one image; the cosine is smooth, blind to the size of the logits, and by itself
    prefers somewhat too high rates at small alpha (observed). A cosine of zero logits is 0.
    """
    classes = logits.shape[1]
    centred = logits - logits.mean(1, keepdim=True)
    of_true = centred.gather(1, labels[:, None]).squeeze(1)
    tiny = torch.finfo(logits.dtype).tiny
    cosine = of_true / centred.norm(dim=1).clamp_min(tiny) / (1 - 1 / classes) ** 0.5
    accuracy = (logits.argmax(1) == labels).to(logits.dtype)
    return float((accuracy + cosine).mean() / 2)


class _Run:
    """One copy of the network in training at one learning rate; it goes on from where it stopped."""

    def __init__(self, network: nn.Module, learning_rate: float) -> None:
        self.network = deepcopy(network).train()
        self.optimizer = torch.optim.SGD(self.network.parameters(), learning_rate)
        self.done = 0

    def train(self, images: Tensor, stream: Stream, last: int) -> None:
        block = max(1, BLOCK // stream.batch_size)
        while self.done < last:
            upto = min(last, self.done + block)
            visits = stream.block(self.done, upto)
            for image, label in zip(visits.image[:, 0], visits.label[:, 0, 0], strict=True):
                self.optimizer.zero_grad()
                cross_entropy(self.network(images[image]), label).backward()
                self.optimizer.step()
            self.done = upto

    @torch.no_grad()
    def score(self, images: Tensor, labels: Tensor) -> float:
        """`held_out_score`, or that of chance (accuracy 1/K, cosine 0) where the run has diverged."""
        with evaluation_mode(self.network):
            logits = torch.cat([self.network(x) for x in images.split(CHUNK)])
        if not logits.isfinite().all():
            return 1 / logits.shape[1] / 2
        return held_out_score(logits, labels)
