"""One GPU for ten minutes -> a record: is CUDA right, how fast is it, and figure 1 of the paper with ten seeds.

python benchmarks/gpu.py DATA OUT              # DATA holds mnist/ with the four idx files; ten minutes
python benchmarks/gpu.py DATA OUT --small      # the same on a few images and steps; a minute on a CPU

It needs a checkout of effbatch with torch, numpy and xarray (`pip install torch numpy xarray`), and no network.
OUT/gpu.json and OUT/gpu.md are written anew after every row, so a run that is cut short loses one row. Never run on a
GPU yet: where PyTorch finds none it runs on the CPU and says so.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that nothing need be installed

import numpy as np
import torch
from throughput import UNIT_STEPS, Steps, effbatch_unit, enough, plain_loop, torch_func
from torch.utils.flop_counter import FlopCounterMode

import effbatch
from effbatch.data.builtin import mnist
from effbatch.data.dataset import DataSet
from effbatch.data.sources import VARIABLE
from effbatch.engine import graphs
from effbatch.engine.device import exact_float32, pick_device
from effbatch.engine.train import train_unit
from effbatch.engine.visits import Stream
from effbatch.networks import zoo
from effbatch.plan.spec import Data, Train
from effbatch.plan.units import Unit

CPU = torch.device("cpu")
TOLERANCE = 1e-3  # of losses after the steps of `same_numbers`: two devices round sums in another order
RATES = {"perceptron": 0.25, "mlp1": 0.25, "mlp2": 0.25, "mlp4": 0.125, "conv4": 0.125}  # at α = 0, times (1 + α)^−½


@dataclass
class Plan:
    """How much is done, on which device, and what has come of it; `written` after every row."""

    data: DataSet
    out: Path
    device: torch.device
    until: float = 0.0  # when no further row is begun, on the clock of `perf_counter`
    check_steps: int = 20
    speeds: Sequence[tuple[str, int, int]] = (  # network, batch size, members
        ("mlp1", 128, 100), ("mlp1", 128, 1000), ("mlp1", 8, 1000), ("mlp2", 128, 400), ("conv2", 128, 10),
        ("conv2", 128, 100), ("conv4", 128, 10), ("conv4", 128, 50),
    )  # fmt: skip
    steps: int = 2000
    alphas: Sequence[float] = (0, 5, 20, 50, 100)
    seeds: int = 10
    found: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def small(cls, data: DataSet, out: Path, device: torch.device) -> Plan:
        """Everything, on little."""
        few = replace(data, x_train=data.x_train[:300], y_train=data.y_train[:300])
        few = replace(few, x_test=data.x_test[:100], y_test=data.y_test[:100])
        speeds = (("mlp1", 8, 4), ("conv2", 8, 2))
        return cls(few, out, device, check_steps=3, speeds=speeds, steps=6, alphas=(0, 5), seeds=3)

    def add(self, part: str, row: dict[str, Any]) -> None:
        """A row of a part, on disk before the next one begins."""
        self.found.setdefault(part, []).append(row)
        print(part, json.dumps(row), flush=True)
        for name, text in (("gpu.json", json.dumps(self.found, indent=1) + "\n"), ("gpu.md", as_markdown(self.found))):
            (self.out / name).write_text(text, encoding="utf-8")

    def late(self, part: str, what: str) -> bool:
        """Whether the time is used up; then the row says so."""
        if perf_counter() < self.until:
            return False
        self.add(part, {"of": what, "skipped": "out of time"})
        return True

    def unit(self, network: str, **changes: Any) -> Unit:
        """Plain SGD on this data; `changes` are fields of `Unit`."""
        steps = changes.pop("steps", self.steps)
        train = changes.pop("train", Train(network=network, budget={"steps": steps}))
        facts = {"batch_size": 128, "alphas": (0.0,), "learning_rates": (0.1,), "seeds": (0,)} | changes
        return Unit(
            point={}, data=Data(dataset=self.data.name), train=train, steps=steps, checkpoints=(steps,), **facts
        )


def same_numbers(plan: Plan) -> None:
    """Part 1: the labels are the CPU's to the bit, and losses after a few steps are its to `TOLERANCE`."""
    plan.add("same numbers", {"of": "labels and images of 40 steps", "same": labels_are_the_same(plan)})
    cases = [(name, "sgd") for name in ("mlp1", "mlp2", "mlp4", "conv2", "conv4", "resnet8gn", "resnet8bn")]
    for network, optimizer in [*cases, ("mlp1", "adam"), ("conv2", "adadelta")]:
        what = f"{network}, {optimizer}"
        if plan.late("same numbers", what):
            continue
        rate = {"sgd": 0.05, "adam": 0.001, "adadelta": 1.0}[optimizer]
        train = Train(network=network, optimizer=optimizer, budget={"steps": plan.check_steps})
        asked = {"alphas": (0.0, 3.0), "learning_rates": (rate, rate / 2), "seeds": (0, 1), "batch_size": 32}
        unit = plan.unit(network, train=train, steps=plan.check_steps, **asked)
        here, there = (train_unit(unit, plan.data, device=device) for device in (CPU, plan.device))
        error = greatest_difference(here, there)
        plan.add("same numbers", {"of": what, "same": error <= TOLERANCE, "relative difference": error})


def labels_are_the_same(plan: Plan) -> bool:
    """Whether a block of visits is equal on both devices, bit for bit."""
    blocks = []
    for device in (CPU, plan.device):
        y = torch.as_tensor(plan.data.y_train, device=device)
        options = {"alphas": (0.5, 20.0), "seeds": (0, 7), "batch_size": 32}
        blocks.append(Stream(Data(copies="fixed"), y, plan.data.num_classes, **options).block(0, 40))
    here, there = blocks
    return torch.equal(here.image, there.image.cpu()) and torch.equal(here.label, there.label.cpu())


def greatest_difference(here: dict[str, np.ndarray], there: dict[str, np.ndarray]) -> float:
    """Of the losses of all cells, relative to the first; infinite where one has a finite loss and the other none."""
    worst = 0.0
    for name in ("train_loss", "test_loss"):
        a, b = here[name].astype(float), there[name].astype(float)
        if (np.isfinite(a) != np.isfinite(b)).any():
            return float("inf")
        known = np.isfinite(a)
        worst = max(worst, float((np.abs(a - b) / np.abs(a))[known].max(initial=0.0)))
    return worst


def speeds(plan: Plan) -> None:
    """Part 2: model-steps per second of a plain loop, torch.func and effbatch, with graphs or without, bfloat16."""
    peaks = {str(dtype).removeprefix("torch."): peak(plan.device, dtype) for dtype in (torch.float32, torch.bfloat16)}
    plan.add("peak", {"of": "one product of large matrices, FLOP per second", **peaks})
    for network, batch_size, members in plan.speeds:
        what = f"{network}, B = {batch_size}, {members} members"
        if plan.late("speed", what):
            continue
        try:
            with exact_float32():  # the plain loop's convolutions, too
                found, flop = speeds_of(plan, network, batch_size, members)
        except torch.OutOfMemoryError:
            plan.add("speed", {"of": what, "skipped": "out of memory"})
            continue
        plan.add("speed", {"of": what, **found, "share of peak": found["effbatch"] * flop / peaks["float32"]})


def speeds_of(plan: Plan, network: str, batch_size: int, members: int) -> tuple[dict[str, float], int]:
    """Model-steps per second by way, and the FLOP of a step of one network."""
    data, device = plan.data, plan.device
    x, y = (torch.as_tensor(values, device=device) for values in (data.x_train, data.y_train))
    index = torch.randint(len(x), (200, batch_size), device=device)
    few = min(members, 100)  # torch.func holds the activations of all its members at once
    built = [zoo.build(network, data.image_shape, data.num_classes, seed=0).to(device) for _ in range(few)]
    with FlopCounterMode(display=False) as counter:
        plain_loop(built[0], x, y, index)(1)
    flop = counter.get_total_flops()

    def half() -> AbstractContextManager[Any]:
        return torch.autocast(device.type, torch.bfloat16)

    ways = {
        "plain loop": (1, clocked(plain_loop(built[0], x, y, index), device)),
        "plain loop, bfloat16": (1, clocked(plain_loop(built[0], x, y, index), device, half)),
        "torch.func": (few, clocked(torch_func(built, x, y, index), device)),
        "torch.func, bfloat16": (few, clocked(torch_func(built, x, y, index), device, half)),
        "effbatch": (members, effbatch_unit(network, data, batch_size, members, device=device)),
        "effbatch without graphs": (members, effbatch_unit(network, data, batch_size, members, device=device)),
    }
    found = {}
    for way, (many, run) in ways.items():
        without = patch.object(graphs, "capture_on", lambda device: None) if "without" in way else nullcontext()
        with without:
            steps = enough(run, UNIT_STEPS if "effbatch" in way else 4)
            found[way] = many * steps / run(steps)
    return found, flop


def clocked(
    run: Steps, device: torch.device, context: Callable[[], AbstractContextManager[Any]] = nullcontext
) -> Callable[[int], float]:
    """The same steps, and the seconds until the device has done them."""

    def seconds(steps: int) -> float:
        with context():
            synchronize(device)
            began = perf_counter()
            run(steps)
            synchronize(device)
        return perf_counter() - began

    return seconds


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP per second of one large product, the fastest of five."""
    side = 8192 if device.type == "cuda" else 512
    a, b = torch.randn(2, side, side, device=device).to(dtype)

    def multiply(steps: int) -> None:
        for _ in range(steps):
            torch.mm(a, b)

    run = clocked(multiply, device)
    run(2)
    return 2 * side**3 / min(run(1) for _ in range(5))


def figure_1(plan: Plan) -> None:
    """Part 3: accuracy of five networks at each α, at fixed rates that were not tuned, all seeds at once."""
    for network, rate in RATES.items():
        for alpha in plan.alphas:
            what = f"{network}, α = {alpha:g}"
            if plan.late("figure 1", what):
                continue
            eta = rate / (1 + alpha) ** 0.5
            unit = plan.unit(network, alphas=(float(alpha),), learning_rates=(eta,), seeds=tuple(range(plan.seeds)))
            began = perf_counter()
            accuracy = train_unit(unit, plan.data, device=plan.device)["test_accuracy"].ravel().astype(float)
            took = perf_counter() - began
            plan.add("figure 1", {"of": what, "rate": eta, "seconds": took, **summary(accuracy), "steps": plan.steps})


def summary(accuracy: np.ndarray) -> dict[str, Any]:
    """Mean over seeds with its standard error; a diverged network counts as chance, 10 %."""
    values = np.where(np.isfinite(accuracy), accuracy, 0.1)
    error = float(values.std(ddof=1) / len(values) ** 0.5)
    return {"accuracy": float(values.mean()), "standard error": error, "diverged": int((~np.isfinite(accuracy)).sum())}


def as_markdown(found: dict[str, Any]) -> str:
    """The rows found so far as tables."""
    lines = ["# One GPU, ten minutes", "", *(f"* {name}: {value}" for name, value in found["environment"].items())]
    for part, rows in found.items():
        if part == "environment":
            continue
        names = list(dict.fromkeys(name for row in rows for name in row))
        lines += ["", f"## {part}", "", f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
        lines += ["| " + " | ".join(_cell(row.get(name, "")) for name in names) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; 1 where a number differs from the CPU's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with mnist/")
    parser.add_argument("out", type=Path, help="folder of the record")
    parser.add_argument("--small", action="store_true", help="a few images and steps")
    parser.add_argument("--minutes", type=float, default=9.0, help="begin no row after these (default 9)")
    asked = parser.parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    os.environ[VARIABLE] = str(asked.data)
    device, began = pick_device(), perf_counter()
    plan = (Plan.small if asked.small else Plan)(mnist.load(), asked.out, device)
    plan.found["environment"] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "no GPU: this is the CPU",
        "effbatch": effbatch.__version__, "torch": torch.__version__, "numpy": np.__version__,
        "small": asked.small, "data": plan.data.fingerprint,
    }  # fmt: skip
    for part, share in ((same_numbers, 0.25), (speeds, 0.5), (figure_1, 1.0)):  # so that each part gets its turn
        plan.until = began + share * 60 * asked.minutes
        part(plan)
    wrong = [row["of"] for row in plan.found["same numbers"] if not row.get("same", True)]
    print(f"not the CPU's numbers: {', '.join(wrong)}" if wrong else "the numbers are the CPU's")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
