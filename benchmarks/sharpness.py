"""Sharpness, as an optimiser sees it -> the rate at which it would be unstable; and along training, against that rate.

    python benchmarks/sharpness.py     # two minutes of one core; writes results/sharpness.json

SGD at rate η is stable where the largest eigenvalue of the Hessian H is below 2/η. Adam is SGD with momentum β₁ on
P^−½ H P^−½, P the root of v, stable below 2(1 + β₁)/((1 − β₁)η) = 38/η (Cohen et al. 2022, arXiv 2207.14484). Along
training the script measures what batches see: E[uᵀHu/gᵀu], u = g with SGD (batch sharpness, arXiv 2412.20553) and P⁻¹g
with Adam, g and H of one batch, each as it is to be stepped on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from theory_adam import SEED, Run, mean_loss
from torch import Tensor, nn

from effbatch.fitting.student import student_quantile

RESULT = Path(__file__).parent / "results" / "sharpness.json"
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
SEEDS = 5
EVERY = 5  # one batch in so many is looked at, from the middle of a run on


def adam_edge(top: float) -> float:
    """2(1 + β₁)/((1 − β₁) λ): the rate at which Adam is unstable where P⁻¹H has the largest eigenvalue λ."""
    return 2 * (1 + BETA_1) / ((1 - BETA_1) * top)


def top_eigenvalue(network: nn.Module, x: Tensor, y: Tensor, squares: np.ndarray) -> float:
    """λ of P^−½ H P^−½: H of the loss on (x, y), P the root of `squares` (parameters,) and Adam's ε."""
    weights = list(network.parameters())
    scale = torch.as_tensor((np.sqrt(squares) + EPSILON) ** -0.5).float()
    gradient = torch.autograd.grad(mean_loss(network, x, y), weights, create_graph=True)

    def turned(vector: np.ndarray) -> np.ndarray:
        along = scale * torch.as_tensor(vector).float().flatten()
        return (scale * _flat(product(gradient, weights, _shaped(along, weights)))).double().numpy()

    whole = LinearOperator((len(scale), len(scale)), matvec=turned, dtype=float)
    start = np.random.default_rng(0).standard_normal(len(scale))
    return float(eigsh(whole, 1, which="LA", v0=start, tol=1e-3, return_eigenvectors=False)[0])


def product(gradient: Sequence[Tensor], weights: Sequence[Tensor], vector: Sequence[Tensor]) -> Sequence[Tensor]:
    """H v, from a gradient that was taken with its graph."""
    return torch.autograd.grad(gradient, weights, vector, retain_graph=True)


def _shaped(vector: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    parts = vector.split([w.numel() for w in weights])
    return [part.view_as(w) for part, w in zip(parts, weights, strict=True)]


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.detach().flatten() for t in tensors])


@dataclass(frozen=True)
class Setting:
    """A network on digits, and how it is trained."""

    network: str
    optimizer: str
    alpha: float
    rate: float
    batch_size: int = 64
    steps: int = 800

    @property
    def edge(self) -> float:
        """The sharpness that this rate cannot bear."""
        return 2 / self.rate if self.optimizer == "sgd" else adam_edge(self.rate)

    def sharpness(self, seed: int) -> float:
        """E[uᵀHu]/E[gᵀu] over batches of the last half of a run."""
        net, draw = Run(self.network, "digits", self.alpha, self.batch_size, self.steps, seed).begun()
        weights = list(net.parameters())
        make = torch.optim.Adam if self.optimizer == "adam" else torch.optim.SGD
        optimizer, curved, steep = make(weights, lr=self.rate), 0.0, 0.0
        for t in range(self.steps):
            seen = t >= self.steps // 2 and t % EVERY == 0
            gradient = torch.autograd.grad(mean_loss(net, *draw()), weights, create_graph=seen)
            if seen:
                u = self._direction(optimizer, weights, gradient)
                curved += float(_flat(product(gradient, weights, u)) @ _flat(u))
                steep += float(_flat(gradient) @ _flat(u))
            for w, g in zip(weights, gradient, strict=True):
                w.grad = g.detach()
            optimizer.step()
        return curved / steep

    def _direction(self, optimizer: torch.optim.Optimizer, weights: Sequence, gradient: Sequence) -> list[Tensor]:
        if self.optimizer == "sgd":
            return [g.detach() for g in gradient]
        states = [optimizer.state[w] for w in weights]
        unbiased = [(s["exp_avg_sq"] / (1 - BETA_2 ** float(s["step"]))).sqrt() + EPSILON for s in states]
        return [g.detach() / root for g, root in zip(gradient, unbiased, strict=True)]


SETTINGS = (
    Setting("mlp4", "sgd", 0, 2**-3),
    Setting("mlp4", "sgd", 4, 2**-1),
    Setting("mlp1", "adam", 0, 2**-6),
    Setting("mlp1", "adam", 0, 2**-4),
    Setting("mlp1", "adam", 4, 2**-9),
)


def main() -> None:
    """Measure every setting, and write the record."""
    half, found = student_quantile(SEEDS - 1) / np.sqrt(SEEDS), []
    for setting in SETTINGS:
        values = np.array([setting.sharpness(SEED + i) for i in range(SEEDS)])
        mean, sd = float(values.mean()), float(values.std(ddof=1))
        said = {"edge": setting.edge, "sharpness": mean, "low": mean - half * sd, "high": mean + half * sd, "n": SEEDS}
        found.append(asdict(setting) | said)
    RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def table() -> list[str]:
    """The record as Markdown."""
    lines = [
        "| network on digits | optimiser | α | B | T | rate | unstable from | seen by batches | n |",
        "|---" * 9 + "|",
    ]
    for row in json.loads(RESULT.read_text(encoding="utf-8")):
        cells = [row["network"], row["optimizer"], f"{row['alpha']:g}", row["batch_size"], row["steps"]]
        seen = f"{row['sharpness']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"
        cells += [f"2^{np.log2(row['rate']):g}", f"{row['edge']:.4g}", seen, row["n"]]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


if __name__ == "__main__":
    main()
