"""One cell trained the plain way, one network and one step at a time: the truth the ensemble engine must meet."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from effbatch import noise
from effbatch.training.cells import Unit
from effbatch.training.datasets import DataSet
from effbatch.training.loading import load_network
from effbatch.training.visits import image_order, image_subset


def train_cell(unit: Unit, dataset: DataSet, alpha: float, learning_rate: float, seed: int, *, dtype=torch.float32):
    """Test accuracy and loss of one cell of `unit`, by torch.optim.SGD and nn.CrossEntropyLoss."""
    K, B = dataset.num_classes, unit.batch_size
    net = load_network(unit.train.network, dataset.image_shape, K, seed=seed).to(dtype)
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=unit.train.momentum)
    x_train, x_test = (torch.as_tensor(x, dtype=dtype) for x in (dataset.x_train, dataset.x_test))
    n = unit.data.clean_examples or len(x_train)
    subset = image_subset(seed, n, len(x_train))
    for step in range(unit.steps):
        images, targets = [], []
        for position in range(step * B, (step + 1) * B):
            visit_pass, place = divmod(position, n)
            image = int(subset[image_order(seed, visit_pass, n)[place]])
            images.append(image)
            targets.append(_target(unit, int(dataset.y_train[image]), image, visit_pass, alpha, seed, K))
        if unit.train.schedule == "cosine":
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * 0.5 * (1 + math.cos(math.pi * step / unit.steps))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x_train[images]), torch.tensor(np.array(targets), dtype=dtype))
        loss.backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        logits = net(x_test)
        y = torch.as_tensor(dataset.y_test)
        return (logits.argmax(1) == y).double().mean().item(), nn.functional.cross_entropy(logits, y).item()


def _target(unit: Unit, true: int, image: int, visit_pass: int, alpha: float, seed: int, K: int) -> np.ndarray:
    """The target distribution (K,) of one visit: one-hot of the drawn label, or the expectation over labels."""
    i, p = np.array([image]), np.array([visit_pass])
    if unit.data.copies == "expected":
        return noise.expected_targets(alpha, np.full((K, K), 1 / K))[true]
    if unit.data.copies == "fixed":
        copy = noise.fixed_copy(alpha, p, i, seed)
        label = noise.fixed_label(np.array([true]), i, copy, seed, num_classes=K)
    else:
        label = noise.fresh_label(np.array([true]), i, p, alpha, seed, num_classes=K)
    return np.eye(K)[int(label[0])]
