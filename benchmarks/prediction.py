"""How well is the best learning rate predicted, at what cost? Every law, an LR range test and Optuna on the same cells.

    python benchmarks/prediction.py --out benchmarks/results            # about an hour on two cores
    python benchmarks/prediction.py --out /tmp/bench --cases 1                     # one case, to look

Each case is a network, a data set, an optimiser and a number of steps, over a grid of α, batch size and learning rate;
its cells are really trained (and kept: running again resumes). A method answers one learning rate per (α, B) cell and
says what it cost, in full runs. Errors are in powers of two, over cells whose best rate lies inside the grid; regret
is the accuracy lost against the best rate of the grid, in percentage points. A rule is anchored at the tuned clean
cell of B = 16, and, the square root of B/(1 + α), once more at every other tuned cell in turn (the mean over the
anchors stands for the cell). "paired" compares two methods cell by cell; its interval resamples whole cases. Optuna
(Akiba et al. 2019; `pip install optuna`) draws one seed per trial from the trained cells and sees its test accuracy,
which flatters it; the range test (Smith 2017) is really run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from earlier_probe import probe_learning_rate

from effbatch.claims.shared import linearised
from effbatch.data import datasets
from effbatch.data.held_out import with_held_out
from effbatch.engine.visits import Stream
from effbatch.fitting import FitOutcome, best_learning_rates, regret
from effbatch.laws import LAWS, Setting
from effbatch.networks import zoo
from effbatch.networks.loading import load_network
from effbatch.plan import spec
from effbatch.plan.cube import score
from effbatch.sweep import provenance, runner
from effbatch.validation.setup import setup_of

RULES = ("square_root_clean_count", "square_root", "linear", "clean_count", "signal_to_noise", "none")
RANGE_TEST_STEPS = 100
UNSEEN_SEED = 1000
ANCHORED = "square_root_clean_count, anchored at"
RIVALS = (f"{ANCHORED} every other cell", f"{ANCHORED} a clean cell", "linearised", "Optuna, 2 runs", "Optuna, 20 runs")


@dataclass(frozen=True)
class Case:
    """One row of the benchmark; `tuned` marks the cases that the theory's authors looked at while they worked."""

    dataset: str
    network: str
    optimizer: str = "sgd"
    momentum: float = 0.0
    schedule: str = "constant"
    steps: int = 400
    tuned: bool = False

    @property
    def name(self) -> str:
        how = "momentum" if self.momentum else self.optimizer
        return f"{self.dataset}-{self.network}-{how}-{self.schedule}-{self.steps}"

    @property
    def plain(self) -> bool:
        """Plain SGD at a constant rate: what short runs are made for."""
        return (self.optimizer, self.momentum, self.schedule) == ("sgd", 0.0, "constant")

    def spec(self) -> spec.Spec:
        first = -15 if self.optimizer == "adam" else -9
        rates = [2.0**i for i in range(first, first + 12)]
        return spec.parse(f"""
            [simulation]
            name = "{self.name}"
            [data]
            dataset = "{self.dataset}"
            [train]
            network = "{self.network}"
            optimizer = "{self.optimizer}"
            momentum = {self.momentum}
            schedule = "{self.schedule}"
            budget = {{ steps = {self.steps} }}
            evaluations = 1
            [grid]
            alpha = [0, 1, 4, 15]
            batch_size = [16, 64]
            learning_rate = {rates}
            seed = 10
            [claim]
            kind = "best_learning_rate"
        """)


CASES = (
    Case("digits", "mlp1", tuned=True),
    Case("digits", "perceptron", tuned=True),
    Case("digits", "mlp2", tuned=True),
    Case("digits", "mlp1", steps=1600, tuned=True),
    Case("fashion-mnist-14", "mlp1", tuned=True),
    Case("fashion-mnist-14", "mlp2", tuned=True),
    Case("digits", "conv2", steps=200, tuned=True),
    Case("digits", "mlp1", momentum=0.9),
    Case("digits", "mlp1", schedule="cosine"),
    Case("digits", "mlp1", optimizer="adam"),
    Case("fashion-mnist-14", "perceptron", steps=800),
    Case("fashion-mnist-14", "mlp4"),
    Case("digits", "mlp4", steps=800),
    Case("fashion-mnist-14", "conv2", steps=200),
)


@dataclass(frozen=True)
class Answer:
    """Predicted rates (alpha, batch_size[, anchor]), NaN for no answer; cost of one cell's answer in full runs."""

    rates: xr.DataArray
    runs: float


def answers(case: Case, cube: xr.Dataset, best: xr.Dataset) -> dict[str, Answer]:
    """What every method says for a case."""
    setup = setup_of(case.spec())
    cells = best["best_learning_rate"]
    said = {"linearised": Answer(linearised.surface(setup)["best_learning_rate"], 0.0)}
    if case.plain:
        said["short runs"] = short_runs(case, cells)
    anchor = {"alpha": 0.0, "batch_size": 16}
    tuned = float(best["grid_best"].sel(anchor))
    for name in RULES:
        here = Setting(cells["alpha"], cells["batch_size"])
        factor = LAWS[name].factor(here, Setting(anchor["alpha"], anchor["batch_size"]))
        shared = cube.sizes["learning_rate"] / cells.size  # one seed of a sweep at the anchor, shared by all cells
        said[f"{name}, anchored at a clean cell"] = Answer(tuned * factor * xr.ones_like(cells), shared)
    said["square_root_clean_count, anchored at every other cell"] = Answer(
        every_anchor(best), cube.sizes["learning_rate"]
    )
    said["LR range test"] = Answer(_each(cells, lambda a, b: range_test(case, a, b)), RANGE_TEST_STEPS / case.steps)
    for trials in (2, 20):
        said[f"Optuna, {trials} runs"] = Answer(_each(cells, lambda a, b, n=trials: optuna_best(cube, a, b, n)), trials)
    return said


def every_anchor(best: xr.Dataset) -> xr.DataArray:
    """The rule anchored at every other cell with a tuned rate in turn, along the dim `anchor`."""
    cells = best["best_learning_rate"]
    rates = []
    for alpha in cells["alpha"].values:
        for batch_size in cells["batch_size"].values:
            here, there = Setting(cells["alpha"], cells["batch_size"]), Setting(float(alpha), int(batch_size))
            factor = LAWS["square_root_clean_count"].factor(here, there)
            other = (cells["alpha"] != alpha) | (cells["batch_size"] != batch_size)
            rates.append((cells.sel(alpha=alpha, batch_size=batch_size) * factor * xr.ones_like(cells)).where(other))
    return xr.concat(rates, "anchor")


def short_runs(case: Case, cells: xr.DataArray) -> Answer:
    """Short real runs from an initialisation that no trained cell has, scored on held-out training images."""
    costs = []
    data = datasets.load(case.dataset)
    net = load_network(case.network, data.image_shape, data.num_classes, seed=UNSEEN_SEED)

    def rate(alpha: float, batch_size: int) -> float:
        found = probe_learning_rate(
            net, *with_held_out(data), num_classes=data.num_classes, alpha=alpha, batch_size=batch_size,
            steps=case.steps, seed=UNSEEN_SEED,
        )  # fmt: skip
        costs.append(found.cost)
        return found.learning_rate

    rates = _each(cells, rate)
    return Answer(rates, float(np.mean(costs)))


def _each(cells: xr.DataArray, method: Callable[[float, int], float]) -> xr.DataArray:
    values = [[method(float(a), int(b)) for b in cells["batch_size"]] for a in cells["alpha"]]
    return xr.DataArray(values, coords={"alpha": cells["alpha"], "batch_size": cells["batch_size"]})


def range_test(case: Case, alpha: float, batch_size: int) -> float:
    """The rate of steepest descent of the smoothed loss while the rate grows from 1e-4 to 10 (Smith 2017)."""
    data = datasets.load(case.dataset)
    net = zoo.build(case.network, data.image_shape, data.num_classes, seed=0)
    rates = np.geomspace(1e-6 if case.optimizer == "adam" else 1e-4, 10, RANGE_TEST_STEPS)
    kind = torch.optim.Adam if case.optimizer == "adam" else torch.optim.SGD
    optimizer = kind(net.parameters(), lr=1.0, **({"momentum": case.momentum} if case.momentum else {}))
    y_train = torch.as_tensor(data.y_train)
    stream = Stream(spec.Data(), y_train, data.num_classes, alphas=(alpha,), seeds=(0,), batch_size=batch_size)
    visits, x_train, losses = stream.block(0, len(rates)), torch.as_tensor(data.x_train), []
    for t, rate in enumerate(rates):
        optimizer.param_groups[0]["lr"] = float(rate)
        loss = torch.nn.functional.cross_entropy(net(x_train[visits.image[t, 0]]), visits.label[t, 0, 0])
        if not torch.isfinite(loss) or (losses and float(loss) > 5 * min(losses)):
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(0.05 * float(loss) + 0.95 * losses[-1] if losses else float(loss))
    return float(rates[np.gradient(losses).argmin()]) if len(losses) > 2 else np.nan


def optuna_best(cube: xr.Dataset, alpha: float, batch_size: int, trials: int) -> float:
    """Optuna's best rate after `trials` runs, each one seed of the trained cells, interpolated in log rate."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seed = int(1000 * alpha) + batch_size
    curves = score(cube).sel(alpha=alpha, batch_size=batch_size).transpose("seed", "learning_rate")
    rates, rng = cube["learning_rate"].values, np.random.default_rng(seed)

    def run(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("rate", float(rates[0]), float(rates[-1]), log=True)
        return float(np.interp(np.log(rate), np.log(rates), curves[rng.integers(len(curves))].values))

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(run, n_trials=trials)
    return float(study.best_params["rate"])


def measure(case: Case, out: Path) -> list[dict]:
    """One row per method and cell: error, regret, cost."""
    cube = runner.simulate(case.spec(), out / case.name)
    best = best_learning_rates(cube).squeeze(drop=True)
    inside = best["outcome"] == int(FitOutcome.INTERIOR)
    rows = []
    for method, answer in answers(case, cube, best).items():
        error = np.log2(answer.rates / best["best_learning_rate"].where(inside))
        lost = regret(cube, best, answer.rates)["regret"]
        if "anchor" in answer.rates.dims:
            error, lost = np.abs(error).mean("anchor"), lost.mean("anchor")
        for alpha in best["alpha"].values:
            for batch in best["batch_size"].values:
                at = {"alpha": float(alpha), "batch_size": int(batch)}
                values = {
                    "measured": float(best["best_learning_rate"].where(inside).sel(at)),
                    "error": float(error.sel(at)),
                    "regret": 100 * float(lost.sel(at)),
                    "runs": answer.runs,
                }
                rows.append({"case": case.name, "tuned": case.tuned, "method": method, **at, **values})
    return rows


def summary(rows: list[dict]) -> list[dict]:
    """Per method: median and 90th percentile of |error|, mean and 95th percentile of regret, bootstrap interval."""
    rng, table = np.random.default_rng(0), []
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == method]
        error = np.abs([row["error"] for row in mine])
        error = error[np.isfinite(error)]
        lost = np.array([row["regret"] for row in mine])
        lost = lost[np.isfinite(lost)]
        if not len(error):
            continue
        medians = np.median(rng.choice(error, (2000, len(error))), axis=1)
        table.append(
            {
                "method": method,
                "n": len(error),
                "median_error": float(np.median(error)),
                "interval": [float(q) for q in np.quantile(medians, [0.025, 0.975])],
                "quantile90": float(np.quantile(error, 0.9)),
                "regret": float(lost.mean()),
                "regret95": float(np.quantile(lost, 0.95)),
                "runs_per_cell": mine[0]["runs"],
            }
        )
    return sorted(table, key=lambda row: row["median_error"])


def paired(rows: list[dict], method: str, rival: str) -> dict:
    """Mean over cells of |error| and regret of `method` minus those of `rival`; the interval resamples cases."""
    by_cell: dict[tuple, dict[str, dict]] = {}
    for row in rows:
        by_cell.setdefault((row["case"], row["alpha"], row["batch_size"]), {})[row["method"]] = row
    found: dict = {"method": method, "rival": rival}
    for name in ("error", "regret"):
        by_case: dict[str, list[float]] = {}
        for (case, *_), said in by_cell.items():
            if method in said and rival in said:
                difference = abs(said[method][name]) - abs(said[rival][name])
                if np.isfinite(difference):
                    by_case.setdefault(case, []).append(difference)
        groups, rng = [np.array(values) for values in by_case.values()], np.random.default_rng(0)
        draws = [np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))]) for _ in range(2000)]
        low, high = np.quantile([draw.mean() for draw in draws], [0.025, 0.975])
        cells = np.concatenate(groups)
        found[name] = {"mean": float(cells.mean()), "low": float(low), "high": float(high), "n": len(cells)}
        found["cases"] = len(groups)
    return found


def show_paired(title: str, comparisons: list[dict]) -> str:
    """The comparisons as Markdown."""
    lines = [
        f"### {title}",
        "",
        "| method | minus | error, powers of two | regret, points | cells | cases |",
        "|---" * 6 + "|",
    ]
    for c in comparisons:
        error, lost = ("{mean:+.2f} [{low:+.2f}, {high:+.2f}]".format(**c[name]) for name in ("error", "regret"))
        lines.append(f"| {c['method']} | {c['rival']} | {error} | {lost} | {c['error']['n']} | {c['cases']} |")
    return "\n".join([*lines, ""])


def show(title: str, table: list[dict]) -> str:
    """The table as Markdown."""
    lines = [
        f"### {title}",
        "",
        "| method | n | median error | 95 % interval | 90th pct. | regret | 95th | runs per cell |",
    ]
    lines.append("|---" * 8 + "|")
    for r in table:
        low, high = r["interval"]
        lines.append(
            f"| {r['method']} | {r['n']} | {r['median_error']:.2f} | {low:.2f} to {high:.2f} | {r['quantile90']:.2f} | "
            f"{r['regret']:.1f} | {r['regret95']:.1f} | {r['runs_per_cell']:.2g} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=len(CASES), help="only the first so many cases")
    arguments = parser.parse_args()
    rows = []
    for case in CASES[: arguments.cases]:
        rows += measure(case, arguments.out)
        print(show(case.name, summary([row for row in rows if row["case"] == case.name])), flush=True)
    held_out = [row for row in rows if not row["tuned"]]
    plain = {case.name for case in CASES if case.plain}
    tables = {
        "All cases": summary(rows),
        "Held-out cases": summary(held_out),
        "Held-out cases of plain SGD, the same cells for every method": summary(
            [row for row in held_out if row["case"] in plain]
        ),
    }
    comparisons = {
        name: [paired(chosen, "short runs", rival) for rival in RIVALS]
        for name, chosen in {
            "Cell by cell, all cases of plain SGD": [row for row in rows if row["case"] in plain],
            "Cell by cell, held-out cases of plain SGD": [row for row in held_out if row["case"] in plain],
        }.items()
        if chosen
    }
    facts = provenance.environment(torch.device("cpu"))
    names = [case.name for case in CASES[: arguments.cases]]
    content = {**facts, "cases": names, "tables": tables, "paired": comparisons, "rows": rows}
    (arguments.out / "prediction.json").write_text(json.dumps(content).replace("NaN", "null") + "\n")
    text = as_markdown(content)
    (arguments.out / "prediction.md").write_text(text)
    print(text)


def as_markdown(content: dict) -> str:
    """The readable record: every table, then the comparisons cell by cell."""
    shown = [show(title, table) for title, table in content["tables"].items()]
    text = "\n".join(shown + [show_paired(title, table) for title, table in content["paired"].items()])
    intro = "Made by `python benchmarks/prediction.py`, which says what the columns mean."
    return f"# Predicting the best learning rate\n\n{intro} {content['made'][:10]}, {content['device']}.\n\n{text}"


if __name__ == "__main__":
    main()
