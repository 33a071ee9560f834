"""Best rates of networks whose kernel moves: what the theory says before they train, and what training says.

    python benchmarks/theory_moving.py predict             # writes results/theory_moving_predicted.json
    python benchmarks/theory_moving.py train --out DIR     # a quarter of an hour of one core; then the cube of all

A case is a network with L layers of weights on a data set, at T steps of SGD. Nothing was worked out on `CASES`; the
theory was worked out on those of results/prediction.json.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from effbatch.data import datasets
from effbatch.plan import spec
from effbatch.sweep import runner
from effbatch.theory.dynamics import best_learning_rate, learning_curve
from effbatch.theory.moving import moving_accuracy, moving_rate
from effbatch.validation.setup import initial_spectrum

RESULTS = Path(__file__).parent / "results"
TOLD = RESULTS / "theory_moving_predicted.json"
ALPHAS, BATCHES = (0, 1, 4, 15), (16, 64)
RATES = 2.0 ** np.arange(-8, 4)
SEEDS = 5
DEPTHS = {"perceptron": 1, "mlp1": 2, "mlp2": 3, "mlp4": 5}  # of the built-in networks
THEORIES = ("linearised", "moving")


@dataclass(frozen=True)
class Case:
    """A network of `depth` layers with weights, and how it is trained."""

    network: str
    depth: int
    dataset: str = "digits"
    steps: int = 400
    schedule: str = "constant"
    momentum: float = 0.0

    @property
    def name(self) -> str:
        how = "_momentum" * bool(self.momentum) + f"_{self.schedule}" * (self.schedule != "constant")
        return f"moving_{self.network}_{self.dataset}{how}"

    @property
    def rates(self) -> np.ndarray:
        return RATES * (1 - self.momentum)

    def spec(self) -> spec.Spec:
        """The sweep that trains it."""
        own = self.network not in DEPTHS
        return spec.parse(f"""
            [simulation]
            name = "{self.name}"
            [data]
            dataset = "{self.dataset}"
            [train]
            network = "{"benchmarks/untried_networks.py:" * own}{self.network}"
            momentum = {self.momentum}
            schedule = "{self.schedule}"
            budget = {{ steps = {self.steps} }}
            evaluations = 1
            [grid]
            alpha = {list(ALPHAS)}
            batch_size = {list(BATCHES)}
            learning_rate = {[float(rate) for rate in self.rates]}
            seed = {SEEDS}
        """)


CASES = (
    Case("he2", 3),
    Case("tanh2", 3),
    Case("gelu2", 3),
    Case("relu3", 4, steps=600),
    Case("he6", 7),
    Case("mlp2", 3, schedule="cosine", momentum=0.9),
    Case("mlp2", 3, "mnist"),
    Case("mlp4", 5, "mnist"),
)


def predicted(case: Case) -> list[dict]:
    """Rate and accuracies over the grid by both theories, a row for every (α, B)."""
    network = case.spec().train.network
    spectrum = initial_spectrum(network, datasets.load(case.dataset), seed=0)
    how = {"schedule": case.schedule, "momentum": case.momentum}
    alpha, B = (v.ravel() for v in np.meshgrid(ALPHAS, BATCHES, indexing="ij"))
    cells = (alpha[:, None], B[:, None], case.rates, case.steps)
    said = {
        "linearised": (
            best_learning_rate(spectrum, alpha, B, case.steps, **how),
            learning_curve(spectrum, *cells, **how).accuracy,
        ),
        "moving": (
            moving_rate(spectrum, case.depth, alpha, B, case.steps, **how),
            moving_accuracy(spectrum, case.depth, *cells, **how),
        ),
    }
    return [
        {"alpha": float(alpha[i]), "batch_size": int(B[i])}
        | {name: float(f"{rates[i]:.4g}") for name, (rates, _) in said.items()}
        | {f"{name} accuracy": np.round(curves[i], 3).tolist() for name, (_, curves) in said.items()}
        for i in range(len(alpha))
    ]


def predict() -> None:
    """Store what is said before anything trains."""
    content = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "expected": {
            "moving, ReLU": "median error at most 0.7 powers of two in every network, less than linearised in most",
            "moving, tanh and GELU": "rates too low: saturated layers pass on less than the formula lets them",
            "linearised": "too high wherever PyTorch's small weights start and layers are three or more, most on mlp4",
            "alpha = 0": "the least sure: up to one power of two to either side",
            "accuracy": "about 10 points root mean square over the grid, as the cliff comes a half octave off",
        },
        "cases": {case.name: predicted(case) for case in CASES},
    }
    TOLD.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("predict", "train"))
    parser.add_argument("--out", type=Path, default=Path("out/theory_moving"))
    options = parser.parse_args()
    if options.what == "predict":
        predict()
    else:
        for case in CASES:
            runner.simulate(case.spec(), options.out / case.name)
