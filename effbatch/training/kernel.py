"""A network as it stands, images and clean labels -> the spectrum that predicts its training."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from effbatch.dynamics import HeldOut, Spectrum
from effbatch.errors import InputError

Images = Tensor | NDArray[np.floating]


def measure_spectrum(
    network: nn.Module,
    x_train: Images,
    y_train: ArrayLike,
    x_test: Images,
    y_test: ArrayLike,
    *,
    num_classes: int,
    max_examples: int = 1000,
    seed: int = 0,
    chunk: int = 250,
) -> Spectrum:
    """Spectrum of the neural tangent kernel at the network's present weights, averaged over the logits.

        theta(x, x') = (1/K) sum_c <df_c(x)/dw, df_c(x')/dw>        (Jacot et al. 2018, arXiv 1806.07572)

    The kernel is taken on at most `max_examples` training images, drawn by `seed`, and its eigenfunctions are
    carried to the images `x_test`, whose labels only score the predicted accuracy. Labels are whole numbers
    below K. The network runs in evaluation mode: BatchNorm uses its running statistics, which couple no
    images, and dropout is off. It keeps its weights and its mode. Memory: 2 * chunk gradients of one logit.

    Raises InputError when the network does not return K logits, or images and labels do not match.
    """
    keep = np.random.default_rng(seed).permutation(len(x_train))[:max_examples]
    train, test = _tensor(network, x_train)[keep], _tensor(network, x_test)
    y_train, y_test = (_labels(y, x, num_classes) for y, x in ((y_train, x_train), (y_test, x_test)))

    was_training = network.training
    network.eval()
    try:
        logits, logits_test = (
            _logits(network, train, num_classes, chunk),
            _logits(network, test, num_classes, chunk),
        )
        gram, rows = _kernel(network, train, test, num_classes, chunk)
    finally:
        network.train(was_training)

    n, scale = len(train), 1 / np.sqrt(1 - 1 / num_classes)
    eigenvalues, vectors = np.linalg.eigh(gram / n)
    eigenvalues, vectors = eigenvalues[::-1], vectors[:, ::-1]
    # single precision cannot tell smaller ones from zero: they learn nothing, their share of the target stays
    null = eigenvalues < np.finfo(np.float32).eps * eigenvalues[0]
    eigenvalues = np.where(null, 0, eigenvalues)
    modes = np.divide(rows @ vectors / np.sqrt(n), eigenvalues, out=np.zeros_like(rows), where=~null)
    target = vectors.T @ (np.eye(num_classes)[y_train[keep]] - 1 / num_classes) * scale / np.sqrt(n)
    initial = vectors.T @ _centred(logits) / num_classes * scale / np.sqrt(n)
    return Spectrum(
        eigenvalues=eigenvalues,
        target_energies=(target**2).sum(1),
        initial_energies=(initial**2).sum(1),
        num_classes=num_classes,
        examples=n,
        held_out=HeldOut(modes, target, initial, _centred(logits_test) / num_classes * scale, y_test),
    )


def _kernel(network: nn.Module, train: Tensor, test: Tensor, classes: int, chunk: int) -> tuple[NDArray, NDArray]:
    """theta among the training images (n, n) and between test and training images (n_test, n)."""
    weights = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    n = len(train)
    images = torch.cat([train, test])
    theta = torch.zeros(len(images), n, dtype=train.dtype, device=train.device)
    for c in range(classes):

        def logit(w: dict[str, Tensor], x: Tensor, c: int = c) -> Tensor:
            return functional_call(network, w, (x[None],))[0, c]

        def gradients(x: Tensor, logit=logit) -> Tensor:
            per_weight = vmap(grad(logit), in_dims=(None, 0))(weights, x)
            return torch.cat([g.flatten(1) for g in per_weight.values()], 1)

        # gradients are cheap beside their products, so they are taken again for every block of the kernel
        for j in range(0, n, chunk):
            columns = gradients(train[j : j + chunk])
            for i in range(j, len(images), chunk):  # above the diagonal: by symmetry
                rows = columns if i == j and j + chunk <= n else gradients(images[i : i + chunk])
                theta[i : i + chunk, j : j + chunk] += rows @ columns.T / classes
    kernel = theta.double().cpu().numpy()
    lower = np.tril(kernel[:n])
    return lower + np.tril(lower, -1).T, kernel[n:]


@torch.no_grad()
def _logits(network: nn.Module, images: Tensor, classes: int, chunk: int) -> NDArray:
    logits = torch.cat([network(x) for x in images.split(chunk)]).double().cpu().numpy()
    if logits.shape != (len(images), classes):
        raise InputError(
            f"the network needs to return {classes} logits per image; shape {logits.shape} came for "
            f"{len(images)} images: give num_classes as the width of its last layer"
        )
    return logits


def _centred(logits: NDArray) -> NDArray:
    return logits - logits.mean(1, keepdims=True)


def _tensor(network: nn.Module, images: Images) -> Tensor:
    weight = next(network.parameters())
    return torch.as_tensor(images, dtype=weight.dtype, device=weight.device)


def _labels(labels: ArrayLike, images: Images, classes: int) -> NDArray[np.int64]:
    y = np.asarray(labels, dtype=np.int64)
    if y.shape != (len(images),) or len(y) == 0 or y.min() < 0 or y.max() >= classes:
        came = f"labels of shape {y.shape}" + (f" from {y.min()} to {y.max()}" if y.size else "")
        raise InputError(
            f"one label from 0 to {classes - 1} is needed for each of {len(images)} images; {came} came: "
            "check that images and labels belong together"
        )
    return y
