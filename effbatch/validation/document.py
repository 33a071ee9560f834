"""Judged cubes and the scorecard -> verdicts.json and the report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from effbatch.advice.prediction import predict
from effbatch.claims.shared.rates import rates_table, why_unknown
from effbatch.core.figures import Figure, Table
from effbatch.laws import LAWS
from effbatch.plan.adaptive import account_in_words
from effbatch.plan.cube import Outcome, extension_in_words
from effbatch.show import cube_figures
from effbatch.show.report import Report, Section, replace_file, write_html, write_pdf
from effbatch.validation import scorecard
from effbatch.validation.judged import JudgedCube
from effbatch.validation.one_cell import one_cell

ASKED = "With α noisy labels for every clean one, which learning rate and batch size suit, and what accuracy is left? "
JUDGED = (
    "Each answer below was computed and stored before any network was trained; then the networks were trained, and a "
    "rule that was fixed beforehand judged the answer."
)
MEASURED = "What follows was measured; nothing was predicted before, so nothing is judged."

Judged = Mapping[str, JudgedCube]  # by simulation name


def write(judged: Judged, card: Sequence[scorecard.Line], out: Path) -> None:
    """Write out/verdicts.json, out/report.html and out/report.pdf."""
    text = json.dumps(verdicts(judged, card), indent=2, allow_nan=False)
    replace_file(out / "verdicts.json", f"{text}\n".encode())
    made = report(judged, card)
    write_html(made, out / "report.html")
    write_pdf(made, out / "report.pdf")


def verdicts(judged: Judged, card: Sequence[scorecard.Line]) -> dict[str, Any]:
    """The verdicts and the scorecard as JSON-ready values."""
    return {
        "verdicts": [_verdict(name, one) for name, one in judged.items() if one.judgement is not None],
        "scorecard": [line.to_json() for line in card],
    }


def _verdict(name: str, one: JudgedCube) -> dict[str, Any]:
    found, claim = one.judgement, one.claim
    assert found is not None
    assert claim is not None
    return {
        "simulation": name,
        "claim": one.spec["simulation"]["claim"],
        "verdict": str(found.verdict),
        "finding": found.finding,
        "p_value": found.p_value,
        "p_value_corrected": found.p_value_corrected,
        "rule": claim.rule,
        "prediction_stored": one.stored["stored"],
        "prediction_before_training": one.stored["before_training"],
        "numbers": [number.to_json() for number in found.numbers],
        "limits": [*extension_in_words(one.cube), *found.limits],
    }


def report(judged: Judged, card: Sequence[scorecard.Line]) -> Report:
    """The report of judged cubes."""
    attrs = [one.cube.attrs for one in judged.values()]
    return Report(
        title="Label noise and effective batch size: predicted and measured",
        asked=ASKED + (JUDGED if any(one.judgement for one in judged.values()) else MEASURED),
        created=max(str(made["made"]) for made in attrs),
        recommendation=_recommendation(),
        recommended=_scaling_table(),
        sections=_figures_apart([_section(one) for one in judged.values()]),
        scorecard=scorecard.table(card) if card else None,
        scorecard_figures=[regret] if (regret := scorecard.figure(card)) else [],
        costs=_costs(judged),
        environment={
            "device": attrs[0]["device"],
            "versions": attrs[0]["versions"],
            **_mixed(judged),
            "networks trained": f"{sum(one.networks for one in judged.values()):,}",
            "optimiser steps": f"{sum(int(made['model_steps']) for made in attrs):,}",
            "training time": f"{sum(float(made['train_seconds']) for made in attrs):.0f} s",
            "data": "; ".join(dict.fromkeys(str(made["data_source"]) for made in attrs)),
        },
    )


def _costs(judged: Judged) -> Table:
    """What every simulation took, and what its prediction did."""
    rows: list[list[str | int | float | None]] = []
    for name, one in judged.items():
        attrs = one.cube.attrs
        steps, seconds = int(attrs["model_steps"]), float(attrs["train_seconds"])
        made = str(attrs["made"])[:16].replace("T", " ")
        rows.append([name, one.networks, steps, seconds, one.stored.get("seconds"), made, str(attrs["device"])])
    first, total = max(rows, key=lambda row: row[3]), sum(row[3] for row in rows)  # type: ignore[arg-type, return-value, misc]
    caption = (
        f"Training took {total:.0f} s in all, most of it ({first[3]:.0f} s) {first[0]}. Times are of the machine that "
        "ran it; predicting includes the kernel spectra of the untrained networks."
    )
    columns = ("simulation", "networks", "optimiser steps", "training, s", "predicting, s", "made (UTC)", "device")
    return Table("costs", caption, columns, rows, ("", "d", "d", ".1f", ".1f", "", ""))


def _mixed(judged: Judged) -> dict[str, str]:
    """Who made the units, where not all were made by the same device and versions."""
    said = "; ".join(str(one.cube.attrs.get("made_by", "")) for one in judged.values())
    made_by = {one for one in said.split("; ") if one}
    return {"units were made by": "; ".join(sorted(made_by))} if len(made_by) > 1 else {}


def _section(one: JudgedCube) -> Section:
    """What a judged claim was and came to; of a sweep that nothing judges, what was measured, and why."""
    simulation, cube = one.spec["simulation"], one.cube
    judged = _judged(one) if one.judgement is not None else _measured(one)
    found = {
        "name": one.name,
        "title": _title(one),
        "question": simulation["claim"],
        "reproduce": f"effbatch {'validate' if one.stored else 'simulate'} {one.arguments} --out out",
        "spec": str(cube.attrs["spec"]),
        **one_cell(one),
        **judged,
    }
    limits = [*_diverged(one), *account_in_words(cube), *extension_in_words(cube), *judged["limits"]]
    return Section(**found | {"limits": limits})


def _judged(one: JudgedCube) -> dict[str, Any]:
    found, claim = one.judgement, one.claim
    assert found is not None
    assert claim is not None
    when = "before training" if one.predicted_before else "AFTER training had begun"
    return {
        "headline": claim.headline,
        "prediction": f"{claim.describe(one.case.prediction)} (Stored {when}, {one.stored['stored']}.)",
        "verdict": found.verdict,
        "finding": found.finding,
        "p_value": found.p_value_corrected,
        "numbers": found.numbers,
        "figures": (*found.figures, *cube_figures.figures(one.case)),
        "tables": found.tables,
        "limits": found.limits,
        "references": claim.sources(),
    }


def _measured(one: JudgedCube) -> dict[str, Any]:
    return {
        "headline": "",
        "prediction": "",
        "verdict": None,
        "finding": one.silence,
        "figures": cube_figures.measured(one.case),
        "tables": (rates_table(one.case.best),),
        "limits": [why for why in (why_unknown(one.case.best),) if why],
    }


def _title(one: JudgedCube) -> str:
    """The title of the simulation, and the data set that `--dataset` put in: both may be in one report."""
    given = "--dataset " in one.arguments
    return one.spec["simulation"]["title"] + f": {one.spec['data']['dataset']}" * given


def _figures_apart(sections: Sequence[Section]) -> list[Section]:
    """The sections; a figure that several of them have is called SECTION.NAME in each, as tables are."""
    times = Counter(figure.name for section in sections for figure in section.figures)

    def named(section: Section) -> list[Figure]:
        return [
            replace(figure, name=f"{section.name}.{figure.name}") if times[figure.name] > 1 else figure
            for figure in section.figures
        ]

    return [replace(section, figures=named(section)) for section in sections]


def _diverged(one: JudgedCube) -> list[str]:
    diverged = int((one.cube["outcome"] == int(Outcome.DIVERGED)).sum())
    told = f"{diverged} of {one.networks} networks diverged; they score chance in every average."
    return [told] * bool(diverged)


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
