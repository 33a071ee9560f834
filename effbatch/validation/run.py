"""Specs -> predictions, cubes, verdicts and the report: `effbatch validate` from end to end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from effbatch import claims
from effbatch.advice.prediction import predict
from effbatch.claims import Claim, Judgement
from effbatch.claims.shared.multiplicity import corrected
from effbatch.core.errors import CubeError
from effbatch.core.figures import Figure, Table
from effbatch.laws import LAWS
from effbatch.plan import cube
from effbatch.plan.adaptive import account_in_words
from effbatch.show import cube_figures as views
from effbatch.show.report import Report, Section, replace_file, write_html, write_pdf
from effbatch.validation import scorecard as yardsticks
from effbatch.validation.scorecard import Yardstick

if TYPE_CHECKING:
    from effbatch.plan.spec import Spec
    from effbatch.sweep.runner import Progress
    from effbatch.sweep.workers import Workers

ASKED = (
    "With α noisy labels for every clean one, which learning rate and batch size suit, and what accuracy is left? "
    "Each answer below was computed and stored before any network was trained; then the networks were trained, and a "
    "rule that was fixed beforehand judged the answer."
)


def validate(
    specs: Sequence[Spec],
    out: Path,
    *,
    device: str = "auto",
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> dict[str, xr.Dataset]:
    """Predict, store, train and assemble: the cubes by simulation name, also written to out/cube.nc.

    All predictions are stored before the first network trains. Each simulation has its own folder in `out`, so a
    run that was stopped goes on where it was. `workers` train the units, by default this process on `device`.
    """
    from effbatch.measure.moments_check import check_moments
    from effbatch.sweep import runner
    from effbatch.validation.setup import setup_of

    specs = [replace(spec, claim=claims.rule_of(spec.claim, spec.name)) for spec in specs]
    for spec in specs:
        claim = claims.get(spec.claim["kind"])
        predict = partial(claim.predict, setup_of(spec))
        runner.predict_first(spec, out / spec.name, predict, device=device, workers=workers)
    cubes = {
        spec.name: runner.simulate(spec, out / spec.name, device=device, progress=progress, workers=workers)
        for spec in specs
    }
    checked = json.dumps(asdict(check_moments()))
    cubes = {name: swept.assign_attrs(moments_check=checked) for name, swept in cubes.items()}
    cube.save(cubes, out / "cube.nc")
    return cubes


def judge(swept: xr.Dataset) -> Judgement:
    """The judgement of one cube by the rule and the prediction stored in it."""
    stored = _stored_prediction(swept)
    claim, rule = _claim(swept)
    return claim.judge(swept, stored["prediction"], rule)


@dataclass(frozen=True)
class Judged:
    """Cubes by simulation name, their judgements, and what they say of the package as a whole."""

    cubes: Mapping[str, xr.Dataset]
    judgements: Mapping[str, Judgement]

    @cached_property
    def yardsticks(self) -> list[Yardstick]:
        """The yardsticks that these cubes can answer; the first call takes seconds."""
        return yardsticks.measure(self.cubes, self.judgements)


def judge_all(cubes: Mapping[str, xr.Dataset]) -> Judged:
    """All cubes judged, corrected for their number (`claims.multiplicity`)."""
    return Judged(cubes, corrected({name: judge(swept) for name, swept in cubes.items()}))


def verdicts(judged: Judged) -> dict[str, Any]:
    """The verdicts and the yardsticks as JSON-ready values."""
    return {
        "verdicts": [
            {"simulation": name, **_verdict(judged.cubes[name], found)} for name, found in judged.judgements.items()
        ],
        "yardsticks": [yardstick.to_json() for yardstick in judged.yardsticks],
    }


def _verdict(swept: xr.Dataset, found: Judgement) -> dict[str, Any]:
    spec, stored = cube.resolved_spec(swept), _stored_prediction(swept)
    return {
        "claim": spec["simulation"]["claim"],
        "verdict": str(found.verdict),
        "finding": found.finding,
        "p_value": found.p_value,
        "p_value_corrected": found.p_value_corrected,
        "rule": spec["claim"],
        "prediction_stored": stored["stored"],
        "prediction_before_training": stored["before_training"],
        "numbers": [_finite(asdict(number)) for number in found.numbers],
        "limits": list(found.limits),
    }


def write(judged: Judged, out: Path) -> None:
    """Write out/verdicts.json, out/report.html and out/report.pdf."""
    text = json.dumps(verdicts(judged), indent=2, allow_nan=False)
    replace_file(out / "verdicts.json", f"{text}\n".encode())
    made = report(judged)
    write_html(made, out / "report.html")
    write_pdf(made, out / "report.pdf")


def report(judged: Judged) -> Report:
    """The report of judged cubes."""
    cubes, measured = judged.cubes, judged.yardsticks
    first = next(iter(cubes.values()))
    seconds = sum(float(swept.attrs["train_seconds"]) for swept in cubes.values())
    networks = sum(int((swept["outcome"] != int(cube.Outcome.NOT_RUN)).sum()) for swept in cubes.values())
    return Report(
        title="Label noise and effective batch size: predicted and measured",
        asked=ASKED,
        created=max(str(swept.attrs["made"]) for swept in cubes.values()),
        recommendation=_recommendation(),
        recommended=_scaling_table(),
        sections=_figures_apart([_section(cubes[name], found) for name, found in judged.judgements.items()]),
        yardsticks=yardsticks.table(measured) if measured else None,
        yardstick_figures=[regret] if (regret := yardsticks.figure(measured)) else [],
        costs=_costs(cubes),
        environment={
            "device": first.attrs["device"],
            "versions": first.attrs["versions"],
            **_mixed(cubes),
            "networks trained": f"{networks:,}",
            "optimiser steps": f"{sum(int(swept.attrs['model_steps']) for swept in cubes.values()):,}",
            "training time": f"{seconds:.0f} s",
            "data": "; ".join(dict.fromkeys(str(swept.attrs["data_source"]) for swept in cubes.values())),
        },
    )


def _costs(cubes: Mapping[str, xr.Dataset]) -> Table:
    """What every simulation took, and what its prediction did."""
    rows: list[list[str | int | float | None]] = []
    for name, swept in cubes.items():
        stored = _stored_prediction(swept)
        networks = int((swept["outcome"] != int(cube.Outcome.NOT_RUN)).sum())
        steps, seconds = int(swept.attrs["model_steps"]), float(swept.attrs["train_seconds"])
        made = str(swept.attrs["made"])[:16].replace("T", " ")
        rows.append([name, networks, steps, seconds, stored.get("seconds"), made, str(swept.attrs["device"])])
    first, total = max(rows, key=lambda row: row[3]), sum(row[3] for row in rows)  # type: ignore[arg-type, return-value, misc]
    caption = (
        f"Training took {total:.0f} s in all, most of it ({first[3]:.0f} s) {first[0]}. Times are of the machine that "
        "ran it; predicting includes the kernel spectra of the untrained networks."
    )
    columns = ("simulation", "networks", "optimiser steps", "training, s", "predicting, s", "made (UTC)", "device")
    return Table("costs", caption, columns, rows, ("", "d", "d", ".1f", ".1f", "", ""))


def _mixed(cubes: Mapping[str, xr.Dataset]) -> dict[str, str]:
    """Who made the units, where not all were made by the same device and versions."""
    made_by = {one for swept in cubes.values() for one in str(swept.attrs.get("made_by", "")).split("; ") if one}
    return {"units were made by": "; ".join(sorted(made_by))} if len(made_by) > 1 else {}


def _section(swept: xr.Dataset, judged: Judgement) -> Section:
    resolved = cube.resolved_spec(swept)
    stored = _stored_prediction(swept)
    claim, rule = _claim(swept)
    told = claim.describe(stored["prediction"], rule)
    when = "before training" if stored["before_training"] else "AFTER training had begun"
    name = resolved["simulation"]["name"]
    return Section(
        name=name,
        title=_title(swept),
        question=resolved["simulation"]["claim"],
        headline=claim.headline(rule),
        prediction=f"{told} (Stored {when}, {stored['stored']}.)",
        verdict=judged.verdict.value,
        finding=judged.finding,
        p_value=judged.p_value_corrected,
        numbers=judged.numbers,
        figures=(*judged.figures, *views.figures(swept)),
        tables=judged.tables,
        limits=[*_outcome_limits(swept), *account_in_words(swept), *judged.limits],
        reproduce=f"effbatch validate {swept.attrs.get('arguments', name)} --out out",
        **_one_cell(swept),
        references=judged.references,
        spec=str(swept.attrs["spec"]),
    )


def _title(swept: xr.Dataset) -> str:
    """The title of the simulation, and the data set that `--dataset` put in: both may be in one report."""
    resolved = cube.resolved_spec(swept)
    given = "--dataset " in str(swept.attrs.get("arguments", ""))
    return resolved["simulation"]["title"] + f": {resolved['data']['dataset']}" * given


def _figures_apart(sections: Sequence[Section]) -> list[Section]:
    """The sections; a figure that several of them have is called SECTION.NAME in each, as tables are."""
    times = Counter(figure.name for section in sections for figure in section.figures)

    def named(section: Section) -> list[Figure]:
        return [
            replace(figure, name=f"{section.name}.{figure.name}") if times[figure.name] > 1 else figure
            for figure in section.figures
        ]

    return [replace(section, figures=named(section)) for section in sections]


def _one_cell(swept: xr.Dataset) -> dict[str, str]:
    """The command that trains one network of a sweep again, and what it should come to; {} where none finished.

    The setting in the middle of the grid, at its best learning rate, with the first seed.
    """
    from effbatch.plan.only import options

    score = cube.score(swept).where(swept["outcome"] == int(cube.Outcome.FINISHED))
    middle = {dim: size // 2 for dim, size in score.sizes.items() if dim not in ("learning_rate", "seed")}
    rates = score.isel(middle).isel(seed=0)
    if not bool(rates.notnull().any()):
        return {}
    place = {**middle, "learning_rate": int(rates.argmax("learning_rate")), "seed": 0}
    cell = swept.isel(place)
    named = {str(dim): cell[dim].item() for dim in score.dims if swept.sizes[dim] > 1 or dim == "learning_rate"}
    spec = cube.resolved_spec(swept)
    name = spec["simulation"]["name"]
    again = "bit for bit with the same code, versions and threads: all that trained beside it does"
    if "ladder" in spec:
        again = "up to rounding, which long training at high rates amplifies: an adaptive grid trains others beside it"
    return {
        "one_cell": f"effbatch simulate {swept.attrs.get('arguments', name)} --out cell {options(named)}",
        "one_cell_gives": (
            f"Here it had a test accuracy of {100 * float(cell['test_accuracy']):.1f} % and a test loss of "
            f"{float(cell['test_loss']):.4f}. On such a device it has them again {again}."
        ),
    }


def _outcome_limits(swept: xr.Dataset) -> list[str]:
    diverged = int((swept["outcome"] == int(cube.Outcome.DIVERGED)).sum())
    if not diverged:
        return []
    trained = int((swept["outcome"] != int(cube.Outcome.NOT_RUN)).sum())
    return [f"{diverged} of {trained} networks diverged; they score chance in every average."]


def _recommendation() -> str:
    chosen = predict(1, 128).recommended
    return (
        f"For SGD, multiply a tuned learning rate by the change of {LAWS[chosen.law].formula.removeprefix('η ∝ ')} "
        f"(law {chosen.law}): {chosen.why}. To restore the gradient's signal-to-noise ratio itself takes a batch "
        "(1+α)² times as large; to keep the accuracy takes about 1+α times as many clean labels."
    )


def _scaling_table() -> Table:
    rows = []
    for alpha in (0, 1, 3, 10, 30, 100):
        answer = predict(alpha, 128).to_dict()
        rows.append(
            [
                alpha,
                answer["effective_batch_size"]["signal_to_noise"],
                answer["recommended"]["factor"],
                answer["restoring_batch_size"],
                answer["clean_labels_factor"],
            ]
        )
    return Table(
        "scaling",
        "Noisy labels per clean one, at batch 128: what is left of the batch, what to multiply a rate tuned on clean "
        "labels by, what restores the gradient. Exact, given the formulas.",
        ("α", "effective batch, B/(1+α)²", "learning rate ×", "restoring batch, B(1+α)²", "clean labels ×"),
        rows,
        ("g", ".3g", ".3f", ",.0f", ".0f"),
    )


def _claim(swept: xr.Dataset) -> tuple[Claim, dict[str, Any]]:
    """The claim of a cube and its rule; a key younger than the cube has its default."""
    spec = cube.resolved_spec(swept)
    rule = claims.rule_of(spec["claim"], spec["simulation"]["name"])
    return claims.get(rule["kind"]), rule


def _stored_prediction(swept: xr.Dataset) -> dict[str, Any]:
    stored = json.loads(swept.attrs.get("predictions", "null"))
    if stored is None:
        raise CubeError(
            "this cube carries no prediction made before its run, so nothing can be judged; "
            "run it with `effbatch validate` instead of `effbatch simulate`"
        )
    return stored


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float | np.floating) and not np.isfinite(v) else v for k, v in values.items()}
