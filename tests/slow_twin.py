"""One cell trained the plain way, one network and one step at a time: the truth the ensemble engine must meet."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch_reference
from torch import nn

from effbatch import noise
from effbatch.data.dataset import DataSet
from effbatch.engine.members import Trained
from effbatch.engine.visits import image_order, image_subset
from effbatch.networks.loading import load_network
from effbatch.noise import labels
from effbatch.noise.foreign import foreign_images
from effbatch.plan.label_noise import noise_matrices
from effbatch.plan.spec import Train
from effbatch.plan.units import Unit
from effbatch.theory.losses import GCE_POWER

CLEAN, FRESH = 0, -1


def assert_cells_match(unit: Unit, dataset: DataSet, trained: Trained) -> None:
    """Every cell of a trained unit has the loss and accuracy of its plain loop."""
    for a, alpha in enumerate(unit.alphas):
        for r, rate in enumerate(unit.learning_rates):
            for s, seed in enumerate(unit.seeds):
                accuracy, loss = train_cell(unit, dataset, alpha, rate, seed)
                assert trained["test_loss"][a, r, s] == pytest.approx(loss, rel=2e-4)
                assert trained["test_accuracy"][a, r, s] == pytest.approx(accuracy, abs=1e-6)


def train_cell(unit: Unit, dataset: DataSet, alpha: float, learning_rate: float, seed: int, *, dtype=torch.float32):
    """Test accuracy and loss of one cell of `unit`, by torch.optim and nn.CrossEntropyLoss."""
    K, B = dataset.num_classes, unit.batch_size
    net = load_network(unit.train.network, dataset.image_shape, K, seed=seed, last_layer=unit.train.last_layer).to(
        dtype
    )
    optimizer = torch_reference.optimizer_of(unit.train, net.parameters(), learning_rate)
    schedule = torch_reference.schedule_of(unit.train, optimizer, unit.steps)
    x_train, x_test = (torch.as_tensor(x, dtype=dtype) for x in (dataset.x_train, dataset.x_test))
    n = unit.data.clean_examples or len(x_train)
    foreign = torch.zeros(0) if unit.data.source is None else foreign_images(unit.data.source, dataset)
    matrices = noise_matrices(unit.data, dataset, [alpha])
    N = np.full((K, K), 1 / K) if matrices is None else matrices[0]
    subset = image_subset(seed, n, len(x_train))
    for step in range(unit.steps):
        images, targets = [], []
        for position in range(step * B, (step + 1) * B):
            visit_pass, place = divmod(position, n)
            image = int(subset[image_order(seed, visit_pass, n)[place]])
            copy = _copy(unit, image, visit_pass, alpha, seed)
            images.append(x_train[image])
            if unit.data.source is not None and copy != CLEAN:
                images[-1] = foreign[_foreign(unit, image, visit_pass, copy, seed, len(foreign))].to(dtype)
            targets.append(_target(unit, int(dataset.y_train[image]), image, visit_pass, copy, alpha, seed, N))
        optimizer.zero_grad()
        target = torch.tensor(np.array(targets), dtype=dtype)
        transition = torch.tensor(noise.expected_targets(alpha, N), dtype=dtype)
        loss_of(unit.train, net(torch.stack(images)), target, transition).backward()
        if unit.train.clip is not None:
            nn.utils.clip_grad_norm_(net.parameters(), unit.train.clip)
        optimizer.step()
        if step < unit.steps - 1:
            schedule.step()
    net.eval()
    with torch.no_grad():
        logits = net(x_test)
        y = torch.as_tensor(dataset.y_test)
        return (logits.argmax(1) == y).double().mean().item(), nn.functional.cross_entropy(logits, y).item()


def loss_of(train: Train, logits: torch.Tensor, target: torch.Tensor, transition: torch.Tensor) -> torch.Tensor:
    """The mean loss of a batch as its paper writes it, for target distributions (B, K) and T (K, K)."""
    p = logits.softmax(1)
    if train.loss == "gce":
        return ((1 - (p * target).sum(1) ** GCE_POWER) / GCE_POWER).mean()
    if train.loss == "forward":
        return -((p @ transition) * target).sum(1).log().mean()
    return nn.functional.cross_entropy(logits, target, label_smoothing=train.label_smoothing)


def _copy(unit: Unit, image: int, visit_pass: int, alpha: float, seed: int) -> int:
    """Which copy of the image the visit shows; a fresh noisy one has no number."""
    if unit.data.copies == "fixed":
        return int(labels.fixed_copy(alpha, np.array([visit_pass]), np.array([image]), seed)[0])
    return FRESH if labels.fresh_noisy(np.array([image]), np.array([visit_pass]), alpha, seed)[0] else CLEAN


def _foreign(unit: Unit, image: int, visit_pass: int, copy: int, seed: int, available: int) -> int:
    if copy == FRESH:
        return int(labels.fresh_foreign(np.array([image]), np.array([visit_pass]), seed, available)[0])
    return int(labels.fixed_foreign(np.array([image]), np.array([copy]), seed, available)[0])


def _target(unit: Unit, true: int, image: int, visit_pass: int, copy: int, alpha: float, seed: int, N) -> np.ndarray:
    """The target distribution (K,) of one visit: one-hot of the drawn label, or the expectation over labels."""
    if unit.data.copies == "expected":
        return noise.expected_targets(alpha, N)[true]
    K = len(N)
    if copy == CLEAN:
        return np.eye(K)[true]
    turn, stream = (visit_pass, labels.Stream.FRESH_LABEL) if copy == FRESH else (copy, labels.Stream.LABEL)
    u = float(labels.uniform_from_hash(labels.counter_hash(stream, seed, np.array([image]), turn))[0])
    if unit.data.noise != "structured":
        return np.eye(K)[int(u * K)]
    label, below = 0, N[true, 0]
    while below <= u and label < K - 1:
        label += 1
        below += N[true, label]
    return np.eye(K)[label]
