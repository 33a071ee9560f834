"""A network as it stands, images and clean labels -> the spectrum that predicts its training."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from effbatch.core.errors import InputError
from effbatch.measure.dense_kernel import dense_kernel
from effbatch.networks.behaviour import behaviour
from effbatch.networks.classifier import as_classifier
from effbatch.networks.per_image import Images, as_images, as_labels, image_gradients, logits_of, trainable_weights
from effbatch.networks.untouched import evaluation_mode
from effbatch.noise.transition import MAX_CLASSES
from effbatch.theory.spectrum import HeldOut, Spectrum

MOST_EXAMPLES = 1000  # that the kernel is taken on
CHUNK = 250  # images whose gradients are held at once


def measure_spectrum(
    network: nn.Module,
    x_train: Images,
    y_train: ArrayLike,
    x_test: Images,
    y_test: ArrayLike,
    *,
    num_classes: int,
    foreign: Images | None = None,
) -> Spectrum:
    """Spectrum of the neural tangent kernel at the network's present weights, averaged over the logits.

        theta(x, x') = (1/K) sum_c <df_c(x)/dw, df_c(x')/dw>        (Jacot et al. 2018, arXiv 1806.07572)

    The kernel is taken on at most 1,000 training images, drawn once and for all, and its eigenfunctions are carried to
    the images `x_test`, whose labels only score the predicted accuracy, and to the `foreign` images that noisy copies
    show, if they do. Labels are whole numbers below K. The network runs in evaluation mode: BatchNorm uses its running
    statistics, which couple no images, and dropout is off. It keeps its weights and its mode. Memory: 500 gradients of
    one logit.

    Raises InputError when the network does not return K logits, images and labels do not match, or K is too large.
    """
    if num_classes > MAX_CLASSES:
        raise InputError(f"first principles take at most {MAX_CLASSES:,} classes, got {num_classes:,}: leave them out")
    keep = np.random.default_rng(0).permutation(len(x_train))[:MOST_EXAMPLES]
    network = as_classifier(network, num_classes, x_train)
    train, test = as_images(network, x_train)[keep], as_images(network, x_test)
    others = [test] if foreign is None else [test, as_images(network, foreign)]
    y_train, y_test = (as_labels(y, x, num_classes) for y, x in ((y_train, x_train), (y_test, x_test)))

    with evaluation_mode(network):
        logits, logits_test = (
            logits_of(network, images, num_classes, CHUNK).double().cpu().numpy() for images in (train, test)
        )
        if behaviour(network, train).coupled:
            raise InputError(
                "gradients of single examples are needed, and the examples of a batch change each other's logits, in "
                "evaluation mode too: build BatchNorm with track_running_stats=True, and normalise no batch by hand"
            )
        gram, rows = _kernel(network, train, torch.cat(others), num_classes)

    n, scale = len(train), 1 / np.sqrt(1 - 1 / num_classes)
    eigenvalues, vectors, modes = _eigenfunctions(gram, rows)
    modes, foreign_modes = modes[: len(test)], modes[len(test) :]
    indicators = vectors.T @ np.eye(num_classes)[y_train[keep]] / np.sqrt(n)
    initial = vectors.T @ _centred(logits) / num_classes * scale / np.sqrt(n)
    start = _centred(logits_test) / num_classes * scale
    held_out = HeldOut(modes, indicators, initial, start, y_test)
    return Spectrum(
        eigenvalues=eigenvalues,
        target_energies=(held_out.target**2).sum(1),
        initial_energies=(initial**2).sum(1),
        num_classes=num_classes,
        examples=n,
        held_out=held_out,
        foreign=None if foreign is None else (foreign_modes**2).mean(0),
        inputs=((vectors.T @ train.flatten(1).double().cpu().numpy()) ** 2).sum(1) / n,
    )


def _eigenfunctions(gram: NDArray, rows: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Eigenvalues, descending, and eigenvectors of the kernel, and its eigenfunctions at the images of `rows`."""
    n = len(gram)
    eigenvalues, vectors = np.linalg.eigh(gram / n)
    eigenvalues, vectors = eigenvalues[::-1], vectors[:, ::-1]
    # single precision cannot tell smaller ones from zero: they learn nothing, their share of the target stays
    null = eigenvalues < np.finfo(np.float32).eps * eigenvalues[0]
    eigenvalues = np.where(null, 0, eigenvalues)
    modes = np.divide(rows @ vectors / np.sqrt(n), eigenvalues, out=np.zeros_like(rows), where=~null)
    return eigenvalues, vectors, modes


@torch.no_grad()
def _kernel(network: nn.Module, train: Tensor, test: Tensor, classes: int) -> tuple[NDArray, NDArray]:
    """theta among the training images (n, n) and between test and training images (n_test, n)."""
    n = len(train)
    images = torch.cat([train, test])
    theta, covered = dense_kernel(network, images, n, classes, CHUNK)
    weights = {name: w for name, w in trainable_weights(network).items() if name not in covered}
    for unit in torch.eye(classes, dtype=theta.dtype, device=theta.device) if weights else ():

        def gradients(x: Tensor, unit: Tensor = unit) -> Tensor:
            by_weight = image_gradients(network, weights, x, lambda _, v: v, unit.expand(len(x), 1, classes))
            return torch.cat([g[:, 0] for g in by_weight.values()], 1)

        # gradients are cheap beside their products, so they are taken again for every block of the kernel
        for j in range(0, n, CHUNK):
            columns = gradients(train[j : j + CHUNK])
            for i in range(j, len(images), CHUNK):  # above the diagonal: by symmetry
                rows = columns if i == j and j + CHUNK <= n else gradients(images[i : i + CHUNK])
                theta[i : i + CHUNK, j : j + CHUNK] += rows @ columns.T / classes
    kernel = theta.double().cpu().numpy()
    lower = np.tril(kernel[:n])
    return lower + np.tril(lower, -1).T, kernel[n:]


def _centred(logits: NDArray) -> NDArray:
    return logits - logits.mean(1, keepdims=True)
