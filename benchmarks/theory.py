"""The theory against what was recorded: exponents of the best rate, Adam's rate from that of SGD, rules of the rate.

    python benchmarks/theory.py                 # from the recorded cubes, no training but a quarter of a run per cell
    python benchmarks/theory.py --part moving   # this part alone, the others as they are recorded

Writes results/theory.json and theory.md, and docs/figures/rate_rules.svg and lost.svg.

Exponents  least squares of ln η on ln B and ln(1+α) over the cells of one network whose best rate lies inside the grid
           (HC3 limits): of the measured rates and, on the same cells, of those that the closed form
           (`exponents.py`) and the whole recursion give, capped by the edge of a confident softmax
Adam       `theory_adam.py`
Moving     `theory_moving.py`, predicted before it ran (theory_moving_predicted.json)
Caps       `theory_caps.py`, predicted before it ran (theory_caps_predicted.json)
Rules      the rate tuned on clean labels, times a power of 1 + α: accuracy kept, and octaves off the best rate
δ          `theory_delta.py`
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lost_tables
import numpy as np
import theory_adam
import theory_caps
import theory_delta
import theory_moving
import xarray as xr
from exponents import local_exponents

from effbatch.core.figures import Axis, Figure, Panel, Series, noise_axis
from effbatch.fitting import FitOutcome, best_learning_rates
from effbatch.fitting.cells import groups
from effbatch.fitting.student import student_quantile
from effbatch.plan.cube import resolved_spec, score
from effbatch.show import charts
from effbatch.theory.dynamics import best_learning_rate
from effbatch.theory.spectrum import Spectrum
from effbatch.validation.setup import initial_spectrum

HERE = Path(__file__).parent
RESULTS = HERE / "results"
RECORDED = HERE.parent / "simulations" / "results"
FIGURES = HERE.parent / "docs" / "figures"
CUBE = RESULTS / "theory.nc"
POWERS = {"sgd": (-0.5, 0.0, -1.0, -2.0), "adaptive": (-0.75, 0.0, -1.0, -2.0)}  # of 1 + α; the recommended one first
DATASETS = theory_moving.DATASETS
CARRIED = {"sgd": (0.5, (-0.25, -0.5, -0.75, -1.0)), "adaptive": (0.25, (-0.5, -0.75, -1.0))}  # powers of B, of 1 + α


# Exponents


def exponent_rows(cubes: dict) -> list[dict]:
    """Measured and predicted exponents of every network trained with SGD at three cells or more of α and B."""
    found = []
    for case, spectrum, train, cells in (*_of_cubes(cubes), *_of_benchmark()):
        alpha, B, rate = (np.array(column, float) for column in zip(*cells, strict=True))
        schedule, momentum, steps = train["schedule"], train.get("momentum", 0.0), int(train["steps"])
        edge = (1 - momentum) * 4 / (spectrum.eigenvalues.max() + spectrum.num_classes * spectrum.trace / B)
        how = {"schedule": schedule, "momentum": momentum}
        rates = {"measured": rate, "recursion": best_learning_rate(spectrum, alpha, B, steps, **how)}
        local = local_exponents(spectrum, alpha, B, steps)
        if schedule == "constant":
            rates["closed form"] = np.minimum((1 - momentum) * local.rate, edge)
        inside = ~local.at_edge
        found.append(
            {
                "case": case,
                "held_out": train["held_out"],
                "n": len(rate),
                **{name: fitted(alpha, B, values) for name, values in rates.items()},
                "median_error": float(np.median(np.abs(np.log2(rates["recursion"] / rate)))),
                "parts": {
                    part: [round(float(v), 3) for v in np.nanquantile(getattr(local, part)[inside], [0, 0.5, 1])]
                    for part in ("sigma", "nu", "growing", "standing", "noise")
                    if inside.any()
                },
            }
        )
    return found


def fitted(alpha: np.ndarray, B: np.ndarray, rate: np.ndarray) -> dict[str, list[float | None]]:
    """Powers of B and 1 + α, each with its 95 % limits."""
    import statsmodels.api as sm

    known = np.isfinite(rate)
    design = np.column_stack([np.ones(known.sum()), np.log(B[known]), np.log1p(alpha[known])])
    model = sm.OLS(np.log(rate[known]), design).fit(cov_type="HC3", use_t=True)
    return {
        term: [float(v) for v in (model.params[i], *model.conf_int()[i])]
        for i, term in ((1, "batch_size"), (2, "alpha"))
    }


def _of_cubes(cubes: dict) -> Iterator[tuple[str, Spectrum, dict, list]]:
    for folder, named in cubes.items():
        for name, cube in named.items():
            spec = resolved_spec(cube)
            train = spec["train"]
            ours = name.startswith(("learning_rate", "recipe_")) or name.endswith("_sgd")
            if not ours or train["optimizer"] != "sgd" or "bn" in train["network"]:  # BatchNorm: no kernel of images
                continue
            best = best_learning_rates(cube)
            networks = best["network"].values if "network" in best.dims else [train["network"]]
            for network in networks:
                here = best.sel(network=network) if "network" in best.dims else best.squeeze(drop=True)
                said = {**train, "steps": train["budget"]["steps"], "held_out": folder in ("mnist", "theory")}
                spectrum = initial_spectrum(str(network), spec["data"]["dataset"], seed=0)
                short = str(network).rpartition(":")[2]
                label = f"{short}, {DATASETS[spec['data']['dataset']]}, {said['steps']} steps" + _how(train)
                yield label, spectrum, said, _interior(here)


def _how(train: dict) -> str:
    momentum = ", momentum" * bool(train.get("momentum"))
    return momentum + (f", {train['schedule']}" if train["schedule"] != "constant" else "")


def _interior(best: xr.Dataset) -> list[tuple[float, float, float]]:
    cells = best.stack(cell=("alpha", "batch_size"))
    cells = cells.isel(cell=np.flatnonzero(cells["outcome"] == int(FitOutcome.INTERIOR)))
    return list(zip(cells["alpha"].values, cells["batch_size"].values, cells["best_learning_rate"].values, strict=True))


def _of_benchmark() -> Iterator[tuple[str, Spectrum, dict, list]]:
    """The cells of results/prediction.json."""
    recorded = json.loads((RESULTS / "prediction.json").read_text(encoding="utf-8"))
    for case in recorded["cases"]:
        dataset = next(name for name in ("fashion-mnist-14", "digits") if case.startswith(name))
        network, how, schedule, steps = case.removeprefix(f"{dataset}-").split("-")
        mine = [r for r in recorded["rows"] if r["case"] == case and r["method"] == "linearised" and r["measured"]]
        if how == "adam":
            continue
        train = {"schedule": schedule, "steps": steps, "held_out": not mine[0]["tuned"]}
        train |= {"momentum": 0.9} if how == "momentum" else {}
        label = f"{network}, {DATASETS[dataset]}, {steps} steps" + _how(train)
        cells = [(row["alpha"], row["batch_size"], row["measured"]) for row in mine]
        yield label, initial_spectrum(network, dataset, seed=0), train, cells


# Rules of the rate


def rule_rows(cubes: dict) -> list[dict]:
    """Accuracy kept, of the best at that α and B, by the clean rate times powers of 1 + α: every network, B and α."""
    found = []
    for folder, named in cubes.items():
        for name, cube in named.items():
            train = resolved_spec(cube)["train"]
            if not name.startswith(("learning_rate", "recipe_")) or 0 not in cube["alpha"]:
                continue
            scores = score(cube)
            extra = [d for d in scores.dims if d not in ("alpha", "batch_size", "learning_rate", "seed")]
            stacked = scores.stack(point=[*extra, "batch_size"]).transpose("point", "alpha", "learning_rate", "seed")
            for powers in ("sgd" if train["optimizer"] == "sgd" else "adaptive",):
                found += [
                    {"folder": folder, "simulation": name, "optimizer": train["optimizer"], **row}
                    for row in _kept(stacked, POWERS[powers])
                ]
    return found


def _kept(scores: xr.DataArray, powers: tuple[float, ...]) -> list[dict]:
    """Means over networks and batch sizes, by α and power, with Student's 95 % limits over seeds."""
    x, rows = np.log2(scores["learning_rate"].values), []
    means = scores.mean("seed").values
    clean = int(np.flatnonzero(scores["alpha"].values == 0)[0])
    tuned = x[means[:, clean].argmax(-1)]  # (points,)
    n = scores.sizes["seed"]
    for j, alpha in enumerate(scores["alpha"].values):
        best = means[:, j].max(-1)
        for power in powers:
            at = tuned + power * np.log2(1 + alpha)
            got = np.stack(
                [[np.interp(a, x, curve) for curve in scores.values[i, j].T] for i, a in enumerate(at)]
            )  # (points, seeds)
            kept = 100 * (got / best[:, None]).mean(0)
            half = student_quantile(n - 1, 0.95) * kept.std(ddof=1) / np.sqrt(n)
            rows.append(
                {"alpha": float(alpha), "power": power, "kept": float(kept.mean()), "half": float(half), "n": n}
            )
    return rows


def anchor_rows(cubes: dict) -> list[dict]:
    """Median |error| and error in octaves of B^b (1+α)^a from every clean cell to every noisy one of its network."""
    found = []
    for folder, named in cubes.items():
        for name, cube in named.items():
            if not name.startswith(("learning_rate", "recipe_")):
                continue
            optimizer = resolved_spec(cube)["train"]["optimizer"]
            of_batch, powers = CARRIED["sgd" if optimizer == "sgd" else "adaptive"]
            cells = [_logs(cell) for _, cell in groups(best_learning_rates(cube))]
            gaps = np.concatenate([_gaps(*logs, of_batch) for logs in cells], axis=1)  # rows: wanted, log2(1 + α)
            errors = {power: power * gaps[1] - gaps[0] for power in powers}
            by_power = {f"{p:g}": [float(np.median(np.abs(e))), float(np.median(e))] for p, e in errors.items()}
            n = sum(len(alpha) for *_, alpha in cells)
            found.append({"folder": folder, "simulation": name, "optimizer": optimizer, "n": n, "powers": by_power})
    return found


def _logs(cells: xr.Dataset) -> tuple[np.ndarray, ...]:
    rate, B, alpha = (cells[name].values for name in ("best_learning_rate", "batch_size", "alpha"))
    return np.log2(rate), np.log2(B), np.log2(1 + alpha)


def _gaps(rate: np.ndarray, B: np.ndarray, noise: np.ndarray, of_batch: float) -> np.ndarray:
    """What is left of log2 η beside B, and log2(1 + α), from every clean cell to every noisy one."""
    clean, noisy = np.meshgrid(np.flatnonzero(noise == 0), np.flatnonzero(noise > 0), indexing="ij")
    wanted = rate[noisy] - rate[clean] - of_batch * (B[noisy] - B[clean])
    return np.stack([wanted.ravel(), noise[noisy].ravel()])


def rule_figure(rows: list[dict]) -> Figure:
    """One panel per data set, plain SGD or momentum: accuracy kept against α, one curve per power."""
    panels = []
    for folder, title in {**DATASETS, "cifar10": "CIFAR-10"}.items():
        mine = [row for row in rows if row["folder"] == folder and row["optimizer"] == "sgd"]
        series, alphas = [], sorted({row["alpha"] for row in mine})
        for power in POWERS["sgd"]:
            means = [[r for r in mine if r["alpha"] == a and r["power"] == power] for a in alphas]
            kept = np.array([np.mean([r["kept"] for r in some]) for some in means])
            half = np.array([np.sqrt(np.sum([r["half"] ** 2 for r in some])) / len(some) for some in means])
            name = {0.0: "not scaled", -0.5: "(1+α)^−½, recommended"}.get(power, f"(1+α)^−{-power:g}")
            series.append(Series(name, "measured", alphas, kept, low=kept - half, high=kept + half, group=name))
        axis = Axis("accuracy kept, % of the best", "linear", domain=(0, 105))
        panels.append(Panel(noise_axis(alphas), axis, tuple(series), title))
    caption = (
        "The learning rate tuned on clean labels, kept or divided by powers of 1 + α, at the same batch size and "
        "number of steps: accuracy in % of that of the best rate at this α, with 95 % intervals over seeds."
    )
    return Figure("rate_rules", caption, tuple(panels))


# The record


def as_markdown(content: dict) -> str:
    """The readable record."""
    made = f"`python benchmarks/theory.py`, {content['made'][:10]}, {content['device']}. 95 % intervals. "
    lines = [
        "# The theory, predicted against measured",
        "",
        made + "**Bold**: held out, nothing was worked out on it.",
        "",
    ]
    lines += ["## Powers of B and 1 + α in the best rate of SGD", ""]
    lines += ["| network | n | B: measured | closed form | recursion | 1+α: measured | closed form | recursion |"]
    lines += ["|---" * 8 + "|"]
    for row in content["exponents"]:
        cells = [_bold(row["case"], row["held_out"]), str(row["n"])]
        for term in ("batch_size", "alpha"):
            value, low, high = row["measured"][term]
            cells.append(f"{value:.2f} [{low:.2f}, {high:.2f}]")
            cells += [f"{row[name][term][0]:.2f}" if name in row else "" for name in ("closed form", "recursion")]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", _how_many(content["exponents"]), ""]
    lines += ["## Adam's best rate from that of SGD", ""]
    lines += [
        "α > 0. Median |error| in powers of two; bias, below 0 too low; mean of the points of accuracy lost. n cells.",
        "",
    ]
    lines += ["| network | n | " + " | ".join(theory_adam.FORMULAS) + " |", "|---" * 6 + "|"]
    for name, table in content["adam"]["summaries"].items():
        shown = [_shown(table.get(formula)) for formula in theory_adam.FORMULAS]
        n = max(one["n"] for one in table.values())
        lines.append(f"| {_bold(name, name in content['adam']['held_out'])} | {n} | " + " | ".join(shown) + " |")
    lines += ["", "| network | α | B | measured log2 η_Adam/η_SGD | " + " | ".join(theory_adam.FORMULAS) + " |"]
    lines += ["|---" * 8 + "|"]
    for row in content["adam"]["rows"]:
        if row.get("measured") is None:
            continue
        errors = ["" if row[f] is None else f"{row[f] - row['measured']:+.2f}" for f in theory_adam.FORMULAS]
        low, high = (f"{v:.1f}" if v is not None else "?" for v in (row["low"], row["high"]))  # ?: open
        lines.append(
            f"| {_bold(row['case'], not row['seen'])} | {row['alpha']:g} | {row['batch_size']} | "
            f"{row['measured']:.2f} [{low}, {high}] | " + " | ".join(errors) + " |"
        )
    lines += ["", "## Kernels that move", "", *theory_moving.table(content["moving"])]
    lines += ["", "## Where networks are lost", "", *lost_tables.as_markdown(content["caps"])]
    lines += ["", "## Accuracy kept by rules of the rate", ""]
    lines += ["% of the accuracy of the best rate; the rate tuned on clean labels times a power of 1 + α. n seeds.", ""]
    lines += ["| simulation | optimiser | α | n | recommended | not scaled | (1+α)^−1 | (1+α)^−2 |", "|---" * 8 + "|"]
    for row in content["rules"]:
        if row["power"] in (-0.5, -0.75):
            same = [r for r in content["rules"] if all(r[k] == row[k] for k in ("folder", "simulation", "alpha"))]
            kept = [f"{r['kept']:.1f} ± {r['half']:.1f}" for r in same]
            optimizer = row["optimizer"]
            lines.append(
                f"| {row['simulation']} | {optimizer} | {row['alpha']:g} | {row['n']} | " + " | ".join(kept) + " |"
            )
    lines += ["", "## From a clean anchor", ""]
    lines += [
        "Median miss of the best rates of noisy cells, in powers of two, by √B (Adam, AdaDelta: B^¼) and a power of "
        "1 + α from every clean cell of the network; in brackets the median error, above 0 too high. n cells.",
        "",
    ]
    powers = sorted({power for row in content["anchors"] for power in row["powers"]}, key=float, reverse=True)
    lines += ["| simulation | optimiser | n | " + " | ".join(f"(1+α)^{power}" for power in powers) + " |"]
    lines += ["|---" * (3 + len(powers)) + "|"]
    for row in content["anchors"]:
        told = ["{:.2f} ({:+.2f})".format(*row["powers"][p]) if p in row["powers"] else "" for p in powers]
        lines.append(f"| {row['simulation']} | {row['optimizer']} | {row['n']} | " + " | ".join(told) + " |")
    lines += ["", *theory_delta.as_markdown(content["delta"], content["delta_tests"])]
    return "\n".join(lines)


def _bold(text: str, held_out: bool) -> str:
    return f"**{text}**" if held_out else text


def _shown(one: dict | None) -> str:
    if one is None:
        return ""
    low, high = one["interval"]
    points = "" if one["lost"] is None else f"; {one['lost']:.1f}"
    return f"{one['median_error']:.2f} [{low:.2f}, {high:.2f}]; {one['bias']:+.2f}{points}"


def _how_many(rows: list[dict]) -> str:
    """How often the closed form lies inside the measured interval, and its median error."""
    said = []
    for name in ("closed form", "recursion"):
        for term, label in (("batch_size", "B"), ("alpha", "1+α")):
            mine = [row for row in rows if name in row]
            inside = sum(row["measured"][term][1] <= row[name][term][0] <= row["measured"][term][2] for row in mine)
            error = np.median([abs(row[name][term][0] - row["measured"][term][0]) for row in mine])
            where = f"inside the interval in {inside} of {len(mine)}"
            said.append(f"power of {label} by the {name}: {where}, median error {error:.2f}")
    return "; ".join(said) + "."


def main() -> None:
    """Compute every table, and write record and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--kept", type=Path, help="folder for the rows of each network, so that running again resumes")
    parts: dict[str, Callable[[], Any]] = {
        "exponents": lambda: kept(options.kept, "exponents", lambda: exponent_rows(cubes)),
        "adam": lambda: adam(cubes, options.kept),
        "moving": lambda: theory_moving.rows(content["adam"]["rows"]),
        "caps": theory_caps.rows,
        "rules": lambda: rule_rows(recorded),
        "anchors": lambda: anchor_rows(recorded),
        "delta": lambda: theory_delta.recorded_rows(recorded),
        "delta_tests": theory_delta.test_rows,
    }
    parser.add_argument("--part", choices=parts, help="compute this one alone")
    options = parser.parse_args()
    cubes = theory_adam.cubes_of(RECORDED, CUBE)
    recorded = {name: cube for name, cube in cubes.items() if name != "theory"}
    content = {"made": datetime.now(UTC).isoformat(timespec="seconds"), "device": "CPU"}
    if options.part:
        content = json.loads((RESULTS / "theory.json").read_text(encoding="utf-8"))
    for name, compute in parts.items():
        if options.part in (None, name):
            content[name] = compute()
    content = json.loads(
        json.dumps(content).replace("NaN", "null").replace("-Infinity", "null").replace("Infinity", "null")
    )
    (options.out / "theory.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (options.out / "theory.md").write_text(as_markdown(content), encoding="utf-8")
    for figure in (rule_figure(content["rules"]), lost_tables.figure(content["caps"])):
        (FIGURES / f"{figure.name}.svg").write_text(charts.draw(figure).svg, encoding="utf-8")
    print(as_markdown(content))


def adam(cubes: dict, folder: Path | None) -> dict:
    """Rows of every case with Adam's runs, and summaries over α > 0: by case, of the held-out ones, of all."""
    rows = []
    for case in theory_adam.CASES:
        found = kept(folder, case.name, lambda case=case: list(theory_adam.rows(case, cubes)))
        rows += [row | {"lost": theory_adam.lost(case, row, cubes)} for row in found if "measured" in row]
    rows += kept(folder, "momentum", theory_adam.benchmarked)
    noisy = [row for row in rows if row["alpha"] > 0]
    held_out = list(dict.fromkeys(row["case"] for row in rows if not row["seen"]))
    groups = {name: [r for r in noisy if r["case"] == name] for name in dict.fromkeys(r["case"] for r in noisy)}
    groups |= {"all held out": [r for r in noisy if not r["seen"]]}
    recipes = [row for row in noisy if ", MNIST, " in row["case"]]
    groups |= {"all but the recipes on MNIST": [r for r in noisy if r not in recipes], "the recipes on MNIST": recipes}
    summaries = {name: theory_adam.summary(some) for name, some in groups.items() if some}
    return {"rows": rows, "held_out": [*held_out, "all held out"], "summaries": summaries}


def kept(folder: Path | None, name: str, compute: Callable[[], list[dict]]) -> list[dict]:
    """What is computed, from the file of this name in the folder where it is there."""
    file = None if folder is None else folder / f"{name}.json"
    if file is not None and file.exists():
        return json.loads(file.read_text(encoding="utf-8"))
    rows = compute()
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(rows), encoding="utf-8")
    return rows


if __name__ == "__main__":
    main()
