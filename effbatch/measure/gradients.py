"""A network, images and clean labels -> the five gradient numbers, of the whole network and of each layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from effbatch.core.errors import InputError
from effbatch.data.datasets import as_dataset
from effbatch.laws.base import in_range, one_of
from effbatch.measure.measured import FEWEST_IMAGES, MeasuredMoments
from effbatch.measure.scatter import BATCH, Batch, Scatter, Slopes, summed
from effbatch.networks.behaviour import Behaviour, behaviour
from effbatch.networks.classifier import as_classifier, remarks
from effbatch.networks.per_image import as_images, as_labels, logits_of, trainable_weights
from effbatch.networks.untouched import untouched
from effbatch.noise.transition import checked_matrix

Mode = Literal["training", "evaluation"]
MANY_LABELS = 64  # of more classes, DRAWN labels of an image stand for all of them
DRAWN = 16
FEWEST_BATCHES = 8  # of images that change each other


@dataclass(frozen=True, kw_only=True)
class NetworkMoments(MeasuredMoments):
    """The five numbers of a network, and what measuring them took.

    layers    the same for the parameters of one module each, by its name; each number's layers sum to the total
    remarks   in which mode the network was measured where that matters, and what is odd about it; sentences
    seconds   the whole measurement; up to two of them go to PyTorch's first per-image gradient in a process
    epochs    without that: in gradients of one training epoch over these images, timed on the way
    """

    layers: Mapping[str, MeasuredMoments]
    remarks: tuple[str, ...]
    seconds: float
    epochs: float


@torch.enable_grad()
def measure_moments(
    network: nn.Module,
    images: Any,
    labels: ArrayLike | Tensor | None = None,
    *,
    num_classes: int | None = None,
    noise_matrix: ArrayLike | None = None,
    max_examples: int | None = None,
    mode: Mode = "training",
    batch_size: int = BATCH,
    seed: int = 0,
) -> NetworkMoments:
    """Measure ‖G_0‖², G_0·G_N, ‖G_N‖², S_0 and S_N of cross-entropy at the network's present weights.

    Each number has a 95 % interval and the unit loss²/parameter². With logits z_i of image i, J_i = ∂z_i/∂w and
    p_i = softmax(z_i), a copy with label k has the gradient J_iᵀ(p_i − e_k). Expectations over labels are sums over all
    K labels, not draws:

        g_i0 = J_iᵀ(p_i − e_y),   g_iN = J_iᵀ(p_i − N[y]),   S_N,i = Σ_k N[y, k] ‖J_iᵀ(p_i − e_k)‖²

    Expectations over images are U-statistics (Hoeffding, 1948; see `MeasuredMoments`) for the population that the
    images were drawn from independently. (For the mean gradient of a training set itself take ‖Σ g_i‖²/n².)

    The gradients are those that training sees. Dropout draws once for each image, and S contains that noise. Where the
    images of a batch change each other (BatchNorm; the function finds out by trying), no image has a gradient of its
    own. Disjoint batches then give one gradient each: trΣ is B times their variance, ‖G‖² comes from products of
    different batches, and the answer, `CoupledMoments`, holds for batches of this size, at every α.

    images        (n, ...) with n >= 3; labels (n,) are clean whole numbers below num_classes. Without labels, `images`
                  is data of any kind that `as_dataset` reads, and its training images are measured
    noise_matrix  N, (K, K), rows = true class; None is uniform noise
    max_examples  measure this many images, drawn by `seed`
    mode          "evaluation" turns dropout off and gives BatchNorm its running statistics; the remarks say so
    batch_size    images per batch where they change each other, at most an eighth of the images
    The network stays on its device and keeps weights, buffers, modes and frozen layers.

    The cost is two ordinary epochs of gradients and K + 2 gradients of every single image, of which 16 MiB, or one
    image's, are held at once. With more than 64 classes it is 18 gradients, as 16 labels drawn from N stand for all.
    Batches take about seven epochs. `seconds` and `epochs` of the result say what it came to: on one CPU core and 10
    classes about 15 epochs for a small convolutional network, 25 to 350 for dense ones, whose epochs share matrix
    products.
    Raises InputError if network, images, labels and matrix do not fit together, or logits are not finite.

    >>> _ = torch.manual_seed(0)
    >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    >>> moments = effbatch.measure_moments(network, "digits", max_examples=200)
    >>> moments.n
    200
    >>> moments.noise_scale(alpha=3).value > moments.noise_scale(alpha=0).value
    True
    """
    start = perf_counter()
    one_of("mode", mode, ("training", "evaluation"))
    in_range("the batch size", batch_size, "examples per batch", least=2)
    if labels is None:
        data = as_dataset(images)
        images, labels, num_classes = data.x_train, data.y_train, data.num_classes
    if num_classes is None:
        raise InputError("the number of classes is needed beside labels, got none: give num_classes")
    y = as_labels(labels, images, num_classes)
    N = None if noise_matrix is None else checked_matrix(noise_matrix, num_classes=num_classes)
    order = _drawn_examples(len(y), max_examples, seed)
    network = as_classifier(network, num_classes, images)
    training = None if network.training and mode == "training" else mode == "training"
    chosen, size = np.sort(order), len(order)
    with untouched(network, training=training):
        x = as_images(network, images[chosen])
        with untouched(network, training=False):  # raises where something does not fit
            logits_of(network, x, num_classes, BATCH + (len(x) % BATCH == 1))
        found = behaviour(network, x)
        if found.coupled:
            chosen, size = _in_batches(order, batch_size)
            x = as_images(network, images[chosen])
        weights = trainable_weights(network)
        whole = _batch(x, y[chosen], num_classes, N, next(iter(weights.values())), seed)
        batches = list(whole.parts(size))
        scatter = Scatter(network, weights, Slopes(_cross_entropy), found, seed)
        layers, epochs = scatter.moments(batches)
        said = remarks(network, x)
    return NetworkMoments(
        summed(layers),
        size if found.coupled else None,
        layers=layers,
        remarks=(*_of_mode(mode, found, len(batches), size, num_classes), *said),
        seconds=perf_counter() - start,
        epochs=epochs,
    )


def _drawn_examples(n: int, most: int | None, seed: int) -> NDArray[np.intp]:
    """At most so many of n examples, in the order of `seed`; InputError for too few."""
    if most is not None and most < 1:
        raise InputError(
            f"the number of examples to measure must be at least {FEWEST_IMAGES}, got {most}: measure more"
        )
    order = np.random.default_rng(seed).permutation(n)[:most]
    if len(order) < FEWEST_IMAGES:
        raise InputError(
            f"at least {FEWEST_IMAGES} examples are needed for an interval, got {len(order)}: add some", n=len(order)
        )
    return order


def _in_batches(order: NDArray[np.intp], most: int) -> tuple[NDArray[np.intp], int]:
    """The images that fill batches, and the size of one, where the images of a batch change each other."""
    size = min(most, len(order) // FEWEST_BATCHES)
    if size < 2:
        raise InputError(
            f"the examples of a batch change each other's gradients, as in BatchNorm: at least "
            f'{2 * FEWEST_BATCHES} examples are needed, got {len(order)}: measure more, or mode="evaluation"'
        )
    return order[: len(order) // size * size], size


def _batch(
    x: Tensor, y: NDArray[np.int64], K: int, matrix: NDArray[np.floating] | None, weight: Tensor, seed: int
) -> Batch:
    """Images with what `_cross_entropy` takes: labels, rows of N, and the single labels that S_N is summed over.

    matrix  N; None where it is uniform, which then takes no memory
    """

    def tensor(values: Any, dtype: torch.dtype = weight.dtype) -> Tensor:
        return torch.as_tensor(values, dtype=dtype, device=weight.device)

    N_y = tensor(1 / K).expand(len(y), K) if matrix is None else tensor(matrix[y])
    if K > MANY_LABELS:
        single = tensor(_drawn(y, K, matrix, seed), torch.long)
        return Batch(x, (tensor(y, torch.long), N_y, single), tensor(1 / DRAWN).expand(len(y), DRAWN))
    return Batch(x, (tensor(y, torch.long), N_y, torch.arange(K, device=weight.device).expand(len(y), K)), N_y)


def _drawn(y: NDArray[np.int64], K: int, matrix: NDArray[np.floating] | None, seed: int) -> NDArray[np.int64]:
    """DRAWN labels of each image, (n, DRAWN), from its row of N: where shares fall among the sums of that row."""
    share = np.random.default_rng(seed).random((len(y), DRAWN))
    if matrix is None:
        return (share * K).astype(np.int64)
    found = np.empty(share.shape, np.int64)
    for c in np.unique(y):
        found[y == c] = np.searchsorted(matrix[c].cumsum(), share[y == c])
    return found.clip(max=K - 1)


def _cross_entropy(z: Tensor, y: Tensor, N_y: Tensor, singles: Tensor) -> Tensor:
    """p − e_y, p − N[y] and p − e_k of every single label k."""
    p = z.softmax(0)
    k = torch.arange(len(z), device=z.device)
    return torch.cat([p - (k == y[None, None]).to(z), (p - N_y)[None], p - (k == singles[:, None]).to(z)])


def _of_mode(mode: Mode, found: Behaviour, batches: int, size: int, num_classes: int) -> tuple[str, ...]:
    said = []
    if mode == "evaluation":
        said.append(
            "evaluation mode, as asked for: dropout was off and BatchNorm used its running statistics; training sees "
            "other gradients where the network has such layers"
        )
    if found.coupled:
        said.append(
            f"the examples of a batch change each other's gradients (BatchNorm does so): measured on {batches} "
            f"disjoint batches of {size} examples, and true for batches of this size"
        )
    elif found.draws:
        said.append("the network draws random numbers (dropout does so): one draw for each example, part of the noise")
    if num_classes > MANY_LABELS:
        said.append(f"S_N is the mean over {DRAWN} labels drawn for each example, not over all {num_classes:,}")
    return tuple(said)
