"""What do other ways to a learning rate lose, at the cost of a probe? Rivals on the recorded cells of `advice.py`.

    python benchmarks/rivals.py --data-dir DATA             # every recorded recipe_* simulation of MNIST
    python benchmarks/rivals.py --data-dir DATA --cached    # the record of what has been run so far, nothing trained

They need `pip install optuna prodigyopt dadaptation schedulefree`; a rival whose package is missing is skipped. What
searches for a rate has 2^-16 to 1, log-uniformly, at most 1.5 full runs, scoring included, and sees what the probe
sees: the training data less its held-out examples, noise simulated on top, and as score the held-out cross-entropy at
the best temperature. Where nothing else is said a rival has its own defaults.

Optuna TPE, full runs   as many as fit; if it is one, its score decides nothing: 20 studies, untrained, stand for it
Optuna TPE, ASHA        `SuccessiveHalvingPruner`, first rung T/25; the best of the trials that came farthest
Optuna TPE, ASHA, slow  the first three at a rung do not pass it (bootstrap_count = 3)
LR range test           100 steps; steepest descent of the smoothed loss, as davidtvs/pytorch-lr-finder has it
best of short runs      random rates for T/10 each, the best goes on (Egele et al. 2023, arXiv 2307.15422; k = 1)
Prodigy                 the recipe's schedule and weight decay, on the rate that it finds
D-Adaptation            the same, of SGD with the recipe's momentum, or of Adam
schedule-free           SGD or AdamW at its default rate, constant: not rate-free, but often run as if it were

The last three give a network, not a rate: each trains once on all training data, and its test accuracy counts (mean of
two seeds). Cost is what comes before the full run that everybody makes at the end. Regret is that of `advice.py`;
beyond the grid of rates that of its end, which flatters whoever is far off, so the share of such answers is told.
"""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

import numpy as np
import torch
from advice import RECORDED, RESULTS, Answer, Cell, cells_of, interval, parser_of, prepared
from torch import nn
from torch.nn.functional import cross_entropy

from effbatch.data import datasets
from effbatch.data.dataset import DataSet
from effbatch.data.held_out import held_out_of
from effbatch.engine.cost import SCORED
from effbatch.engine.evaluation import calibrated_loss
from effbatch.engine.visits import Stream
from effbatch.networks.loading import load_network
from effbatch.plan.cube import open_cubes
from effbatch.plan.spec import Data
from effbatch.probe.runs import SCORED_CLEAN
from effbatch.theory.schedules import multipliers

LOW, HIGH = 2.0**-16, 1.0
BUDGET = 1.5  # full runs
SEED = 1000  # of networks and batches: one that the record does not have
STUDIES = 20
RUNGS, REDUCTION = (1 / 25, 4 / 25, 16 / 25, 1), 4
SHORT = 1 / 10  # of a full run: an epoch, where runs have ten
RANGE_STEPS, SMOOTHED, DIVERGED, SKIPPED = 100, 0.05, 5, (10, 5)
COLUMNS = (
    "error, median",
    "regret, mean",
    "regret, 95th percentile",
    "regret less the probe's",
    "share beyond the grid",
    "cost, full runs",
)

Rates = np.ndarray  # of every step


class Run:
    """One network of a cell in training on `data`; it can stop, be scored on the test images, and go on."""

    def __init__(
        self,
        cell: Cell,
        data: DataSet,
        optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer],
        rates: Rates,
        seed: int = SEED,
    ) -> None:
        torch.manual_seed(seed)
        self.data, self.rates, self.done = data, rates, 0
        self.net = load_network(cell.train["network"], data.image_shape, data.num_classes, seed=seed)
        self.optimizer = optimizer(list(self.net.parameters()))
        self.stream = Stream(
            Data(),
            torch.as_tensor(data.y_train),
            data.num_classes,
            alphas=(cell.alpha,),
            seeds=(seed,),
            batch_size=cell.batch_size,
        )

    def train(self, last: int) -> list[float]:
        """Go on to the step `last`; the losses on the way, up to one that is not finite."""
        visits, x, losses = self.stream.block(self.done, last), torch.as_tensor(self.data.x_train), []
        self._mode("train")
        for t in range(last - self.done):
            for group in self.optimizer.param_groups:
                group["lr"] = float(self.rates[self.done + t])
            loss = cross_entropy(self.net(x[visits.image[t, 0]]), visits.label[t, 0, 0])
            losses.append(loss.item())
            if not np.isfinite(losses[-1]):
                break
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        self.done = last
        return losses

    @torch.no_grad()
    def logits(self) -> torch.Tensor:
        """Of the test images of the data, (n, K)."""
        self._mode("eval")
        return torch.cat([self.net(some) for some in torch.as_tensor(self.data.x_test).split(500)])

    def accuracy(self) -> float:
        """On the test images of the data; chance where the network diverged."""
        logits = self.logits()
        right = (logits.argmax(1) == torch.as_tensor(self.data.y_test)).double().mean()
        return float(right) if logits.isfinite().all() else 1 / self.data.num_classes

    def score(self) -> float:
        """That of the probe: −cross-entropy at the best temperature."""
        loss = float(calibrated_loss(self.logits().T, torch.as_tensor(self.data.y_test)))
        return -loss if np.isfinite(loss) else -float(np.log(self.data.num_classes))

    def _mode(self, name: str) -> None:
        for one in (self.net, self.optimizer):
            getattr(one, name, lambda: None)()  # schedule-free optimisers have modes too


class Search(Protocol):
    """What a search for a rate may ask for."""

    steps: int
    seed: int  # of what the search draws

    def start(self, rate: float) -> Callable[[int], float]:
        """A run at a rate, as the function that trains it on to a step and gives its score there."""

    def cost(self, steps: int, scorings: int = 1) -> float:
        """In full runs."""


@dataclass(frozen=True)
class Task:
    """A recorded cell, and what the probe sees of its data."""

    cell: Cell
    data: DataSet
    seen: DataSet

    @property
    def steps(self) -> int:
        return int(self.cell.train["budget"]["steps"])

    @property
    def seed(self) -> int:
        """Of what a search draws: another one for every cell, so that luck averages out."""
        return crc32(f"{self.cell.simulation} {self.cell.alpha:g} {self.cell.batch_size}".encode()) % 10**6

    @property
    def schedule(self) -> Rates:
        return multipliers(self.cell.train["schedule"], self.steps, warmup=self.cell.train.get("warmup", 0.0))

    def optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """The recipe's."""
        train = self.cell.train
        if train["optimizer"] == "sgd":
            return torch.optim.SGD(parameters, momentum=train["momentum"], weight_decay=train["weight_decay"])
        return torch.optim.AdamW(parameters, weight_decay=train["weight_decay"])

    def start(self, rate: float) -> Callable[[int], float]:
        """As `Search`: the recipe itself."""
        run = Run(self.cell, self.seen, self.optimizer, rate * self.schedule)

        def on_to(step: int) -> float:
            run.train(step)
            return run.score()

        return on_to

    def cost(self, steps: int, scorings: int = 1) -> float:
        """As `Search`, and as the probe counts."""
        B = self.cell.batch_size
        return (steps * B + scorings * SCORED * len(self.seen.y_test)) / (self.steps * B)


def task_of(cell: Cell) -> Task:
    """With the held-out examples of the probe."""
    data = datasets.load(cell.dataset)
    copies = int(cell.train["budget"]["steps"]) * cell.batch_size
    return Task(cell, data, held_out_of(data, most=copies // SCORED_CLEAN))


def drawn(seed: int) -> Callable[[], float]:
    """Rates, log-uniform over the range."""
    rng = np.random.default_rng(seed)
    return lambda: float(np.exp(rng.uniform(np.log(LOW), np.log(HIGH))))


def study_of(seed: int, **options: Any) -> tuple[Any, Callable[[Any], float]]:
    """An Optuna study of a score that is higher for better rates, and how a trial asks it for one."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed), **options)
    return study, lambda trial: trial.suggest_float("rate", LOW, HIGH, log=True)


def optuna_full(search: Search) -> list[Answer]:
    """Full runs, as many as the budget has."""
    trials = max(1, int(BUDGET / search.cost(search.steps)))
    if trials == 1:
        return [Answer(_proposed(search.seed + k), cost=search.cost(search.steps)) for k in range(STUDIES)]
    study, rate = study_of(search.seed)
    study.optimize(lambda trial: search.start(rate(trial))(search.steps), n_trials=trials)
    return [Answer(float(np.log2(study.best_params["rate"])), cost=trials * search.cost(search.steps))]


def _proposed(seed: int) -> float:
    study, rate = study_of(seed)
    return float(np.log2(rate(study.ask())))


def optuna_pruned(search: Search, bootstrap: int) -> list[Answer]:
    """Trials from rung to rung until the budget is spent; the best of those that came farthest."""
    import optuna

    rungs = [round(f * search.steps) for f in RUNGS]
    pruner = optuna.pruners.SuccessiveHalvingPruner(
        min_resource=rungs[0], reduction_factor=REDUCTION, bootstrap_count=bootstrap
    )
    study, rate_of = study_of(search.seed, pruner=pruner)
    spent, found = 0.0, []
    while spent + search.cost(rungs[0]) <= BUDGET:
        trial = study.ask()
        rate = rate_of(trial)
        on_to, before, score = search.start(rate), 0, -np.inf
        for rung in rungs:
            if spent + search.cost(rung - before) > BUDGET:
                break
            score, spent, before = on_to(rung), spent + search.cost(rung - before), rung
            trial.report(score, rung)
            if rung < search.steps and trial.should_prune():
                break
        found.append((before, score, rate))
        finished = before == search.steps
        study.tell(trial, score if finished else None, None if finished else optuna.trial.TrialState.PRUNED)
    return [Answer(float(np.log2(max(found)[2])), cost=spent)]


def best_of_short(search: Search) -> list[Answer]:
    """Random rates, a tenth of the steps each, prefixes of the full run."""
    steps = max(1, round(SHORT * search.steps))
    draw = drawn(search.seed)
    rates = [draw() for _ in range(int(BUDGET / search.cost(steps)))]
    best = max(rates, key=lambda rate: search.start(rate)(steps))
    return [Answer(float(np.log2(best)), cost=len(rates) * search.cost(steps))]


def range_test(task: Task) -> list[Answer]:
    """The recipe at a rate that grows from step to step."""
    rates = np.geomspace(LOW, HIGH, RANGE_STEPS)
    losses = Run(task.cell, task.seen, task.optimizer, rates).train(RANGE_STEPS)
    return [Answer(suggested(rates, losses), cost=task.cost(RANGE_STEPS, scorings=0))]


def suggested(rates: Rates, losses: Sequence[float]) -> float:
    """log2 of the rate where the smoothed loss falls most from one step to the next; NaN for too few losses."""
    smooth: list[float] = []
    for loss in losses:
        smooth.append(SMOOTHED * loss + (1 - SMOOTHED) * smooth[-1] if smooth else loss)
        if not smooth[-1] <= DIVERGED * min(smooth):
            break
    kept = np.array(smooth[SKIPPED[0] : len(smooth) - SKIPPED[1]])
    return float(np.log2(rates[SKIPPED[0] + np.gradient(kept).argmin()])) if len(kept) > 1 else np.nan


def rate_free(task: Task, kind: str) -> list[Answer]:
    """The test accuracy of a run on all training data."""
    make, rates = FREE[kind](task.cell.train, task.schedule)
    runs = [Run(task.cell, task.data, make, rates, seed) for seed in (SEED, SEED + 1)]
    for run in runs:
        run.train(task.steps)
    return [Answer(np.nan, accuracy=run.accuracy()) for run in runs]


Made = tuple[Callable[[list[nn.Parameter]], torch.optim.Optimizer], Rates]


def _prodigy(train: dict, schedule: Rates) -> Made:
    from prodigyopt import Prodigy

    return partial(Prodigy, weight_decay=train["weight_decay"]), schedule


def _dadaptation(train: dict, schedule: Rates) -> Made:
    from dadaptation import DAdaptAdam, DAdaptSGD

    decay = train["weight_decay"]
    if train["optimizer"] == "sgd":
        return partial(DAdaptSGD, momentum=train["momentum"], weight_decay=decay), schedule
    return partial(DAdaptAdam, decouple=True, weight_decay=decay), schedule


def _schedule_free(train: dict, schedule: Rates) -> Made:
    from schedulefree import AdamWScheduleFree, SGDScheduleFree

    kind, rate = (SGDScheduleFree, 1.0) if train["optimizer"] == "sgd" else (AdamWScheduleFree, 0.0025)
    return partial(kind, weight_decay=train["weight_decay"]), np.full(len(schedule), rate)


FREE: dict[str, Callable[[dict, Rates], Made]] = {
    "prodigyopt": _prodigy,
    "dadaptation": _dadaptation,
    "schedulefree": _schedule_free,
}

RIVALS: dict[str, tuple[str, Callable[[Task], list[Answer]]]] = {  # name -> package, method
    "Optuna TPE, full runs": ("optuna", optuna_full),
    "Optuna TPE, ASHA": ("optuna", partial(optuna_pruned, bootstrap=0)),
    "Optuna TPE, ASHA, slow": ("optuna", partial(optuna_pruned, bootstrap=3)),
    "LR range test": ("torch", range_test),
    "best of short runs": ("torch", best_of_short),
    "Prodigy": ("prodigyopt", partial(rate_free, kind="prodigyopt")),
    "D-Adaptation": ("dadaptation", partial(rate_free, kind="dadaptation")),
    "schedule-free": ("schedulefree", partial(rate_free, kind="schedulefree")),
}


def answers_of(cell: Cell, name: str, kept: Path, *, cached: bool) -> list[Answer] | None:
    """A rival's, from its file where there is one; None where its package, or with `cached` its file, is missing."""
    package, method = RIVALS[name]
    slug = name.lower().replace(", ", "-").replace(" ", "-")
    file = kept / f"rivals-{cell.simulation}-{cell.alpha:g}-{cell.batch_size}-{slug}.json"
    if file.exists():
        return [Answer(**answer) for answer in json.loads(file.read_text(encoding="utf-8"))]
    if cached:
        return None
    if importlib.util.find_spec(package) is None:
        print(f"{name} needs the package {package}, got none, skipped: pip install {package}", flush=True)
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the rivals' own
        answers = method(task_of(cell))
    new = file.with_suffix(".new")
    new.write_text(json.dumps([asdict(answer) for answer in answers]), encoding="utf-8")
    new.replace(file)
    return answers


def row_of(cell: Cell, name: str, answers: Sequence[Answer]) -> dict:
    """A rival on a cell: error in powers of two, regret in points, share of rates beyond the grid, cost.

    None for what it has no answer for.
    """
    octaves = np.array([a.octave for a in answers])
    beyond = (octaves < cell.octaves[0]) | (octaves > cell.octaves[-1])
    regrets = [cell.regret(a.octave) if np.isfinite(a.octave) else 100 * (cell.reachable - a.accuracy) for a in answers]
    return {
        "method": name,
        "simulation": cell.simulation,
        "alpha": cell.alpha,
        "batch_size": cell.batch_size,
        "error": _finite(np.abs(octaves - cell.best()).mean()),
        "regret": _finite(np.mean(regrets)),
        "beyond": float(beyond.mean()) if np.isfinite(octaves).all() else None,
        "cost": float(np.mean([a.cost for a in answers])),
    }


def probe_rows(record: dict, rows: Sequence[dict]) -> list[dict]:
    """Those of the probe in the record of `advice.py`, on the cells of `rows`."""
    kept = ("method", "simulation", "alpha", "batch_size", "error", "regret", "cost")
    cells = {_cell(row) for row in rows}
    return [
        {name: row[name] for name in kept} for row in record["rows"] if row["method"] == "probe" and _cell(row) in cells
    ]


def summary(rows: Sequence[dict], probe: Sequence[dict]) -> dict:
    """Of one method: each of COLUMNS with its 95 % interval over recipes, and its number of cells."""
    of_probe = {_cell(row): row["regret"] for row in probe}
    answered = [row for row in rows if row["regret"] is not None]
    paired = [{**r, "less": r["regret"] - of_probe[_cell(r)]} for r in answered if _cell(r) in of_probe]
    quantities = (
        ([row for row in answered if row["error"] is not None], lambda some: np.median([r["error"] for r in some])),
        (answered, lambda some: np.mean([r["regret"] for r in some])),
        (answered, lambda some: np.quantile([r["regret"] for r in some], 0.95)),
        (paired, lambda some: np.mean([r["less"] for r in some])),
        (
            [row for row in rows if row.get("beyond") is not None],  # the probe's record does not say it
            lambda some: np.mean([r["beyond"] for r in some]),
        ),
        (rows, lambda some: np.mean([r["cost"] for r in some])),
    )
    return {
        name: {"value": float(of(some)), "interval": interval(some, of), "n": len(some)}
        for name, (some, of) in zip(COLUMNS, quantities, strict=True)
        if some
    }


def record_of(rows: Sequence[dict], probe: Sequence[dict]) -> dict:
    """Everything that the page says."""
    everybody = {name: [row for row in rows if row["method"] == name] for name in RIVALS}
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": "CPU",
        "methods": {name: summary(some, probe) for name, some in {"probe": list(probe), **everybody}.items() if some},
        "rows": [*probe, *rows],
    }


def as_markdown(record: dict) -> str:
    """The record as a page."""
    rows = record["rows"]
    cells, recipes = {_cell(row) for row in rows}, {row["simulation"] for row in rows}
    lines = [
        "# Rivals of the probe",
        "",
        f"`python benchmarks/rivals.py`, which says what they are; {record['made'][:10]}, {record['device']}; "
        f"n = {len(cells)} cells of {len(recipes)} recipes, where no other n stands beside. Errors in powers of two, "
        "regret in points, 95 % intervals over recipes; the probe as `advice.md` records it. Cost: before the full run "
        "that everybody makes at the end.",
        "",
        "| method | " + " | ".join(COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for name, numbers in record["methods"].items():
        shown = " | ".join(_shown(numbers.get(column), len(cells)) for column in COLUMNS)
        lines.append(f"| {name} | {shown} |")
    names = list(record["methods"])
    lines += ["", "Regret in every cell:", "", "| recipe | α | B | " + " | ".join(names) + " |"]
    lines.append("|---" * (3 + len(names)) + "|")
    for simulation, alpha, batch_size in sorted(cells):
        here = {row["method"]: row["regret"] for row in rows if _cell(row) == (simulation, alpha, batch_size)}
        found = " | ".join("?" if here.get(name) is None else f"{here[name]:.1f}" for name in names)
        lines.append(f"| {simulation} | {alpha:g} | {batch_size} | {found} |")
    return "\n".join([*lines, ""])


def _cell(row: dict) -> tuple[str, float, int]:
    return row["simulation"], row["alpha"], row["batch_size"]


def _shown(number: dict | None, cells: int) -> str:
    if number is None:
        return ""
    low, high = number["interval"]
    return f"{number['value']:.2f} [{low:.2f}, {high:.2f}]" + (f", n = {number['n']}" if number["n"] < cells else "")


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def main() -> None:
    """Run every rival on every cell, or read what it said; write rivals.json and rivals.md."""
    parser = parser_of(__doc__)
    parser.add_argument("--cubes", type=Path, default=RECORDED / "mnist")
    parser.add_argument("--cached", action="store_true")
    options = parser.parse_args()
    kept = prepared(options)
    rows = []
    for simulation, cube in open_cubes(options.cubes).items():
        if not simulation.startswith("recipe_") or (options.only and simulation not in options.only):
            continue
        for cell in cells_of(simulation, cube):
            for name in RIVALS:
                answers = answers_of(cell, name, kept, cached=options.cached)
                if answers is not None:
                    rows.append(row_of(cell, name, answers))
                    print(*rows[-1].values(), flush=True)
    record = record_of(rows, probe_rows(json.loads((RESULTS / "advice.json").read_text(encoding="utf-8")), rows))
    (options.out / "rivals.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (options.out / "rivals.md").write_text(as_markdown(record), encoding="utf-8")
    print(as_markdown(record))


if __name__ == "__main__":
    main()
