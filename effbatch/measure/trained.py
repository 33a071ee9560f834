"""A network in training, its loss and its batches, of any kind -> the gradient products that this training sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.nn.functional import cross_entropy
from torch.nn.parameter import UninitializedParameter

from effbatch.core.errors import InputError
from effbatch.measure.gradients import DRAWN, MANY_LABELS
from effbatch.measure.measured import MeasuredMoments
from effbatch.measure.scatter import Batch, Scatter, Slopes, summed
from effbatch.networks.behaviour import behaviour
from effbatch.networks.classifier import Classifier, as_classifier, each, unwrapped
from effbatch.networks.per_image import as_images, trainable_weights
from effbatch.networks.untouched import untouched

LABELS = ("labels", "label", "y", "targets", "target")  # keys of a batch that is a mapping
IGNORED = -100  # the label that PyTorch's losses leave out of their mean, unless told otherwise
FEW = 64  # images that tell whether network and loss couple them
CLOSE = 1e-3  # relative, of the loss of a batch to the mean over its images
FEWEST_WEIGHTED = 16  # images of a batch whose mean class weight is nearly that of all
FEWEST_UNITS = 3

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Seen:
    """A batch of a training loop: what the network takes by image, and besides; and the labels."""

    inputs: Any
    labels: Tensor
    fixed: Mapping[str, Any]

    @property
    def n(self) -> int:
        return len(self.labels)

    def some(self, index: Tensor) -> Seen:
        return replace(self, inputs=each(self.inputs, lambda x: x[index]), labels=self.labels[index])


def seen(network: nn.Module, batch: Any, labels: Any = None) -> Seen:
    """A copy, on the network's device, of a pair (images, labels) or of a mapping with labels and arguments by name.

    InputError where there are no labels, or not as many as images.
    """
    if labels is None and isinstance(batch, Mapping):
        key = next((key for key in LABELS if batch.get(key) is not None), None)
        if key is None:
            raise InputError(f"a batch needs labels under one of {', '.join(LABELS)}, got {', '.join(map(str, batch))}")
        batch, labels = {k: v for k, v in batch.items() if k != key}, batch[key]
    elif labels is None:
        if not isinstance(batch, tuple | list) or len(batch) < 2:
            raise InputError(
                f"a batch needs to be (images, labels) or a mapping, got {type(batch).__name__}: make it one"
            )
        batch, labels = batch[0], batch[-1]
    device = next(network.parameters()).device

    def copied(x: Any) -> Tensor:
        return torch.as_tensor(x).detach().to(device, copy=True)

    y = copied(labels)
    if isinstance(batch, Mapping):
        arrays = {k: copied(v) for k, v in batch.items() if isinstance(v, Tensor | np.ndarray) and v.ndim}
        inputs: Any = {k: v for k, v in arrays.items() if y.ndim and len(v) == len(y)}
        fixed = {k: v for k, v in batch.items() if k not in inputs}
    else:
        inputs, fixed = copied(batch), {}
    if not y.ndim or not len(y) or (isinstance(inputs, Tensor) and len(inputs) != len(y)) or inputs is None:
        raise InputError(f"one label is needed for each image, got labels of shape {tuple(y.shape)}: check the batch")
    return Seen(inputs, y, fixed)


class Trained:
    """A network at the weights that it has now, to be measured on this and later batches of its training.

    Everything runs in the mode that the network is in. Image by image where neither the network nor the loss couples
    the images of a batch; where one does, batch by batch (`whole`), and batches of the size of the first count alone.

    loss   (logits, labels) -> loss of a batch, on the logits as the network gives them; None: cross-entropy
    alpha  noisy labels per clean one, None: the labels as given alone
    """

    def __init__(self, network: nn.Module, first: Seen, loss: Loss | None, alpha: float | None) -> None:
        self.owner = unwrapped(network)
        if any(isinstance(w, UninitializedParameter) for w in self.owner.parameters()):
            raise InputError("layers need their sizes, got lazy ones: they get them in the first step")
        self.loss, self.binary = loss or cross_entropy, False
        with untouched(self.owner), torch.no_grad():
            self.network = self._as_the_loss_takes_it(first, plain=loss is None)
            self.weights = {name: w.clone() for name, w in trainable_weights(self.network).items()}
            few = self._ready(first.some(torch.arange(min(first.n, FEW), device=first.labels.device)))
            found = behaviour(self.network, few.inputs)
            logits = self.network(few.inputs)
            shares = self._shares([few])
            adds_up = shares is not None and self._adds_up(logits, few.labels, shares[0])
            self.whole = found.coupled or not adds_up
            self.found = replace(found, coupled=self.whole)
            linear = alpha is not None and adds_up and shares is not None and bool((shares[0] == 1).all())
            self.num_classes = self._classes(logits, few.labels) if linear else None

    def moments(self, batches: Sequence[Seen], images: int, *, seed: int) -> MeasuredMoments:
        """Labels as given at index 0, and uniform ones at N where labels are classes; `images` of each batch."""
        if self.whole:
            kept = [batch for batch in batches if batch.n == batches[0].n]
        else:
            draw = torch.Generator().manual_seed(seed)
            index = [torch.randperm(batch.n, generator=draw)[:images].sort().values for batch in batches]
            kept = [batch.some(i.to(batch.labels.device)) for batch, i in zip(batches, index, strict=True)]
        units = len(kept) if self.whole else sum(batch.n for batch in kept)
        if units < FEWEST_UNITS:
            raise InputError(
                f"at least {FEWEST_UNITS} {'batches' if self.whole else 'images'} are needed, got {units}: add some"
            )
        with untouched(self.owner):
            kept = [self._ready(batch) for batch in kept]
            told = self._shares(kept)
            if told is None and not self.whole:
                raise InputError("the loss ignores most labels of these batches, and cannot be told image by image")
            shares = told or [torch.ones(batch.n, device=batch.labels.device) for batch in kept]
            if not all((one == 1).all() for one in shares):
                self.num_classes = None  # other labels in the place of those given would count otherwise
            slopes = Slopes(self._of_image, self._of_batch if self.whole else None)
            scatter = Scatter(self.network, self.weights, slopes, self.found, seed)
            both = zip(kept, shares, strict=True)
            by_layer, _ = scatter.moments([self._batch(*one, seed + i) for i, one in enumerate(both)])
        total = summed(by_layer)
        if not self.whole:
            q = torch.cat(shares).double().cpu().numpy()
            own = total.clean_second_moment + (1 + (q**2).mean() - 2 * q) * total.clean_norm_squared
            total = replace(total, clean_second_moment=own)
        return MeasuredMoments(total, next(iter(by_layer.values())).batch_size)

    def _as_the_loss_takes_it(self, first: Seen, *, plain: bool) -> nn.Module:
        """The network as logits of any shape, or for cross-entropy as logits (n, K)."""
        images = {**first.inputs, **first.fixed} if isinstance(first.inputs, Mapping) else first.inputs
        network = as_classifier(self.owner, None, images)
        if not isinstance(network, Classifier):
            raise InputError("the network needs to take the batch and return its logits: check it, or give `loss`")
        if plain:
            network.fixed = first.fixed
            z = network(self._typed(network, first.inputs))
            self.binary = z.numel() == len(z)
            network = as_classifier(self.owner, 2 if self.binary else z.flatten(1).shape[1], images)
        if isinstance(network, Classifier):
            network.fixed = first.fixed
        return network

    def _ready(self, batch: Seen) -> Seen:
        """Images in the type that the network takes, labels in that of cross-entropy."""
        batch = replace(batch, inputs=self._typed(self.network, batch.inputs))
        if self.loss is not cross_entropy:
            return batch
        y = batch.labels.flatten() if batch.labels.numel() == batch.n else batch.labels
        y = y.long() if y.ndim == 1 and (self.binary or not y.is_floating_point()) else y
        if y.ndim > 1 and not (y.ndim == 2 and y.is_floating_point()):
            raise InputError(
                f"cross-entropy needs one class for each image, got labels {y.dtype} of shape {tuple(y.shape)}: give "
                "the loss that is trained, NoiseScaleTracker(network, loss=...)"
            )
        return replace(batch, labels=y)

    def _typed(self, network: nn.Module, inputs: Any) -> Any:
        return as_images(network, inputs) if isinstance(inputs, Tensor) else inputs

    def _shares(self, batches: Sequence[Seen]) -> list[Tensor] | None:
        """How much each image counts in the mean: class weights over their mean, else 1; None: not told image by image.

        The loss of a batch is Σ w ℓ/Σ w; of one image alone it is ℓ. Labels that the loss ignores weigh nothing.
        """
        said = self.loss.keywords if isinstance(self.loss, partial) else {}
        weight = getattr(self.loss, "weight", said.get("weight"))
        ignored = getattr(self.loss, "ignore_index", said.get("ignore_index", IGNORED))
        y = [batch.labels for batch in batches]
        alone = y[0].is_floating_point() or y[0].ndim > 1 or max(len(one) for one in y) == 1
        if alone or not (isinstance(weight, Tensor) or any((one == ignored).any() for one in y)):
            return [torch.ones(len(one), device=one.device) for one in y]
        if sum(len(one) for one in y) < FEWEST_WEIGHTED:
            return None
        counted = [one != ignored for one in y]
        if torch.cat(counted).float().mean() < 0.5:
            return None  # the number that counts, by which a batch is divided, differs too much between batches
        w = [
            of * (weight.to(one.device)[one.where(of, 0)] if isinstance(weight, Tensor) else 1.0)
            for one, of in zip(y, counted, strict=True)
        ]
        return [one / torch.cat(w).mean() for one in w]

    def _adds_up(self, logits: Tensor, y: Tensor, share: Tensor) -> bool:
        """Whether the loss of the batch is the mean over its images, each counting by its share."""
        alone = torch.stack([self.loss(logits[i : i + 1], y[i : i + 1]).mean() for i in range(len(y))])
        alone = alone.where(share > 0, 0)  # of an ignored label there is no mean
        mean, together = (alone * share).mean(), self.loss(logits, y).mean()
        return bool((mean - together).abs() <= CLOSE * together.abs())

    def _classes(self, logits: Tensor, y: Tensor) -> int | None:
        """K where labels are classes, so that others could stand in their place."""
        if y.numel() != len(y) or (logits.numel() != len(y) and (logits.ndim != 2 or y.is_floating_point())):
            return None
        return 2 if logits.numel() == len(y) else logits.shape[1]

    def _batch(self, batch: Seen, share: Tensor, seed: int) -> Batch:
        K, n, where = self.num_classes, batch.n, batch.labels.device
        if K is None:
            return Batch(batch.inputs, (batch.labels, share))
        singles = torch.arange(K).expand(n, K)
        if K > MANY_LABELS:
            singles = torch.randint(K, (n, DRAWN), generator=torch.Generator().manual_seed(seed))
        dtype = next(iter(self.weights.values())).dtype
        counts = torch.full(singles.shape, 1 / singles.shape[1], device=where, dtype=dtype)
        return Batch(batch.inputs, (batch.labels, share, singles.to(where)), counts)

    def _of_image(self, z: Tensor, y: Tensor, share: Tensor, *singles: Tensor) -> Tensor:
        slope = grad(lambda z, y: self.loss(z[None], y[None]).mean())
        given = torch.where(share > 0, share * slope(z, y), 0)[None]
        if not singles:
            return given
        labels = singles[0].view(-1, *[1] * y.ndim).expand(-1, *y.shape).to(y.dtype)
        every = vmap(slope, (None, 0))(z, labels)
        return torch.cat([given, every.mean(0, keepdim=True), every])

    @torch.enable_grad()
    def _of_batch(self, logits: Tensor, y: Tensor) -> Tensor:
        z = logits.detach().requires_grad_()
        return len(y) * torch.autograd.grad(self.loss(z, y).mean(), z)[0]
