"""How right is `effbatch advise` on labels that people gave, and on tokens and features, asked as a user asks it?

    python benchmarks/human_labels.py --data-dir DATA             # every case: about half an hour of one core
    python benchmarks/human_labels.py --only "topics" --out /tmp/look
    python benchmarks/human_labels.py --data-dir DATA --truth     # full runs alone

A case is a data set, a network and a recipe. Truth: full runs at rates a factor of two to four apart, two seeds and a
third near the top (three everywhere where a run takes seconds), scored on clean test examples. The command line is
asked with other seeds, knows 300 checked labels and never sees the test examples. Errors, regret, plateaus and coverage
as in advice.py; the time of an answer is held against that of one full run, both in seconds of one CPU core. Full runs
and answers are kept in --out: running again resumes. The labels are those of CIFAR-10N (Wei et al. 2022; CC BY-NC 4.0,
non-commercial use only), or made wrong here.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import log2, nan
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

import numpy as np
import torch
from advice import Cell, line, parser_of, shown, summary
from staying_labels import made, wrong_for_good
from torch import Tensor, nn

from effbatch.core import durable
from effbatch.data import datasets
from effbatch.data.dataset import DataSet
from effbatch.data.sources import VARIABLE
from effbatch.engine.cost import SCORED
from effbatch.engine.train import train_unit
from effbatch.networks.loading import load_network
from effbatch.plan.spec import Data, Train
from effbatch.plan.units import Unit

SEEDS, ASKED = (100, 101, 102), (0, 10)  # of the truth, of the answers
CHECKED = 300  # labels checked by hand, at random
FEW = 5000  # images of the cases with several passes
TOPICS, WORDS, LENGTH = 3, 30, 20
TESTED = 4000  # of the data made here
COSINE = {"schedule": "cosine"}
MOMENTUM = {"optimizer": "momentum", "weight_decay": 5e-4, **COSINE}
ANSWERED = ("answers [90 %]", "error", "regret", "holds", "accuracy", "cost, full runs", "seconds, full runs")
ADAMW = {"optimizer": "adamw", "weight_decay": 0.01, **COSINE}


class Predicted(NamedTuple):
    """Written down before the answer: its error in octaves, points lost, whether its interval holds."""

    error: float
    regret: float
    holds: bool


@dataclass(frozen=True)
class Case:
    """Data, a network and a recipe; log2 of the rates of the truth."""

    name: str
    data: Callable[[], DataSet]
    network: str  # built in, or a function below
    recipe: dict[str, Any]
    steps: int
    batch_size: int
    octaves: Sequence[int]
    alpha: float | None = None  # simulated on top of clean labels, afresh
    cheap: bool = True  # seconds a run: every seed at every rate, and two answers
    predicted: Predicted | None = None


def convolution() -> nn.Sequential:
    """Two 3×3 convolutions of stride 2 for CIFAR-10."""
    seen = [nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*seen, nn.Flatten(), nn.Linear(32 * 8 * 8, 10))


def normalised() -> nn.Sequential:
    """Three of them, with BatchNorm and mean pooling."""

    def layer(before: int, after: int) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]

    seen = [*layer(3, 16), *layer(16, 32), *layer(32, 64)]
    return nn.Sequential(*seen, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def layer_norm() -> nn.Sequential:
    """Two hidden layers of 96 GELU units, LayerNorm before each, for 24 features and five classes."""
    first = [nn.Linear(24, 96), nn.LayerNorm(96), nn.GELU()]
    return nn.Sequential(*first, nn.Linear(96, 96), nn.LayerNorm(96), nn.GELU(), nn.Linear(96, 5))


class Transformer(nn.Module):
    """One block of two heads on 32 numbers a token, LayerNorm first; the mean over tokens goes into a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(WORDS, 32), nn.Parameter(0.1 * torch.randn(LENGTH, 32))
        self.before, self.between, self.after = nn.LayerNorm(32), nn.LayerNorm(32), nn.LayerNorm(32)
        self.attention = nn.MultiheadAttention(32, 2, batch_first=True)
        self.dense = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
        self.head = nn.Linear(32, TOPICS * (TOPICS - 1))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token(tokens) + self.place
        seen = self.before(x)
        x = x + self.attention(seen, seen, seen, need_weights=False)[0]
        x = x + self.dense(self.between(x))
        return self.head(self.after(x).mean(1))


def transformer() -> nn.Module:
    """The block above."""
    return Transformer()


def topics(seed: int, examples: int) -> DataSet:
    """Sequences of 20 words whose two halves are on two topics: which, and in which order, is the class."""
    rng = np.random.default_rng(seed)
    pairs = np.array([(i, j) for i in range(TOPICS) for j in range(TOPICS) if i != j])
    n = examples + TESTED
    y = rng.integers(len(pairs), size=n)
    words = np.cumsum(rng.dirichlet(np.full(WORDS, 0.7), size=TOPICS), axis=1)
    on = np.repeat(pairs[y], LENGTH // 2, axis=1)
    x = (rng.random((n, LENGTH, 1)) > words[on]).sum(2).clip(0, WORDS - 1)
    return _made("topics", x.astype(np.int64), y, examples, len(pairs))


def teacher(seed: int, examples: int) -> DataSet:
    """24 features, and the strongest of the five outputs of a network of 12 sines as their class."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(examples + TESTED, 24))
    outputs = np.sin(x @ rng.normal(size=(24, 12)) / 3 + rng.normal(size=12)) @ rng.normal(size=(12, 5))
    return _made("teacher", x.astype(np.float32), (outputs - outputs.mean(0)).argmax(1), examples, 5)


def _made(name: str, x: np.ndarray, y: np.ndarray, examples: int, classes: int) -> DataSet:
    return replace(made(name, x, y, examples, classes), clean_labels=y[:examples])


def few(name: str) -> DataSet:
    """5,000 images of a built-in set, drawn at random."""
    data = datasets.load(name)
    drawn = np.sort(np.random.default_rng(5000).choice(len(data.y_train), FEW, replace=False))
    assert data.clean_labels is not None
    own = {"x_train": data.x_train[drawn], "y_train": data.y_train[drawn], "clean_labels": data.clean_labels[drawn]}
    return replace(data, name=f"{name}, 5,000", fingerprint=f"{data.fingerprint}, 5,000", **own)


CASES = (
    Case(
        "worse, once",
        lambda: datasets.load("cifar10n-worse"),
        "resnet8bn",
        MOMENTUM,
        steps=500,
        batch_size=64,
        octaves=(-8, -6, -5, -4, -3, -2, -1),
        cheap=False,
        predicted=Predicted(0.5, 0.5, True),
    ),
    Case(
        "worse, 10 passes",
        lambda: few("cifar10n-worse"),
        "convolution",
        MOMENTUM,
        steps=1000,
        batch_size=50,
        octaves=range(-12, 0),
        predicted=Predicted(0.6, 0.5, True),
    ),
    Case(
        "random1, 10 passes",
        lambda: few("cifar10n-random1"),
        "normalised",
        ADAMW,
        steps=1000,
        batch_size=50,
        octaves=range(-12, -1),
        predicted=Predicted(0.9, 1.0, True),
    ),
    Case(
        "topics, fresh",
        lambda: topics(1, 3000),
        "transformer",
        {**ADAMW, "warmup": 0.1},
        steps=600,
        batch_size=32,
        octaves=range(-13, -3),
        alpha=2.0,
        predicted=Predicted(0.4, 0.5, True),
    ),
    Case(
        "topics, for good",
        lambda: wrong_for_good(topics(2, 3000), 1.0, 2),
        "transformer",
        {**ADAMW, "warmup": 0.1},
        steps=600,
        batch_size=32,
        octaves=range(-13, -3),
        predicted=Predicted(0.8, 1.0, True),
    ),
    Case(
        "teacher, fresh",
        lambda: teacher(3, 4000),
        "layer_norm",
        {"optimizer": "adam", "schedule": "linear"},
        steps=600,
        batch_size=64,
        octaves=range(-13, -2),
        alpha=2.0,
        predicted=Predicted(0.4, 0.5, True),
    ),
    Case(
        "teacher, for good",
        lambda: wrong_for_good(teacher(4, 4000), 1.0, 4),
        "layer_norm",
        {"optimizer": "adam", "schedule": "linear"},
        steps=600,
        batch_size=64,
        octaves=range(-13, -2),
        predicted=Predicted(1.2, 1.5, False),
    ),
)


def truth(case: Case, kept: Path) -> tuple[Cell, float]:
    """Full runs at all rates, and the CPU seconds of one without its scoring (median)."""
    file = kept / f"{case.name}.json"
    runs: dict[str, dict[str, float]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    known: list[DataSet] = []

    def run(octave: int, seed: int) -> float:
        if (key := f"{octave} {seed}") not in runs:
            known[:] = known or [case.data()]
            runs[key] = full_run(case, known[0], 2.0**octave, seed)
            durable.write(file, json.dumps(runs, indent=1).encode())
            print(case.name, key, runs[key], flush=True)
        return runs[key]["accuracy"]

    two = np.array([[run(octave, seed) for seed in SEEDS[:2]] for octave in case.octaves])
    top = int(two.mean(1).argmax())
    near = [case.cheap or abs(k - top) <= 1 for k in range(len(two))]  # elsewhere the mean stands for the third
    third = [
        run(octave, SEEDS[2]) if at else both.mean() for octave, at, both in zip(case.octaves, near, two, strict=True)
    ]
    cell = Cell(
        simulation=case.name,
        train=case.recipe,
        dataset=case.name,
        alpha=case.alpha or 0.0,
        batch_size=case.batch_size,
        octaves=np.array(case.octaves, dtype=float),
        accuracy=np.column_stack([two, third]),
    )
    return cell, float(np.median([one["seconds"] for one in runs.values()]))


def full_run(case: Case, data: DataSet, rate: float, seed: int) -> dict[str, float]:
    """Its accuracy on clean test examples, and its CPU seconds without the scoring."""
    momentum = case.recipe["optimizer"] == "momentum"
    options = {**case.recipe, "optimizer": "sgd", "momentum": 0.9} if momentum else case.recipe
    train = Train(network="given", budget={"steps": case.steps}, evaluations=1, **options)
    unit = Unit(
        {},
        Data(dataset=data.name),
        train,
        batch_size=case.batch_size,
        steps=case.steps,
        checkpoints=(case.steps,),
        alphas=(case.alpha or 0.0,),
        learning_rates=(rate,),
        seeds=(seed,),
    )
    torch.manual_seed(seed)
    here = globals().get(case.network)
    network = here() if here else load_network(case.network, data.image_shape, data.num_classes, seed=seed)
    began = process_time()
    trained = train_unit(unit, data, device=torch.device("cpu"), networks={seed: network})
    copies = case.steps * case.batch_size
    training = copies / (copies + SCORED * len(data.y_test))
    accuracy = np.nan_to_num(trained["test_accuracy"], nan=1 / data.num_classes)
    return {"accuracy": float(accuracy.item()), "seconds": (process_time() - began) * training}


def asked(case: Case, data: DataSet, seed: int, kept: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """What the command line answers, as JSON, and the seconds that it took; its page is kept beside."""
    file = kept / f"{case.name}, seed {seed}"
    if not (answer := file.with_suffix(".json")).exists():
        here = case.network in globals()
        recipe = [f"--{name.replace('_', '-')}={value}" for name, value in case.recipe.items()]
        command = [
            *(sys.executable, "-m", "effbatch", "advise"),
            f"{__file__}:{case.network}" if here else case.network,
            data.name if data.name in datasets.names() else _saved(data, kept / f"{case.name}.npz"),
            *recipe,
            *(f"--steps={case.steps}", f"--batch={case.batch_size}", f"--seed={seed}", f"--out={file}"),
            *(_known(data) if case.alpha is None else ["--labels=clean", f"--alpha={case.alpha:g}"]),
            *["--tokens"] * (data.x_train.dtype.kind == "i"),
        ]
        began, before = perf_counter(), _children()
        said = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True)
        seconds = {"cpu": _children() - before, "wall": perf_counter() - began}
        page = subprocess.run(command, check=True, capture_output=True, text=True)
        told = [" ".join(command), said.stderr, page.stdout]
        durable.write(file.with_suffix(".txt"), "\n".join(told).encode())
        durable.write(answer, json.dumps([json.loads(said.stdout), seconds]).encode())
    advice, seconds = json.loads(answer.read_text(encoding="utf-8"))
    return advice, seconds


def _known(data: DataSet) -> list[str]:
    """300 labels checked at random."""
    assert data.clean_labels is not None
    drawn = np.random.default_rng(300).choice(len(data.y_train), CHECKED, replace=False)
    wrong = int((data.clean_labels != data.y_train)[drawn].sum())
    return ["--labels=noisy", f"--checked={CHECKED}", f"--wrong={wrong}"]


def _saved(data: DataSet, file: Path) -> str:
    np.savez(file, x_train=data.x_train, y_train=data.y_train, x_test=data.x_test, y_test=data.y_test)
    return str(file)


def _children() -> float:
    """CPU seconds of processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(case: Case, kept: Path) -> dict[str, Any]:
    """A row: what every answer says, held against the truth."""
    cell, full_run_seconds = truth(case, kept)
    data, best = case.data(), cell.best()
    said = [asked(case, data, seed, kept) for seed in (ASKED if case.cheap else ASKED[:1])]
    found = [advice for advice, _ in said if advice["learning_rate"]["value"] is not None]
    rates = [advice["learning_rate"] for advice in found]
    octaves = [log2(rate["value"]) for rate in rates]
    promised = 100 * np.array([_accuracy(advice) for advice in found]).reshape(-1, 3)
    reached = 100 * np.array([cell.at(octave) for octave in octaves])
    wrong = 0.0 if data.clean_labels is None else float((data.clean_labels != data.y_train).mean())
    return {
        "simulation": case.name,
        "network": case.network,
        "recipe": ", ".join(f"{value}" for name, value in case.recipe.items() if name in ("optimizer", "schedule")),
        "labels": f"{100 * wrong:.0f} % wrong" if case.alpha is None else f"α = {case.alpha:g}, fresh",
        "passes": case.steps * case.batch_size / len(data.y_train) if case.alpha is None else None,
        "people": data.name.startswith("cifar10n"),
        "seeds": len(SEEDS) if case.cheap else 2,
        "best": best,
        "plateau": cell.plateau,
        "truth": {
            f"{octave:g}": accuracy for octave, accuracy in zip(cell.octaves, cell.accuracy.mean(1), strict=True)
        },
        "octaves": octaves,
        "intervals": [[log2(end) if end else None for end in rate["interval"]] for rate in rates],
        "bias": _mean(octave - best for octave in octaves),
        "error": _mean(abs(octave - best) for octave in octaves),
        "regret": _mean(cell.regret(octave) for octave in octaves),
        "ends": [cell.regret(log2(end)) for rate in rates for end in rate["plateau"] or ()],
        "inside": _mean(_inside(2.0**best, *rate["interval"]) for rate in rates),
        "accuracy": [row.tolist() for row in promised],
        "accuracy_error": _mean(promised[:, 0] - reached),
        "accuracy_inside": _mean((promised[:, 1] <= reached) & (reached <= promised[:, 2])),
        "stop_at": [advice["stop_at"] for advice in found],
        "cost": _mean(advice["cost"]["full_runs"] for advice, _ in said),
        "full_run_seconds": full_run_seconds,
        "answer_seconds": _mean(seconds["cpu"] for _, seconds in said),
        "predicted": case.predicted and case.predicted._asdict(),
    }


def _accuracy(advice: dict[str, Any]) -> list[float]:
    """On clean labels, with its limits; NaN where it is known on others alone."""
    said = advice["accuracy"]
    clean = said["of"] == "clean labels" and said["value"] is not None
    return [said["value"], *said["interval"]] if clean else [nan] * 3


def _inside(best: float, low: float | None, high: float | None) -> float:
    """Whether an interval holds; an open end holds everything."""
    return float((low or 0.0) <= best <= (high or float("inf")))


def _mean(values: Iterable[Any]) -> float:
    return float(np.mean(list(values) or [nan]))


def confused() -> list[dict[str, Any]]:
    """How often a ResNet-8 says the wrong labels of people, on 10,000 images that it did not train on.

    right, wrong  how often it agrees with a label where it is right, and where it is wrong: t and f of `clean_accuracy`
    """
    found: list[dict[str, Any]] = []
    for name in ("cifar10n-worse", "cifar10n-random1", "cifar10n-aggregate"):
        data, rng = datasets.load(name), np.random.default_rng(1)
        network = load_network("resnet8bn", data.image_shape, data.num_classes, seed=1)
        optimizer = torch.optim.SGD(network.parameters(), lr=2**-4, momentum=0.9, weight_decay=5e-4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 500)
        x_train, y_train = torch.as_tensor(data.x_train), torch.as_tensor(data.y_train)
        for _ in range(500):
            drawn = torch.as_tensor(rng.integers(40_000, size=64))
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x_train[drawn]), y_train[drawn]).backward()
            optimizer.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            said = torch.cat([network(x).argmax(1) for x in x_train[40_000:].split(100)]).numpy()
        assert data.clean_labels is not None
        given, clean = data.y_train[40_000:], data.clean_labels[40_000:]
        right, agreed = said == clean, said == given
        shares = {"accuracy": right, "labels_wrong": given != clean, "right": agreed[right], "wrong": agreed[~right]}
        found.append({"labels": name, **{share: float(of.mean()) for share, of in shares.items()}})
    return found


def record_of(rows: Sequence[dict[str, Any]], agreements: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The rows, and their numbers together: of all, and of those with labels that people gave."""
    people = [row for row in rows if row["people"]]
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": "CPU, one thread",
        "command": "python benchmarks/human_labels.py",
        "summary": {"labels that people gave": summary(people), "all": summary(rows)},
        "confused": list(agreements),
        "rows": list(rows),
    }


def as_markdown(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    numbers = record["summary"]["all"]
    lines = [
        "# Learning rates where people gave the labels",
        "",
        f"`{record['command']}`, {record['made'][:10]}, {record['device']}; n = {len(record['rows'])} cases. "
        "`effbatch advise` as a user asks it: error in powers of two, regret in points of clean accuracy, 95 % "
        "intervals over cases. Two seeds of the truth are a look, no more. Labels `worse` and `random1` are those of "
        "CIFAR-10N (Wei et al. 2022; CC BY-NC 4.0, non-commercial use only); the images of CIFAR-10 come from JPEG "
        "copies.",
        "",
        line(["cases", *numbers]),
        line("---" for _ in ("", *numbers)),
        *(line([name, *map(shown, of.values())]) for name, of in record["summary"].items()),
        "",
        line(["case", "network", "recipe", "labels", "passes", "seeds", "optimal η", "plateau, octaves", *ANSWERED]),
        line("---" for _ in (*range(8), *ANSWERED)),
    ]
    for row in record["rows"]:
        passes = "" if row["passes"] is None else f"{row['passes']:.1f}"
        truth = [str(row["seeds"]), f"{2 ** row['best']:.2g}", f"{row['plateau']:.1f}"]
        rates = "; ".join(
            f"{2**octave:.2g} [{', '.join('?' if end is None else f'{2**end:.2g}' for end in ends)}]"
            for octave, ends in zip(row["octaves"], row["intervals"], strict=True)
        )
        predicted = row["predicted"]
        found = [
            rates,
            f"{row['error']:.2f} ({predicted['error']:.1f})",
            f"{row['regret']:.1f} ({predicted['regret']:.1f})",
            f"{row['inside']:.0%} ({'yes' if predicted['holds'] else 'no'})",
            f"{row['accuracy_error']:+.1f}",
            f"{row['cost']:.2f}",
            f"{row['answer_seconds'] / row['full_run_seconds']:.1f}",
        ]
        lines.append(
            line([*(row[name] for name in ("simulation", "network", "recipe", "labels")), passes, *truth, *found])
        )
    lines += [
        "",
        "In brackets what was predicted before the answer. Accuracy: promised less reached, in points. Seconds: CPU "
        "time of the answer, all of it, over that of one full run. Accuracy of the truth in %, by log2 of the rate:",
        "",
    ]
    for row in record["rows"]:
        lines.append(f"- {row['simulation']}: " + ", ".join(f"{k}: {100 * a:.1f}" for k, a in row["truth"].items()))
    said = (
        "How often a ResNet-8 (500 steps, one seed) says the label given where it is wrong itself, f; 1 − t are wrong:"
    )
    lines += ["", said, ""]
    for one in record["confused"]:
        wrong, labels = one["wrong"], one["labels_wrong"]
        lines.append(
            f"- {one['labels']}: f = {wrong:.1%}, 1 − t = {labels:.1%}, f/(1 − t) = {wrong / labels:.2f} (uniform "
            f"noise: 0.11), accuracy {one['accuracy']:.1%}"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Run every case, write human_labels.json and human_labels.md."""
    parser = parser_of(__doc__)
    parser.add_argument("--truth", action="store_true")
    options = parser.parse_args()
    if options.data_dir:
        os.environ[VARIABLE] = str(options.data_dir)
    kept = options.out / "human_labels"
    kept.mkdir(parents=True, exist_ok=True)
    wanted = [case for case in CASES if not options.only or any(some in case.name for some in options.only)]
    if options.truth:
        for case in wanted:
            truth(case, kept)
        return
    file = kept / "confused.json"
    if not options.only and not file.exists():
        durable.write(file, json.dumps(confused()).encode())
    agreements = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    rows = []
    for case in wanted:
        rows.append(measured(case, kept))
        print(json.dumps(rows[-1]), flush=True)
        record = record_of(rows, agreements)
        (options.out / "human_labels.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (options.out / "human_labels.md").write_text(as_markdown(record), encoding="utf-8")


if __name__ == "__main__":
    main()
