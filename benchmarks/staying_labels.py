"""How good is the learning rate that the probe gives where labels are wrong for good and seen many times?

    python benchmarks/staying_labels.py                    # every cell: some minutes of one core
    python benchmarks/staying_labels.py --further          # 18 others, for staying_labels_further.json
    python benchmarks/staying_labels.py --learnable        # 12 tables that can be learned without error
    python benchmarks/staying_labels.py --brought          # 8 that somebody would bring, 10 to 40 passes
    python benchmarks/staying_labels.py --brought --effort 10   # by whole runs, for staying_labels_brought_10.json
    python benchmarks/staying_labels.py --only blobs       # some of them, to look

A cell is a table made here (or one of scikit-learn's), its labels made wrong once, a network, a recipe and 6 to 40
passes. Truth: full runs on all examples with four seeds at eleven rates, scored on clean test examples; the probe is
asked with two other seeds and sees the wrong labels alone. Errors, regret, plateaus, intervals and coverage as in
advice.py; intervals resample tables. A point lost is one of clean accuracy. Truths and answers are kept in --kept:
running again resumes.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from advice import Cell, line, parser_of, shown, summary
from torch import nn

from effbatch.data import datasets
from effbatch.data.dataset import DataSet
from effbatch.engine.train import train_unit
from effbatch.networks import zoo
from effbatch.plan.recipe import Recipe
from effbatch.plan.spec import Data, Train
from effbatch.plan.units import Unit
from effbatch.probe.runs import KnownLabels, probe

SEEDS, ASKED = range(100, 104), (0, 10)  # of the truth, of the probe
TESTED = 2000
RECIPES: dict[str, tuple[dict[str, Any], range]] = {  # and log2 of the rates of its truth
    "sgd": ({"optimizer": "sgd"}, range(-9, 2)),
    "momentum, cosine": ({"optimizer": "momentum", "weight_decay": 5e-4, "schedule": "cosine"}, range(-12, 1)),
    "adamw, cosine": ({"optimizer": "adamw", "weight_decay": 0.01, "schedule": "cosine"}, range(-14, -3)),
}


@dataclass(frozen=True)
class Case:
    """A table with its wrong labels, a network and a recipe."""

    table: str
    data: DataSet
    network: str
    recipe: str
    alpha: float
    batch_size: int
    steps: int
    beyond: int = 0  # rates of the truth above those of the recipe
    few: bool = False  # two seeds of the truth and one of the probe: such networks take minutes


def made(name: str, x: np.ndarray, y: np.ndarray, examples: int, classes: int, source: str = "made here") -> DataSet:
    """The first examples to train on, the others to test."""
    return DataSet(
        name=name,
        x_train=x[:examples],
        y_train=y[:examples],
        x_test=x[examples:],
        y_test=y[examples:],
        num_classes=classes,
        source=source,
    )


def blobs(seed: int, examples: int, classes: int = 6, features: int = 20) -> DataSet:
    """Two clouds for every class, as wide as they are far apart."""
    rng = np.random.default_rng(seed)
    n = examples + TESTED
    y = rng.integers(classes, size=n)
    centres = 0.9 * rng.normal(size=(classes, 2, features))
    x = (centres[y, rng.integers(2, size=n)] + rng.normal(size=(n, features))).astype(np.float32)
    return made("blobs", x, y, examples, classes)


def corners(seed: int, examples: int, classes: int = 4, features: int = 30) -> DataSet:
    """scikit-learn's clouds at the corners of a cube, two for every class, in 10 of the features."""
    from sklearn.datasets import make_classification

    shape: dict[str, Any] = {"n_features": features, "n_classes": classes, "n_informative": 10, "class_sep": 1.2}
    x, y = make_classification(examples + TESTED, **shape, flip_y=0, random_state=seed)
    x = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
    return made("corners", x, y, examples, classes)


def waves(seed: int, examples: int) -> DataSet:
    """Sines and square waves of four frequencies, in random phase and noise as large as they are."""
    rng = np.random.default_rng(seed)
    n = examples + TESTED
    y = rng.integers(4, size=n)
    turns = np.array([3, 4, 6, 8])[y] * (1 + 0.05 * rng.normal(size=n))
    wave = np.sin(2 * np.pi * (turns[:, None] * np.arange(96) / 96 + rng.random((n, 1))))
    x = (np.where((y % 2)[:, None], np.sign(wave), wave) + rng.normal(size=wave.shape)).astype(np.float32)
    return made("waves", x, y, examples, 4)


def learnable_table(kind: str, seed: int, examples: int, classes: int) -> DataSet:
    """Classes that a network can learn without error, though slowly at first, in two to twelve hidden directions.

    arms     of a spiral of a half turn             board   squares of a 3 × 3 board, neighbours of different class
    rings    of equal width around a point          parity  of two signs out of twelve, two classes
    teacher  of a random network of one layer       forest  of five random trees of depth four, by majority
    """
    rng = np.random.default_rng(seed)
    n, features = examples + TESTED, 12
    if kind == "arms":
        y, r = rng.integers(classes, size=n), np.sqrt(rng.random(n))
        angle = 2 * np.pi * y / classes + 3 * r + 0.15 * rng.normal(size=n)
        hidden = 1.5 * np.stack([r * np.cos(angle), r * np.sin(angle)], 1)
    elif kind == "board":
        hidden = 3 * rng.random((n, 2))
        y = hidden.astype(int).sum(1) % classes
        hidden -= 1.5
    elif kind == "rings":
        radius, angle = rng.random(n), 2 * np.pi * rng.random(n)
        y = (classes * radius).astype(int)
        hidden = 2 * radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    elif kind == "parity":
        hidden = rng.choice([-1.0, 1.0], size=(n, features))
        y = (hidden[:, :2].prod(1) > 0).astype(int)
    else:
        hidden = rng.normal(size=(n, features))
        y = (_teacher if kind == "teacher" else _forest)(rng, hidden, classes)
    seen = hidden if hidden.shape[1] == features else hidden @ rng.normal(size=(hidden.shape[1], features))
    x = (seen + 0.1 * rng.normal(size=seen.shape)).astype(np.float32)
    return made(kind, x, y, examples, classes)


def _teacher(rng: np.random.Generator, x: np.ndarray, classes: int) -> np.ndarray:
    """Classes by a random network of eight ReLU units, as frequent as each other."""
    units = np.maximum(x @ rng.normal(size=(x.shape[1], 8)) / np.sqrt(x.shape[1]), 0)
    score = (units - units.mean(0)) @ rng.normal(size=(8, classes))
    return ((score - score.mean(0)) / score.std(0)).argmax(1)


def _forest(rng: np.random.Generator, x: np.ndarray, classes: int) -> np.ndarray:
    """Classes by the votes of five random trees, each of four questions whether one of four features is large."""
    votes = np.zeros((len(x), classes))
    for _ in range(5):
        leaf = (x[:, rng.choice(4, size=4)] > 0.7 * rng.normal(size=4)) @ (1 << np.arange(4))
        votes[np.arange(len(x)), rng.integers(classes, size=16)[leaf]] += 1 + 0.1 * rng.random()
    return votes.argmax(1)


def wrong_for_good(data: DataSet, alpha: float, seed: int) -> DataSet:
    """α/(1 + α) of the training labels drawn anew from all classes, once."""
    rng = np.random.default_rng(seed)
    drawn = rng.random(len(data.y_train)) < alpha / (1 + alpha)
    y = np.where(drawn, rng.integers(data.num_classes, size=len(drawn)), data.y_train)
    return replace(data, y_train=y, fingerprint=f"{data.name} {alpha} {seed}")


def cases(other: int = 0) -> Iterator[Case]:
    """Nine of them; with another number the same kinds with tables and wrong labels of their own, recipes rotated."""
    networks, recipes = ("convolution", "dropout", "mlp"), tuple(RECIPES)
    for k, alpha in enumerate((0.5, 1.0, 3.0)):
        data = wrong_for_good(datasets.load("digits"), alpha, 40 + 10 * other + k)
        yield Case(f"digits {10 * other + k}", data, networks[k], recipes[(k + 1 + other) % 3], alpha, 32, 900)
    for k in range(4):
        table = 400 + 10 * other + k
        data = wrong_for_good(blobs(table, 3200), 1.5, 40 + 10 * other + k)
        network = ("mlp", "deep", "dropout", "mlp")[k]
        yield Case(f"blobs {table}", data, network, recipes[(k + other) % 3], 1.5, 64, 300)
    for k, alpha in enumerate((1.0, 2.0)):
        table = 500 + 10 * other + k
        data = wrong_for_good(corners(table, 2000), alpha, 40 + 10 * other + k)
        yield Case(f"corners {table}", data, ("deep", "batch norm")[k], recipes[(k + other) % 3], alpha, 32, 600)


def harder() -> Iterator[Case]:
    """Six with networks that normalise, bend otherwise or run along a signal."""
    recipes = tuple(RECIPES)
    for k, alpha in enumerate((1.0, 4.0, 1.0, 3.0)):
        data = wrong_for_good(corners(600 + k, 4000, classes=6, features=40), alpha, 60 + k)
        network, recipe = ("batch norm", "layer norm", "layer norm", "tanh")[k], recipes[(1, 2, 1, 0)[k]]
        yield Case(f"corners {600 + k}", data, network, recipe, alpha, 64, 500)
    for k, alpha in enumerate((1.0, 3.0)):
        data = wrong_for_good(waves(700 + k, 4000), alpha, 70 + k)
        yield Case(f"waves {700 + k}", data, "waves", recipes[(2, 1)[k]], alpha, 64, 400)


def learnable(other: int = 0) -> Iterator[Case]:
    """Twelve tables that can be learned without error, looked at; with 1 those kept back, all rotated."""
    kinds = ("arms", "board", "rings", "parity", "teacher", "forest")
    networks, recipes = ("layer norm", "deep", "tanh", "layer norm", "batch norm"), tuple(RECIPES)
    for k in range(12):
        kind, alpha = kinds[k % 6], (3.0, 1.0, 2.0, 1.5, 4.0)[(k + 2 * other) % 5]
        few = 2 if kind == "parity" else 2 + (k // 6 + other) % 2
        classes = few if kind in ("parity", "board") else (5, 3, 4)[(k + k // 6 + other) % 3]
        passes = (20, 10, 30)[(k + k // 6 + other) % 3]
        table = 800 + 100 * other + k
        data = wrong_for_good(learnable_table(kind, table, 3200, classes), alpha, table + 50)
        network, recipe = networks[(k + 3 * other) % 5], recipes[(2 + k + k // 6 + other) % 3]
        yield Case(f"{kind} {table}", data, network, recipe, alpha, 64, passes * 50, beyond=2)


def real(name: str, seed: int) -> DataSet:
    """A table of scikit-learn's, its columns scaled; three tenths of it are clean test examples."""
    from sklearn import datasets as tables

    x, y = getattr(tables, f"load_{name}")(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    x, y, examples = x[order], y[order], 7 * len(y) // 10
    x = ((x - x[:examples].mean(0)) / (x[:examples].std(0) + 1e-3)).astype(np.float32)
    return made(name, x, y, examples, int(y.max()) + 1, source="scikit-learn")


def spheres(seed: int, examples: int) -> DataSet:
    """scikit-learn's classes in spheres around each other, four of them, in ten features."""
    from sklearn.datasets import make_gaussian_quantiles

    x, y = make_gaussian_quantiles(n_samples=examples + TESTED, n_features=10, n_classes=4, random_state=seed)
    order = np.random.default_rng(seed).permutation(len(y))
    return made("spheres", x[order].astype(np.float32), y[order], examples, 4)


def brought() -> Iterator[Case]:
    """Eight that somebody would bring, seen by no rule: real tables, signals, a recurrent network and a ResNet-8."""
    digits = datasets.load("digits")
    few = replace(digits, x_train=digits.x_train[:1041], y_train=digits.y_train[:1041])
    for k, (data, network, recipe, alpha, batch_size, passes) in enumerate(
        (
            (digits, "gru", "adamw, cosine", 1.0, 32, 20),
            (real("breast_cancer", 1101), "mlp", "momentum, cosine", 1.0, 32, 40),
            (real("wine", 1102), "layer norm", "adamw, cosine", 0.5, 16, 40),
            (learnable_table("forest", 1103, 3000, 4), "batch norm", "sgd", 2.0, 64, 20),
            (few, "resnet8bn", "momentum, cosine", 0.8, 128, 30),
            (waves(1105, 2400), "waves", "adamw, cosine", 1.5, 48, 15),
            (spheres(1106, 2500), "batch norm", "momentum, cosine", 3.0, 50, 30),
            (digits, "deep", "sgd", 3.0, 32, 40),
        )
    ):
        noisy = wrong_for_good(data, alpha, 1150 + k)
        steps = round(passes * len(data.y_train) / batch_size)
        of = (f"{data.name} {1100 + k}", noisy, network, recipe, alpha, batch_size, steps)
        yield Case(*of, beyond=1, few=network in ("resnet8bn", "waves"))


class Rows(nn.Module):
    """A GRU that reads an image row by row."""

    def __init__(self, columns: int, classes: int) -> None:
        super().__init__()
        self.gru, self.last = nn.GRU(columns, 32, batch_first=True), nn.Linear(32, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of images (n, 1, H, W)."""
        return self.last(self.gru(x[:, 0])[0][:, -1])


def network_of(case: Case) -> Callable[[int], nn.Module]:
    """The untrained network by seed."""
    features, classes = int(np.prod(case.data.image_shape)), case.data.num_classes

    def layer(before: int, after: int) -> list[nn.Module]:
        extra: dict[str, list[nn.Module]] = {
            "dropout": [nn.Dropout(0.2)],
            "batch norm": [nn.BatchNorm1d(after)],
            "layer norm": [nn.LayerNorm(after)],
        }
        bend = nn.Tanh() if case.network == "tanh" else nn.ReLU()
        return [nn.Linear(before, after), *extra.get(case.network, []), bend]

    def make(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        if case.network == "convolution":
            seen: list[nn.Module] = [
                nn.Conv2d(1, 8, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(8, 16, 3, stride=2, padding=1),
                nn.ReLU(),
            ]
            return nn.Sequential(*seen, nn.Flatten(), nn.Linear(256, classes))
        if case.network == "resnet8bn":
            return zoo.build("resnet8bn", case.data.image_shape, classes, seed=seed)
        if case.network == "gru":
            return Rows(case.data.image_shape[-1], classes)
        if case.network == "waves":
            along = [nn.Conv1d(1, 24, 7, padding=3), nn.ReLU(), nn.Conv1d(24, 32, 5, stride=2, padding=2), nn.ReLU()]
            return nn.Sequential(
                nn.Unflatten(1, (1, -1)), *along, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, 4)
            )
        deeper = layer(64, 64) if case.network in ("deep", "layer norm", "tanh") else []
        return nn.Sequential(nn.Flatten(), *layer(features, 64), *deeper, nn.Linear(64, classes))

    return make


def truth(case: Case) -> Cell:
    """Full runs at all rates."""
    said, octaves = RECIPES[case.recipe]
    octaves = range(octaves.start, octaves.stop + case.beyond)
    momentum = said["optimizer"] == "momentum"
    options = {**said, "optimizer": "sgd", "momentum": 0.9} if momentum else said
    train = Train(network="given", budget={"steps": case.steps}, evaluations=1, **options)
    rates, seeds = tuple(2.0**k for k in octaves), tuple(SEEDS)[: 2 if case.few else None]
    unit = Unit(
        {},
        Data(dataset=case.data.name),
        train,
        batch_size=case.batch_size,
        steps=case.steps,
        checkpoints=(case.steps,),
        alphas=(0.0,),
        learning_rates=rates,
        seeds=seeds,
    )
    networks = {seed: network_of(case)(seed) for seed in seeds}
    trained = train_unit(unit, case.data, device=torch.device("cpu"), networks=networks)
    accuracy = np.nan_to_num(trained["test_accuracy"][0], nan=1 / case.data.num_classes)
    return Cell(
        simulation=case.table,
        train=options,
        dataset=case.data.name,
        alpha=case.alpha,
        batch_size=case.batch_size,
        octaves=np.array(octaves, dtype=float),
        accuracy=accuracy,
    )


def kept(folder: Path | None, name: str, make: Callable[[], Any]) -> Any:
    """What was made before, by name, or made now; nothing is kept without a folder."""
    if folder is None:
        return make()
    file = folder / f"{name}.pickle"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(make()))
    return pickle.loads(file.read_bytes())


def measured(case: Case, effort: float | None, folder: Path | None = None) -> dict:
    """A row: what the probe says with every seed, held against the truth."""
    cell = kept(folder, case.table, lambda: truth(case))
    recipe = Recipe(**RECIPES[case.recipe][0], steps=case.steps, batch_size=case.batch_size)
    known, how = KnownLabels(noisy=True, known_alpha=case.alpha), {"effort": effort, "device": "cpu"}
    found = [
        kept(
            folder,
            f"{case.table}, effort {effort}, {seed}",
            lambda seed=seed: probe(network_of(case), case.data, recipe, known, seed=seed, **how),
        )
        for seed in ASKED[: 1 if case.few else None]
    ]
    answers = [one for one in found if one.learning_rate.value is not None]
    octaves = np.log2([one.learning_rate.value for one in answers])
    ends = np.log2([end for one in answers for end in one.plateau])
    if not answers:
        return {"simulation": case.table}
    best, passes = cell.best(), case.steps * case.batch_size / len(case.data.y_train)
    held = [one.learning_rate.low <= 2.0**best <= one.learning_rate.high for one in answers]
    promised = np.array([[_on_clean(value, case) for value in one.accuracy.floats] for one in answers])
    reached = 100 * np.array([cell.at(octave) for octave in octaves])
    return {
        "simulation": case.table,
        "network": case.network,
        "recipe": case.recipe,
        "alpha": case.alpha,
        "passes": passes,
        "best": best,
        "plateau": cell.plateau,
        "octaves": octaves.tolist(),
        "bias": float(np.mean(octaves - best)),
        "error": float(np.mean(np.abs(octaves - best))),
        "regret": float(np.mean([cell.regret(octave) for octave in octaves])),
        "ends": [cell.regret(end) for end in ends],
        "inside": float(np.mean(held)),
        "stop_at": [one.stop_at for one in answers],
        "accuracy_error": float(np.mean(promised[:, 0] - reached)),
        "accuracy_inside": float(np.mean((promised[:, 1] <= reached) & (reached <= promised[:, 2]))),
        "cost": float(np.mean([one.full_runs for one in found])),
    }


def _on_clean(noisy: float, case: Case) -> float:
    """Accuracy on clean labels, in percent, of that on labels with α."""
    return 100 * (noisy * (1 + case.alpha) - case.alpha / case.data.num_classes)


def as_markdown(record: dict) -> str:
    """The record as Markdown."""
    numbers = record["summary"]
    of_case = ("table", "network", "recipe", "α", "passes", "optimal η", "plateau, octaves")
    columns = (*of_case, "bias", "regret", "accuracy")
    lines = [
        "# Learning rates where labels are wrong for good",
        "",
        f"`{record['command']}`, {record['made'][:10]}, {record['device']}; n = {len(record['rows'])} "
        f"cells, {len(ASKED)} probes each. Errors in powers of two, regret in points of clean accuracy, 95 % intervals "
        f"over tables. Bias {record['bias']:+.2f}; the ends of plateaus cost {record['ends']:.2f} points on average, "
        f"both less than one in {record['both_ends']:.0%} of the probes. Accuracy is promised "
        f"{record['accuracy_bias']:+.1f} points too high on average; {record['accuracy_inside']:.0%} of its 90 % "
        "intervals hold." + _silent(record.get("silent", [])),
        "",
        line(numbers),
        line("---" for _ in numbers),
        line(map(shown, numbers.values())),
        "",
        line([*columns, "intervals that hold", "cost"]),
        line("---" for _ in (*columns, "", "")),
    ]
    for row in record["rows"]:
        start = [row["simulation"], row["network"], row["recipe"], f"{row['alpha']:g}", f"{row['passes']:.0f}"]
        found = [f"{2 ** row['best']:.3g}", f"{row['plateau']:.1f}", f"{row['bias']:+.2f}", f"{row['regret']:.1f}"]
        found.append(f"{row['accuracy_error']:+.1f}")
        lines.append(line([*start, *found, f"{row['inside']:.0%}", f"{row['cost']:.2f}"]))
    return "\n".join([*lines, ""])


def _silent(tables: Sequence[str]) -> str:
    return f" No rate, as no run beat chance: {', '.join(tables)}." if tables else ""


def main() -> None:
    """Measure every cell, write staying_labels.json and staying_labels.md, or those of further cells."""
    parser = parser_of(__doc__)
    parser.add_argument("--effort", type=float)
    parser.add_argument("--kept", type=Path)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--further", action="store_true")
    group.add_argument("--learnable", action="store_true")
    group.add_argument("--brought", action="store_true")
    options = parser.parse_args()
    of_kind = "further" * options.further or "learnable" * options.learnable or "brought" * options.brought
    of_effort = "" if options.effort is None else f"{options.effort:g}"
    asked: list[Iterator[Case]] = {
        "": [cases(), harder()],
        "further": [cases(1), cases(2)],
        "learnable": [learnable(1)],
        "brought": [brought()],
    }[of_kind]
    found = []
    for case in chain.from_iterable(asked):
        if not options.only or any(some in case.table for some in options.only):
            found.append(measured(case, options.effort, options.kept))
            print(json.dumps(found[-1]), flush=True)
    rows = [row for row in found if "octaves" in row]
    ends = [end for row in rows for end in row["ends"]]
    record = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": "CPU",
        "command": "python benchmarks/staying_labels.py"
        + f" --{of_kind}" * bool(of_kind)
        + f" --effort {of_effort}" * bool(of_effort),
        "silent": [row["simulation"] for row in found if row not in rows],
        "bias": float(np.mean([row["bias"] for row in rows])),
        "ends": float(np.mean(ends)),
        "both_ends": float(np.mean([max(pair) < 1 for pair in zip(ends[::2], ends[1::2], strict=True)])),
        "accuracy_bias": float(np.mean([row["accuracy_error"] for row in rows])),
        "accuracy_inside": float(np.mean([row["accuracy_inside"] for row in rows])),
        "summary": summary(rows),
        "rows": rows,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    stem = "_".join(filter(None, ["staying_labels", of_kind, of_effort]))
    (options.out / f"{stem}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (options.out / f"{stem}.md").write_text(as_markdown(record), encoding="utf-8")


if __name__ == "__main__":
    main()
