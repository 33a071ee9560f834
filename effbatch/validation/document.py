"""Judged cubes and the scorecard -> verdicts.json and the report."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from effbatch.advice.prediction import predict
from effbatch.claims import Claim, Judgement
from effbatch.claims.shared.rates import rates_table, why_unknown
from effbatch.core.estimate import Estimate
from effbatch.core.figures import Figure, Table
from effbatch.core.formats import TIME, duration, estimate_text, number_text, numbers_table
from effbatch.core.pages import Code, Heading, Part, Terms
from effbatch.laws import LAWS
from effbatch.plan.adaptive import account_in_words
from effbatch.plan.cube import Outcome, extension_in_words
from effbatch.show import cube_figures
from effbatch.show.rendering import replace_file, write_html, write_pdf
from effbatch.show.report import Chapter, Report
from effbatch.validation import scorecard
from effbatch.validation.judged import JudgedCube
from effbatch.validation.one_cell import one_cell

ASKED = "With α noisy labels for every clean one, which learning rate and batch size suit, and what accuracy is left? "
JUDGED = (
    "Each answer below was computed and stored before any network was trained; then the networks were trained, and a "
    "rule that was fixed beforehand judged the answer."
)
MEASURED = "What follows was measured; nothing was predicted before, so nothing is judged."

FIRST = ("collapse", "best_learning_rate", "accuracy_curve", "labels_needed", "best_batch")  # kinds of claims
LONG = 8  # rows of a table that the appendix shows

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
    shared = _data_of_all(judged)
    chapters = _figures_apart([_claim(one, _title(one, shared)) for one in judged.values()])
    created = max(str(one.cube.attrs["made"]) for one in judged.values())
    return Report(
        title=f"Label noise and effective batch size{shared}: predicted and measured",
        asked=ASKED + (JUDGED if any(one.judgement for one in judged.values()) else MEASURED),
        created=created,
        chapters=[*chapters, _recommendation(), *_scorecard(card), _reproduction(judged, created)],
        findings=_findings(judged),
        message=_message(judged),
        advice=_advice(judged),
    )


def _first_of_kinds(judged: Judged) -> list[JudgedCube]:
    """The first cube of every kind of claim, those that answer the question of the report first."""
    first = {one.claim.kind(): one for one in reversed(list(judged.values())) if one.claim and one.judgement}
    return [first[kind] for kind in sorted(first, key=lambda kind: (*FIRST, kind).index(kind))]


def _findings(judged: Judged) -> list[str]:
    """At most five, in plain words; of sweeps that nothing judges what their first figure shows."""
    kinds, claims = _first_of_kinds(judged), [one for one in judged.values() if one.judgement]
    alike = len(kinds) < min(3, len(claims))  # then each claim is told with its title
    told = [
        f"{one.judgement.verdict.capitalize()}. "
        + f"{_title(one, _data_of_all(judged))}: " * alike
        + (one.judgement.plain or one.judgement.finding)
        for one in (claims if alike else kinds)
        if one.judgement
    ]
    return (told or [figure.caption for one in judged.values() for figure in cube_figures.measured(one.case)[:1]])[:5]


def _message(judged: Judged) -> Figure | None:
    """The figure of the first page: of the claim that says most, without the panels between the first and the last."""
    shown = [(one.judgement.figures, one.judgement.plain) for one in _first_of_kinds(judged) if one.judgement]
    shown += [(cube_figures.measured(one.case), "") for one in judged.values() if one.judgement is None]
    for figures, plain in shown:
        for figure in figures[:1]:
            panels = figure.panels if len(figure.panels) < 3 else (figure.panels[0], figure.panels[-1])
            return replace(figure, name="message", caption=plain or figure.caption, panels=panels)
    return None


def _advice(judged: Judged) -> list[str]:
    """What to do about ten noisy labels per clean one, each rule with what was measured of it."""
    chosen = predict(10, 128).recommended
    sure = estimate_text(Estimate(chosen.factor, *(chosen.factor_interval or ())))
    return [
        f"Keep the batch and lower the learning rate: with SGD, multiply the best rate on clean labels by the change "
        f"of {_change(chosen.law)}. At ten noisy labels per clean one this is {sure} ({chosen.covers}).",
        f"Or enlarge the batch (1+α)² times: at ten, {(1 + 10) ** 2} times{_exponent(judged, 'collapse')}.",
        f"Or get 1+α times as many clean labels, each with its noisy ones{_exponent(judged, 'labels_needed')}.",
        "For your own network and data run `effbatch advise`, which measures instead of using these rules.",
    ]


def _exponent(judged: Judged, kind: str) -> str:
    """The exponent of 1 + α that a claim of this kind measured, in brackets; that none did."""
    found = [one.judgement for one in _first_of_kinds(judged) if one.claim and one.claim.kind() == kind]
    measured = [f"measured exponent {number_text(one.numbers[0])}" for one in found if one]
    return f" ({measured[0] if measured else 'not measured here'})"


def _change(law: str) -> str:
    return LAWS[law].formula.removeprefix("η ∝ ")


def _scorecard(card: Sequence[scorecard.Line]) -> list[Chapter]:
    """The goals of the package, and in the appendix all lines behind them; none of a user's own sweeps."""
    if not card:
        return []
    figure = scorecard.figure(card)
    parts: list[Part] = [figure] if figure is not None else []
    parts.append(scorecard.table(scorecard.headlines(card), "goals"))
    return [
        Chapter("Scorecard", parts, name="scorecard", kind="scorecard", further=[scorecard.table(card, "scorecard")])
    ]


def _reproduction(judged: Judged, created: str) -> Chapter:
    """What made the cubes, what it took, and the specs."""
    attrs = [one.cube.attrs for one in judged.values()]
    made = {
        "created": created,
        "device": _singular(attrs[0]["device"]),
        "versions": attrs[0]["versions"],
        **_mixed(judged),
        "networks trained": f"{sum(one.networks for one in judged.values()):,}",
        "optimiser steps": f"{sum(int(one['model_steps']) for one in attrs):,}",
        "training time": duration(sum(float(one["train_seconds"]) for one in attrs)),
        "data": "; ".join(dict.fromkeys(str(one["data_source"]) for one in attrs)),
    }
    specs: list[Part] = [
        part
        for one in judged.values()
        for part in (Heading(f"Specification: {one.name}"), Code(str(one.cube.attrs["spec"])))
    ]
    parts = [Terms(made), _costs(judged), *specs]
    return Chapter("Reproduction", parts, name="reproduction", kind="appendix")


def _costs(judged: Judged) -> Table:
    """What every simulation took, and what its prediction did."""
    rows: list[list[str | int | float | None]] = []
    for name, one in judged.items():
        attrs = one.cube.attrs
        steps, seconds = int(attrs["model_steps"]), float(attrs["train_seconds"])
        made = str(attrs["made"])[:16].replace("T", " ")
        device = f"{attrs['device']}, bfloat16" if "bfloat16" in attrs.get("arithmetic", "") else attrs["device"]
        rows.append([name, one.networks, steps, seconds, one.stored.get("seconds"), made, _singular(device)])
    trained = {name: float(one.cube.attrs["train_seconds"]) for name, one in judged.items()}
    longest = max(trained, key=trained.__getitem__)
    caption = (
        f"Training took {duration(sum(trained.values()))} in all, most of it ({duration(trained[longest])}) {longest}. "
        "Times are of the machine that ran it; predicting includes the kernel spectra of the untrained networks."
    )
    columns = ("simulation", "networks", "optimiser steps", "training", "predicting", "made (UTC)", "device")
    return Table("costs", caption, columns, rows, ("", "d", "d", TIME, TIME, "", ""))


def _singular(device: str) -> str:
    """The device as text says it: one thread is no threads."""
    return re.sub(r"\b1 threads\b", "1 thread", str(device))


def _mixed(judged: Judged) -> dict[str, str]:
    """Who made the units, where not all were made by the same device and versions."""
    said = "; ".join(str(one.cube.attrs.get("made_by", "")) for one in judged.values())
    made_by = {one for one in said.split("; ") if one}
    return {"units were made by": "; ".join(sorted(made_by))} if len(made_by) > 1 else {}


def _claim(one: JudgedCube, title: str) -> Chapter:
    """What a claim was and came to; of a sweep that nothing judges, what was measured, and why."""
    found, claim = one.judgement, one.claim
    question = one.spec["simulation"]["claim"]
    if found is None or claim is None:
        limits = [why for why in (why_unknown(one.case.best),) if why]
        return Chapter(
            title,
            [
                one.silence,
                *[Terms({"Question": question})] * bool(question),
                *cube_figures.measured(one.case),
                *_limits(one, limits),
            ],
            name=one.name,
            further=[rates_table(one.case.best), *_again(one)],
        )
    when = "before training" if one.predicted_before else "AFTER training had begun"
    said = f"{claim.describe(one.case.prediction)} (Stored {when}, {one.stored['stored'][:16].replace('T', ' ')} UTC.)"
    short = [table for table in found.tables if len(table.rows) <= LONG]
    long = [table for table in found.tables if len(table.rows) > LONG]
    numbers = _numbers(found, claim)
    shortened = replace(numbers, name="first_numbers", rows=numbers.rows[:LONG])
    many = len(numbers.rows) > LONG
    return Chapter(
        title,
        [
            found.finding,
            Terms({"Question": question, "Predicted": said}),
            *found.figures,
            shortened if many else numbers,
            *short,
            *_limits(one, found.limits),
            *cube_figures.figures(one.case),
        ],
        name=one.name,
        further=[*[numbers] * many, *long, *_again(one)],
        verdict=found.verdict,
        headline=claim.headline,
        result=found.numbers[0],
        p_value=found.p_value_corrected,
        references=claim.sources(),
    )


def _limits(one: JudgedCube, limits: Sequence[str]) -> list[Part]:
    told = [*_diverged(one), *account_in_words(one.cube), *extension_in_words(one.cube), *limits]
    return [Heading("Limits"), *(f"- {limit}" for limit in told)] if told else []


def _again(one: JudgedCube) -> list[Part]:
    """How to run it again, and one network of it."""
    command = f"effbatch {'validate' if one.stored else 'simulate'} {one.arguments} --out out"
    parts: list[Part] = ["Reproduce:", Code(command)]
    if again := one_cell(one):
        command, gives = again
        parts += ["One network of it again:", Code(command), gives]
    return parts


def _numbers(found: Judgement, claim: Claim) -> Table:
    """The numbers; the caption is the one that the rule looked at, with what came of it."""
    first = found.numbers[0]
    caption = f"{first.label}: {number_text(first)}; {found.verdict}. Rule: {claim.headline}."
    return numbers_table(
        "numbers", caption if _symbol(caption) else f"{caption[:1].upper()}{caption[1:]}", found.numbers
    )


def _symbol(text: str) -> bool:
    """Whether `text` begins with a symbol, which has no capital: δ, ζ, S_min."""
    return not text[1:2].isalpha()


def _title(one: JudgedCube, shared: str) -> str:
    """The title of the simulation, and the data set where the title of the report does not say it."""
    return one.spec["simulation"]["title"] + f",{_on(one)}" * (_on(one) != shared)


def _data_of_all(judged: Judged) -> str:
    """on DATA, where all cubes have one; empty where they differ."""
    data = {_on(one) for one in judged.values()}
    return data.pop() if len(data) == 1 else ""


def _on(one: JudgedCube) -> str:
    """on DATA that `--dataset` put in; empty for the one of the spec."""
    return f" on {_shown(one.spec['data']['dataset'])}" * ("--dataset " in one.arguments)


def _shown(dataset: str) -> str:
    """A data set as text writes it: MNIST, CIFAR-10, Fashion-MNIST-14."""
    return re.sub("mnist|cifar(?=(1))?", lambda m: m[0].upper() + "-" * bool(m[1]), dataset).replace(
        "fashion", "Fashion"
    )


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
    parts: list[Part] = [
        f"For SGD, the change of {_change(chosen.law)} (law {chosen.law}): {chosen.why}.",
        _scaling_table(),
    ]
    return Chapter("Recommended scaling", parts, name="recommended-scaling", kind="recommendation")


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
