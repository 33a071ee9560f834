"""A network, images and clean labels -> the five gradient numbers, of the whole network and of each layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from effbatch.core.errors import InputError
from effbatch.measure.measured import FEWEST_IMAGES, MeasuredMoments
from effbatch.networks.classifier import Classifier, as_classifier, remarks
from effbatch.networks.evaluation_mode import evaluation_mode, evaluation_remarks
from effbatch.networks.per_image import Images, as_images, as_labels, image_gradients, logits_of, trainable_weights
from effbatch.noise.transition import checked_matrix
from effbatch.theory.moments import GradientMoments

GRADIENT_NUMBERS = 2**22  # of single images' gradients held at once, 16 MiB in single precision: more is not faster
BATCH = 128  # images per ordinary forward or backward pass


@dataclass(frozen=True)
class NetworkMoments(MeasuredMoments):
    """The five numbers of a network, and what measuring them took.

    layers    the same for the parameters of one module each, by its name; each number's layers sum to the total
    remarks   what evaluation mode changed about this network, sentences
    seconds   the whole measurement; up to two of them go to PyTorch's first per-image gradient in a process
    epochs    without that: in gradients of one training epoch over these images, batches of 128, timed on the way
    """

    layers: Mapping[str, MeasuredMoments]
    remarks: tuple[str, ...]
    seconds: float
    epochs: float


@torch.enable_grad()
def measure_moments(
    network: nn.Module,
    images: Images,
    labels: ArrayLike | Tensor,
    *,
    num_classes: int,
    noise_matrix: ArrayLike | None = None,
    max_examples: int | None = None,
    seed: int = 0,
) -> NetworkMoments:
    """‖G_0‖², G_0·G_N, ‖G_N‖², S_0 and S_N of cross-entropy at the network's present weights, with 95 % intervals.

    With logits z_i of image i, J_i = ∂z_i/∂w and p_i = softmax(z_i), a copy with label k has the gradient
    J_iᵀ(p_i − e_k). Expectations over labels are sums over all K labels, not draws:

        g_i0 = J_iᵀ(p_i − e_y),   g_iN = J_iᵀ(p_i − N[y]),   S_N,i = Σ_k N[y, k] ‖J_iᵀ(p_i − e_k)‖²;

    expectations over images are U-statistics (see `MeasuredMoments`), for the population that the images were drawn
    from independently. (The mean gradient of a training set itself needs no estimate: it is ‖Σ g_i‖²/n².)

    images        (n, ...), at least 3; labels (n,) clean, whole numbers below num_classes
    noise_matrix  N (K, K), rows = true class; uniform where none is given
    max_examples  measure this many, drawn by `seed`
    Units: loss²/parameter². The network runs in evaluation mode on the device it is on, and keeps weights and modes.
    Cost: two ordinary epochs of gradients and K + 2 gradients of every single image, of which 16 MiB (or those of one
    image) are held at once; `seconds` and `epochs` of the result say what it came to. On one CPU core and 10 classes
    about 15 epochs for a small convolutional network, 25 to 350 for dense ones, whose epochs share matrix products.
    Raises InputError where network, images, labels and matrix do not fit together, or logits are not finite.
    """
    start = perf_counter()
    y = as_labels(labels, images, num_classes)
    uniform = np.full((num_classes, num_classes), 1 / num_classes)
    N = checked_matrix(uniform if noise_matrix is None else noise_matrix, num_classes=num_classes)
    if max_examples is not None and max_examples < 1:
        raise InputError(f"the number of images to measure must be at least {FEWEST_IMAGES}; {max_examples} came")
    keep = np.sort(np.random.default_rng(seed).permutation(len(y))[:max_examples])
    if len(keep) < FEWEST_IMAGES:
        raise InputError(f"at least {FEWEST_IMAGES} images are needed for an interval; {len(keep)} came", n=len(keep))
    network = as_classifier(network, num_classes, images)
    x, y = as_images(network, images[keep]), y[keep]
    with evaluation_mode(network):
        by_layer, epochs = _per_image(network, x, y, N)
    layers = {name: MeasuredMoments(GradientMoments(*values)) for name, values in by_layer.items()}
    total = GradientMoments(*np.sum(list(by_layer.values()), axis=0))
    said = (*evaluation_remarks(network), *remarks(network, x))
    return NetworkMoments(total, layers, said, perf_counter() - start, epochs)


def _per_image(
    network: nn.Module, x: Tensor, y: NDArray[np.int64], matrix: NDArray[np.floating]
) -> tuple[dict[str, NDArray[np.float64]], float]:
    """By layer, the five numbers of each image (5, n) as `MeasuredMoments` wants them; the cost in epochs."""
    n, K = len(x), len(matrix)
    weights = trainable_weights(network)
    p = logits_of(network, x, K, BATCH).softmax(1)
    eye = torch.eye(K, dtype=p.dtype, device=p.device)
    N_y = torch.as_tensor(matrix[y], dtype=p.dtype, device=p.device)
    clean, noisy = p - eye[y], p - N_y

    sum_clean = _summed_gradient(network, x, clean)
    image_gradients(network, weights, x[:1], _as_given, clean[:1, None])
    warm = perf_counter()  # the first calls load much of PyTorch: the clock starts here
    sum_noisy = _summed_gradient(network, x, noisy)
    epoch = perf_counter() - warm

    values = {_layer(name): torch.zeros(5, n, dtype=torch.float64, device=x.device) for name in weights}
    size = sum(w.numel() for w in weights.values())
    chunk = max(1, GRADIENT_NUMBERS // ((K + 2) * size))
    for i in range(0, n, chunk):
        here = slice(i, i + chunk)
        residuals = torch.cat([clean[here, None], noisy[here, None], p[here, None] - eye], 1)
        for name, g in image_gradients(network, weights, x[here], _as_given, residuals).items():
            g_0, g_N = g[:, 0], g[:, 1]
            G_0, G_N = sum_clean[name], sum_noisy[name]
            squares = torch.linalg.vector_norm(g[:, 2:], dim=2).square()  # (images, K)
            with_others = [
                g_0 @ G_0 - _dot(g_0, g_0),
                (g_0 @ G_N + g_N @ G_0) / 2 - _dot(g_0, g_N),
                g_N @ G_N - _dot(g_N, g_N),
            ]
            own = [_dot(g_0, g_0), _dot(N_y[here], squares)]
            values[_layer(name)][:, here] += torch.stack([*(u / (n - 1) for u in with_others), *own])
    numbers = {name: v.cpu().numpy() for name, v in values.items()}
    return numbers, 1 + (perf_counter() - warm) / epoch


def _summed_gradient(network: nn.Module, x: Tensor, residual: Tensor) -> dict[str, Tensor]:
    """Σ_i J_iᵀ r_i by parameter, flat: what an epoch of ordinary training computes."""
    weights = {name: w for name, w in network.named_parameters() if w.requires_grad}
    total = {name: torch.zeros(w.numel(), dtype=torch.float64, device=w.device) for name, w in weights.items()}
    for images, r in zip(x.split(BATCH), residual.split(BATCH), strict=True):
        gradients = torch.autograd.grad(network(images), list(weights.values()), r, materialize_grads=True)
        for name, g in zip(weights, gradients, strict=True):
            total[name] += g.flatten()
    return {name: g.to(weights[name].dtype) for name, g in total.items()}


def _as_given(_: Tensor, residuals: Tensor) -> Tensor:
    return residuals


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of rows."""
    return (a * b).sum(1)


def _layer(parameter: str) -> str:
    """The module that holds a parameter; the parameter's own name where that is the network itself."""
    name = parameter.removeprefix(Classifier.PREFIX)
    return name.rpartition(".")[0] or name
