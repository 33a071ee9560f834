"""Batches of images and a loss -> the gradient products of each image, or of each batch, by layer.

Two passes: the first sums the gradients g_0 with the labels as given, and g_N with labels drawn from N; the second
takes the products of each one with the sum of the others. Both see the same random draws, which come from a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from operator import itemgetter
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from effbatch.measure.measured import MeasuredMoments
from effbatch.networks.behaviour import Behaviour
from effbatch.networks.classifier import Classifier, each
from effbatch.networks.per_image import by_image, image_gradients, output
from effbatch.networks.untouched import draw_from
from effbatch.theory.moments import CoupledMoments, GradientMoments

GRADIENT_NUMBERS = 2**22  # of single images' gradients held at once, 16 MiB in single precision: more is not faster
BATCH = 128  # images per ordinary forward or backward pass

ByName = dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """Images (n, ...), or a mapping of them, and by image what `Slopes` take, each (n, ...): first of all the labels.

    counts  (n, labels), how much the squared gradient with each single label counts in S_N; None: labels as given alone
    """

    images: Any
    given: tuple[Tensor, ...]
    counts: Tensor | None = None

    @property
    def n(self) -> int:
        return len(self.given[0])

    def parts(self, size: int) -> Iterator[Batch]:
        for i in range(0, self.n, size):
            here = slice(i, i + size)
            counts = None if self.counts is None else self.counts[here]
            yield Batch(each(self.images, itemgetter(here)), tuple(g[here] for g in self.given), counts)


@dataclass(frozen=True)
class Slopes:
    """What a loss makes of logits.

    of_image  z (K,) and what is given of one image -> ∂ℓ/∂z with the label as given, (1, K); where the batches have
              counts, then with labels drawn from N, on average, and with each single label, (2 + labels, K)
    of_batch  logits (B, K) and the labels -> B ∂(loss of the batch)/∂logits; None: as image by image
    """

    of_image: Callable[..., Tensor]
    of_batch: Callable[[Tensor, Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Scatter:
    """Gradients of a network, at any weights, in the mode that it is in, where it behaves as `found`.

    Images that change each other have no gradient of their own: then each batch has one, and batches are of one size.
    """

    network: nn.Module
    weights: Mapping[str, Tensor]
    slopes: Slopes
    found: Behaviour
    seed: int = 0

    def moments(self, batches: Sequence[Batch]) -> tuple[dict[str, MeasuredMoments], float]:
        """By layer, for `MeasuredMoments`, and what it took, in epochs of ordinary gradients of these batches.

        Of each batch of images that change each other four gradients are taken, all of the same forward pass. With a_i0
        and a_iN what image i adds to the clean and noisy ones, a_ik to those with label k, fair signs s_i, and labels
        k_i drawn from N,

            E‖Σ s_i (a_i0 − a_iN)‖² = Σ ‖a_i0 − a_iN‖²        E‖Σ (a_ik_i − a_iN)‖² = Σ Σ_k N_k ‖a_ik − a_iN‖²

        so that S_N = E‖g_N‖² + the second, and X = the first − E‖g_0 − g_N‖² (`CoupledMoments`).
        """
        coupled = self.found.coupled
        n = len(batches) if coupled else sum(batch.n for batch in batches)
        # the first calls load much of PyTorch: the clock starts after them
        next(self._batch_by_batch(batches) if coupled else self._image_by_image([next(batches[0].parts(1))]))
        began = perf_counter()
        sums = self._sums(batches)
        epoch, done = (perf_counter() - began) / 2, 0
        where = next(iter(self.weights.values())).device
        kind, rows = (CoupledMoments, 6) if coupled else (GradientMoments, 5)
        values = {layer_of(name): torch.zeros(rows, n, dtype=torch.float64, device=where) for name in self.weights}
        began = perf_counter()
        for gradients, counts in self._batch_by_batch(batches) if coupled else self._image_by_image(batches):
            for name, g in gradients.items():
                found = [*_with_others(g, sums[name], n), *(_of_batch(g) if coupled else _of_images(g, counts))]
                values[layer_of(name)][:, done : done + len(g)] += torch.stack(found)
            done += len(g)
        size = batches[0].n if coupled else None
        by_layer = {name: MeasuredMoments(kind(*v.cpu().numpy()), size) for name, v in values.items()}
        return by_layer, 2 + (perf_counter() - began) / epoch

    def _sums(self, batches: Sequence[Batch]) -> ByName:
        """Σ g_0 and, where there is an N, Σ g_N, by parameter, (1 or 2, size)."""
        if self.found.draws and not self.found.coupled:
            of_images = (gradients.items() for gradients, _ in self._image_by_image(batches, rows=2))
            every = chain.from_iterable(of_images)
        else:
            parts = batches if self.found.coupled else chain.from_iterable(b.parts(BATCH) for b in batches)
            every = chain.from_iterable(self._together(part, i).items() for i, part in enumerate(parts))
        total: ByName = {}
        for name, g in every:
            total[name] = total.get(name, 0) + g[:, :2].sum(0, dtype=torch.float64)
        return {name: g.to(self.weights[name].dtype) for name, g in total.items()}

    def _image_by_image(self, batches: Sequence[Batch], rows: int | None = None) -> Iterator[tuple[ByName, Any]]:
        """Gradients (images, rows, size) of a few images at a time, and their counts."""
        size = sum(w.numel() for w in self.weights.values())
        of_image = self.slopes.of_image
        part_number = count()
        for batch in batches:
            most = 1 if batch.counts is None else 2 + batch.counts.shape[1]
            for part in batch.parts(max(1, GRADIENT_NUMBERS // (most * size))):
                draw_from(self.seed + next(part_number))
                slopes = of_image if rows is None else lambda *of: of_image(*of)[:rows]
                yield image_gradients(self.network, self.weights, part.images, slopes, *part.given), part.counts

    def _batch_by_batch(self, batches: Sequence[Batch]) -> Iterator[tuple[ByName, Any]]:
        for i, batch in enumerate(batches):
            yield self._together(batch, i, everything=True), None

    @torch.enable_grad()
    def _together(self, batch: Batch, i: int, *, everything: bool = False) -> ByName:
        """Gradients (1, rows, size) of a batch as it is trained: of its mean loss where its images are coupled."""
        draw_from(self.seed + i)
        leaves = {name: w.detach().requires_grad_() for name, w in self.weights.items()}
        logits = output(self.network, leaves, batch.images)
        v = by_image(self.slopes.of_image, logits.detach(), *batch.given)
        clean = v[:, 0] if self.slopes.of_batch is None else self.slopes.of_batch(logits.detach(), batch.given[0])
        rows = [clean, *v.unbind(1)[1:2]]
        if everything and batch.counts is not None:
            draw = torch.Generator().manual_seed(self.seed + i)
            signs = torch.randint(2, (batch.n,), generator=draw).to(v) * 2 - 1
            label = torch.multinomial(batch.counts.cpu().double(), 1, generator=draw)[:, 0].to(v.device)
            drawn = v[torch.arange(batch.n, device=v.device), 2 + label]
            rows += [signs.view(-1, *[1] * (clean.ndim - 1)) * (clean - v[:, 1]), drawn - v[:, 1]]
        share = batch.n if self.found.coupled else 1
        found = [
            torch.autograd.grad(logits, list(leaves.values()), row / share, retain_graph=True, materialize_grads=True)
            for row in rows
        ]
        return {name: torch.stack([g[k].flatten() for g in found])[None] for k, name in enumerate(leaves)}


def summed(by_layer: Mapping[str, MeasuredMoments]) -> GradientMoments:
    """What the images, or batches, have in all layers together."""
    parts = [layer.per_image for layer in by_layer.values()]
    return type(parts[0])(*(sum(values) for values in zip(*(vars(part).values() for part in parts), strict=True)))


def layer_of(parameter: str) -> str:
    """The module that holds a parameter; the parameter's own name where that is the network itself."""
    name = parameter.removeprefix(Classifier.PREFIX)
    return name.rpartition(".")[0] or name


def _with_others(g: Tensor, sums: Tensor, n: int) -> list[Tensor]:
    """Products of g_0 and g_N, rows of g (n, rows, size), with the mean of the others; zero where there is no N."""
    g_0, G_0 = g[:, 0], sums[0]
    clean = g_0 @ G_0 - _dot(g_0, g_0)
    if len(sums) == 1:
        return [clean / (n - 1), torch.zeros_like(clean), torch.zeros_like(clean)]
    g_N, G_N = g[:, 1], sums[1]
    inner, noisy = (g_0 @ G_N + g_N @ G_0) / 2 - _dot(g_0, g_N), g_N @ G_N - _dot(g_N, g_N)
    return [clean / (n - 1), inner / (n - 1), noisy / (n - 1)]


def _of_images(g: Tensor, counts: Tensor | None) -> list[Tensor]:
    """S_0 and S_N."""
    own = _dot(g[:, 0], g[:, 0])
    if counts is None:
        return [own, torch.zeros_like(own)]
    return [own, _dot(counts, torch.linalg.vector_norm(g[:, 2:], dim=2).square())]


def _of_batch(g: Tensor) -> list[Tensor]:
    """S_0, S_N and X."""
    own = _dot(g[:, 0], g[:, 0])
    if g.shape[1] == 1:
        return [own, torch.zeros_like(own), torch.zeros_like(own)]
    clean, noisy, signed, drawn = g.unbind(1)
    return [own, _dot(noisy, noisy) + _dot(drawn, drawn), _dot(signed, signed) - _dot(clean - noisy, clean - noisy)]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of rows."""
    return (a * b).sum(1)
