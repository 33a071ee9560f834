"""Judged cubes and the scorecard -> verdicts.json and the report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from effbatch.advice.prediction import predict
from effbatch.claims import Claim, Judgement
from effbatch.claims.shared.rates import rates_table, why_unknown
from effbatch.core.figures import Figure, Table
from effbatch.core.formats import number_text, numbers_table
from effbatch.core.pages import Code, Heading
from effbatch.laws import LAWS
from effbatch.plan.adaptive import account_in_words
from effbatch.plan.cube import Outcome, extension_in_words
from effbatch.show import cube_figures
from effbatch.show.rendering import replace_file, write_html, write_pdf
from effbatch.show.report import Chapter, Part, Report, Terms
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
    chapters = [_recommendation(), *_figures_apart([_claim(one) for one in judged.values()])]
    if card:
        parts = [part for part in (scorecard.figure(card), scorecard.table(card)) if part is not None]
        chapters.append(Chapter(name="scorecard", title="Scorecard", parts=parts, kind="scorecard"))
    created = max(str(one.cube.attrs["made"]) for one in judged.values())
    return Report(
        title="Label noise and effective batch size: predicted and measured",
        asked=ASKED + (JUDGED if any(one.judgement for one in judged.values()) else MEASURED),
        created=created,
        chapters=[*chapters, _reproduction(judged, created)],
    )


def _reproduction(judged: Judged, created: str) -> Chapter:
    """What made the cubes, what it took, and the specs."""
    attrs = [one.cube.attrs for one in judged.values()]
    made = {
        "created": created,
        "device": attrs[0]["device"],
        "versions": attrs[0]["versions"],
        **_mixed(judged),
        "networks trained": f"{sum(one.networks for one in judged.values()):,}",
        "optimiser steps": f"{sum(int(one['model_steps']) for one in attrs):,}",
        "training time": f"{sum(float(one['train_seconds']) for one in attrs):.0f} s",
        "data": "; ".join(dict.fromkeys(str(one["data_source"]) for one in attrs)),
    }
    specs: list[Part] = [
        part
        for one in judged.values()
        for part in (Heading(f"Specification: {one.name}"), Code(_command(one)), Code(str(one.cube.attrs["spec"])))
    ]
    parts = [Terms(made), _costs(judged), *specs]
    return Chapter(name="reproduction", title="Reproduction", parts=parts, kind="appendix")


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


def _claim(one: JudgedCube) -> Chapter:
    """What a claim was and came to; of a sweep that nothing judges, what was measured, and why."""
    found, claim = one.judgement, one.claim
    question = one.spec["simulation"]["claim"]
    if found is None or claim is None:
        terms = {"Question": question} if question else {}
        shown: list[Figure | Table] = [*cube_figures.measured(one.case), rates_table(one.case.best)]
        limits = [why for why in (why_unknown(one.case.best),) if why]
        return Chapter(name=one.name, title=_title(one), parts=[one.silence, *_parts(one, terms, shown, limits)])
    when = "before training" if one.predicted_before else "AFTER training had begun"
    said = f"{claim.describe(one.case.prediction)} (Stored {when}, {one.stored['stored']}.)"
    terms = {"Question": question, "Predicted": said}
    shown = [*found.figures, *cube_figures.figures(one.case), _numbers(found, claim), *found.tables]
    return Chapter(
        name=one.name,
        title=_title(one),
        parts=[found.finding, *_parts(one, terms, shown, found.limits)],
        verdict=found.verdict,
        headline=claim.headline,
        result=found.numbers[0],
        p_value=found.p_value_corrected,
        references=claim.sources(),
    )


def _parts(
    one: JudgedCube, terms: Mapping[str, str], shown: Sequence[Figure | Table], limits: Sequence[str]
) -> list[Part]:
    """What every chapter on a cube has in common, below its first sentence."""
    limits = [*_diverged(one), *account_in_words(one.cube), *extension_in_words(one.cube), *limits]
    parts: list[Part] = [Terms(terms), *shown]
    parts += [Heading("Limits"), *(f"- {limit}" for limit in limits)] if limits else []
    parts += [Heading("Reproduce"), Code(_command(one))]
    if again := one_cell(one):
        command, gives = again
        parts += ["One network of it again:", Code(command), gives]
    return parts


def _numbers(found: Judgement, claim: Claim) -> Table:
    """The numbers; the caption is the one that the rule looked at, with what came of it."""
    first = found.numbers[0]
    caption = f"{first.label}: {number_text(first)}; {found.verdict}. Rule: {claim.headline}."
    return numbers_table("numbers", f"{caption[:1].upper()}{caption[1:]}", found.numbers)


def _command(one: JudgedCube) -> str:
    """What runs the simulation again."""
    return f"effbatch {'validate' if one.stored else 'simulate'} {one.arguments} --out out"


def _title(one: JudgedCube) -> str:
    """The title of the simulation, and the data set that `--dataset` put in: both may be in one report."""
    given = "--dataset " in one.arguments
    return one.spec["simulation"]["title"] + f": {one.spec['data']['dataset']}" * given


def _figures_apart(chapters: Sequence[Chapter]) -> list[Chapter]:
    """The chapters; a figure that several of them have is called CHAPTER.NAME in each, as tables are."""
    times = Counter(figure.name for chapter in chapters for figure in chapter.all(Figure))

    def named(chapter: Chapter, part: Part) -> Part:
        twice = isinstance(part, Figure) and times[part.name] > 1
        return replace(part, name=f"{chapter.name}.{part.name}") if isinstance(part, Figure) and twice else part

    return [replace(chapter, parts=[named(chapter, part) for part in chapter.parts]) for chapter in chapters]


def _diverged(one: JudgedCube) -> list[str]:
    diverged = int((one.cube["outcome"] == int(Outcome.DIVERGED)).sum())
    told = f"{diverged} of {one.networks} networks diverged; they score chance in every average."
    return [told] * bool(diverged)


def _recommendation() -> Chapter:
    chosen = predict(1, 128).recommended
    advice = (
        f"For SGD, multiply a tuned learning rate by the change of {LAWS[chosen.law].formula.removeprefix('η ∝ ')} "
        f"(law {chosen.law}): {chosen.why}. To restore the gradient's signal-to-noise ratio itself takes a batch "
        "(1+α)² times as large; to keep the accuracy takes about 1+α times as many clean labels."
    )
    parts: list[Part] = [advice, _scaling_table()]
    return Chapter(name="recommended-scaling", title="Recommended scaling", parts=parts, kind="recommendation")


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
