"""A unit -> its trained networks' accuracies and losses: all members take each step together.

Members that share a seed see the same images; their labels, learning rates and weights are their own. Nothing
couples two members, so a diverged one is frozen and marked without touching the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from effbatch import noise
from effbatch.cube import Outcome
from effbatch.errors import InputError
from effbatch.schedules import multipliers
from effbatch.training import networks
from effbatch.training.cells import Unit
from effbatch.training.datasets import DataSet
from effbatch.training.foreign import images_to_show
from effbatch.training.label_noise import noise_matrices
from effbatch.training.optimizers import OPTIMIZERS
from effbatch.training.stacking import StackedNetwork
from effbatch.training.visits import Stream

BLOCK_LABELS = 2_000_000  # labels drawn at once: bounds memory, makes the drawing's overhead vanish
TEST_ACTIVATIONS = 16_000_000  # numbers per evaluation chunk


@dataclass(frozen=True)
class Trained:
    """Arrays of one unit with the dims (alpha, learning_rate, seed, checkpoint); `outcome` without checkpoint."""

    test_accuracy: np.ndarray
    test_loss: np.ndarray
    train_loss: np.ndarray
    outcome: np.ndarray


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is the GPU where PyTorch finds one, else the CPU. InputError where `cuda` is asked for in vain."""
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise InputError(
            "device cuda was asked for, but PyTorch finds no GPU here; use --device auto, or `effbatch doctor`"
        )
    return torch.device(("cuda" if found else "cpu") if name == "auto" else name)


def train(
    unit: Unit,
    dataset: DataSet,
    *,
    device: torch.device,
    on_steps: Callable[[int], None] = lambda model_steps: None,
) -> Trained:
    """Train every cell of `unit`; `on_steps` is told the model-steps done since it was last told."""
    run = _Run(unit, dataset, device)
    records = []
    done = 0
    for checkpoint in unit.checkpoints:
        while done < checkpoint:
            last = min(checkpoint, done + run.block_steps)
            run.steps(done, last)
            on_steps((last - done) * unit.cells)
            done = last
        records.append(run.evaluate())
    return run.finished(records)


class _Run:
    """The state of one unit in training: stacked weights, optimiser, streams, and who is still alive."""

    def __init__(self, unit: Unit, dataset: DataSet, device: torch.device) -> None:
        self.unit, self.dataset, self.device = unit, dataset, device
        self.K = dataset.num_classes
        A, L, S = len(unit.alphas), len(unit.learning_rates), len(unit.seeds)
        built = [networks.build(unit.train.network, dataset.image_shape, self.K, seed=seed) for seed in unit.seeds]
        self.network = StackedNetwork(built, A * L, device)
        self.optimizer = OPTIMIZERS[unit.train.optimizer](self.network.parameters, unit.train)
        self.schedule = multipliers(unit.train.schedule, unit.steps, warmup=unit.train.warmup)
        self.x_train, foreign = images_to_show(unit.data, dataset, device)
        self.x_test = torch.as_tensor(dataset.x_test, device=device).movedim(0, -1)[None, None]
        self.y_test = torch.as_tensor(dataset.y_test, device=device)
        y_train = torch.as_tensor(dataset.y_train, device=device)
        matrices = noise_matrices(unit.data, dataset, unit.alphas)
        self.stream = Stream(
            unit.data,
            y_train,
            self.K,
            alphas=unit.alphas,
            seeds=unit.seeds,
            batch_size=unit.batch_size,
            noise_matrices=matrices,
            foreign_images=foreign,
        )
        self.soft_targets = None
        if unit.data.copies == "expected":
            uniform = np.full((self.K, self.K), 1 / self.K)
            rows = noise.expected_targets(unit.alphas, uniform if matrices is None else matrices)
            self.soft_targets = torch.as_tensor(rows, dtype=torch.float32, device=device)
        self.alpha_of_member = torch.arange(A, device=device).repeat_interleave(L)
        rates = torch.tensor(unit.learning_rates, dtype=torch.float32, device=device)
        self.learning_rate = rates.repeat(A).expand(S, A * L).clone()
        self.alive = torch.ones(S, A * L, dtype=torch.bool, device=device)
        self.loss_sum = torch.zeros(S, A * L, device=device)
        self.loss_steps = 0
        self.block_steps = max(1, BLOCK_LABELS // (S * A * unit.batch_size))

    def steps(self, first: int, last: int) -> None:
        """Take the steps first … last − 1."""
        visits = self.stream.block(first, last)
        for t in range(last - first):
            images = self.x_train[visits.image[t]].movedim(1, -1).unsqueeze(1)  # (S, 1, C, H, W, B)
            logits = self.network(images)
            loss, slope = self._loss(logits.detach(), visits.label[t])
            gradients = torch.autograd.grad(logits, self.network.parameters, slope)
            with torch.no_grad():
                self.optimizer.step(gradients, self.learning_rate * float(self.schedule[first + t]))
            self.loss_sum += loss
            self.loss_steps += 1

    def _loss(self, logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy (S, M) over the batch and its slope in the logits, (softmax − target)/B."""
        label = label[:, self.alpha_of_member].unsqueeze(2)  # (S, M, 1, B)
        log_p = logits.log_softmax(dim=2)
        B = logits.shape[-1]
        if self.soft_targets is not None:
            target = self.soft_targets[self.alpha_of_member.view(1, -1, 1), label.squeeze(2)].movedim(-1, 2)
            return -(target * log_p).sum(2).mean(-1), (log_p.exp() - target) / B
        loss = -log_p.gather(2, label).squeeze(2).mean(-1)
        slope = log_p.exp().scatter_add(2, label, torch.full_like(label, -1, dtype=log_p.dtype)) / B
        return loss, slope

    @torch.no_grad()
    def evaluate(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Test accuracy, test loss, mean training loss since the last call, each (S, M); freezes the diverged."""
        train_loss = self.loss_sum / self.loss_steps
        n = self.x_test.shape[-1]
        correct = torch.zeros_like(self.loss_sum)
        loss = torch.zeros_like(self.loss_sum)
        widest = max(p.shape[2] for p in self.network.parameters) * self.x_test.shape[3] * self.x_test.shape[4]
        chunk = max(1, TEST_ACTIVATIONS // (widest * correct.numel()))
        for start in range(0, n, chunk):
            log_p = self.network(self.x_test[..., start : start + chunk]).log_softmax(dim=2)
            y = self.y_test[start : start + chunk]
            correct += (log_p.argmax(dim=2) == y).sum(-1)
            loss -= log_p.gather(2, y.expand(*log_p.shape[:2], 1, -1)).sum((2, 3))
        self._freeze(train_loss + loss)
        self.loss_sum.zero_()
        self.loss_steps = 0
        dead = ~self.alive
        values = (correct / n, loss / n, train_loss)
        return tuple(v.masked_fill(dead, torch.nan).cpu().numpy() for v in values)  # type: ignore[return-value]

    def _freeze(self, loss: Tensor) -> None:
        """Stop the members whose loss is not finite: rate and weights to zero (NaN is lasting, so none is missed)."""
        self.alive &= loss.isfinite()
        dead = ~self.alive
        self.learning_rate.masked_fill_(dead, 0.0)
        for w in self.network.parameters:
            w.masked_fill_(dead.view(*dead.shape, *[1] * (w.ndim - 2)), 0.0)

    def finished(self, records: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Trained:
        unit = self.unit
        A, L, S = len(unit.alphas), len(unit.learning_rates), len(unit.seeds)

        def by_cell(values: np.ndarray) -> np.ndarray:  # (..., S, M) -> (A, L, S, ...)
            return np.moveaxis(values.reshape(*values.shape[:-2], S, A, L), (-2, -1, -3), (0, 1, 2))

        accuracy, loss, train_loss = (by_cell(np.stack(values)) for values in zip(*records, strict=True))
        alive = by_cell(self.alive.cpu().numpy())
        outcome = np.where(alive, int(Outcome.FINISHED), int(Outcome.DIVERGED)).astype(np.int8)
        return Trained(accuracy, loss, train_loss, outcome)
