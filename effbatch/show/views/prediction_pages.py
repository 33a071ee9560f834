"""What predict answers -> its pages."""

from __future__ import annotations

from collections.abc import Sequence

from effbatch.advice.evidence import LawScore
from effbatch.advice.law_answers import OF_ALPHA, LawPrediction
from effbatch.advice.prediction import Prediction, Unanswered
from effbatch.advice.recommendation import Recommendation
from effbatch.core.estimate import Interval
from effbatch.core.figures import Table
from effbatch.core.pages import Heading, Note, Page, Part, page
from effbatch.show.terminal import on_a_screen
from effbatch.show.views.numbers import number, number_text, percent, sure


@page.register
def prediction_page(prediction: Prediction, *, everything: bool = False) -> Page:
    """The recommended rate and why, the laws that apply, and what the noise costs.

    everything  also when each law holds, and the laws that do not apply; else what fits on a screen, the worst laws
                left out
    """
    if everything:
        return _prediction(prediction, None)
    return on_a_screen(lambda rows: _prediction(prediction, rows), len(_applying(prediction)))


def _prediction(prediction: Prediction, rows: int | None) -> Page:
    """The page with so many laws in a table, or, with None, everything."""
    chosen, said = prediction.recommended, prediction.learning_rate
    parts: list[Part] = [f"Law {chosen.law}: {chosen.why}.", Note(_situation(prediction))]
    if chosen.value is None:
        parts.append(Note("No such rate yet? `effbatch advise NETWORK DATA` finds one in short runs."))
    if prediction.noise["unlearnable"]:
        parts.append(_unlearnable(prediction))
    if rows is None:
        parts.append(Heading("Learning rate by law"))
        parts += [_law(name, said[name]) for name in _applying(prediction)]
        parts.append(Heading("Laws that do not apply here"))
        parts += [f"- {name}: {said[name].reason}." for name in sorted(said) if not said[name].applies]
    else:
        parts.append(_law_table(prediction, rows))
    parts.append(_costs(prediction))
    if rows is None:
        effective = "The laws are for uniform noise, and take the effective α: that of the signal left. "
        parts.append(
            Note(
                f"{effective if prediction.noise['reason'] else ''}B/(1+α)² and B(1+α)² hold exactly where the network "
                "still answers 1/K for every class and its noise scale is large; the loss floor and the share of wrong "
                "labels are exact. `effbatch validate` measures how far each law is off."
            )
        )
    return Page(_headline(prediction), parts)


def _applying(prediction: Prediction) -> list[str]:
    """The laws that apply: the recommended one, then by their recorded error, those without a record last."""
    chosen, scores = prediction.recommended, prediction.question.scores
    off = {
        name: scores[name].median_error_log2 if name in scores else float("inf") for name in prediction.learning_rate
    }
    applying = (name for name, law in prediction.learning_rate.items() if law.applies)
    return sorted(applying, key=lambda name: (name != chosen.law, off[name], name))


def _law_table(prediction: Prediction, most: int) -> Table:
    """A row for each of the best laws, and by what factor each missed the best rates on record."""
    kind, scores = "factor" if prediction.recommended.value is None else "rate", prediction.question.scores
    cells = {name: _number_of(kind, prediction.learning_rate[name]) for name in _applying(prediction)}
    rows = [(name, cell, _missed(scores.get(name))) for name, cell in cells.items() if cell is not None]
    known = any(missed for *_, missed in rows)
    columns = ("law", kind, "missed by (median)") if known else ("law", kind)
    title = f"Learning rate by law, {'best' if known else 'recommended'} first (reasons and the rest: --all)"
    return Table("laws", title, columns, [row[: len(columns)] for row in rows[:most]])


def _missed(score: LawScore | None) -> str:
    return "" if score is None else f"a factor of {2**score.median_error_log2:.3g}"


@page.register
def unanswered_page(unknown: Unanswered) -> Page:
    """Why no rate can be told, and what is known of α."""
    at_least = "" if unknown.alpha.low is None else f" α is at least {number(unknown.alpha.low)}."
    return Page(
        f"? The learning rate cannot be told: {unknown.reason}.",
        [f"Check more labels, or give α yourself.{at_least}", Note(f"This is for {unknown.num_classes} classes.")],
    )


def predictions_page(predictions: Sequence[Prediction], *, everything: bool = False) -> Page:
    """Several of them as one table of what the recommended laws say; not all of them where a screen is too small."""
    if everything:
        return _predictions(predictions, len(predictions))
    return on_a_screen(lambda rows: _predictions(predictions, rows), len(predictions))


def _predictions(predictions: Sequence[Prediction], most: int) -> Page:
    said = [p.recommended for p in predictions]
    anchored = said[0].value is not None
    numbers = [one.value if anchored else one.factor for one in said]
    known = [x for x in numbers if x is not None]
    span = " to ".join(dict.fromkeys(number(x) for x in (min(known), max(known))))
    what = f"Use learning rate {span}" if anchored else f"Multiply your best clean-label learning rate by {span}"
    columns = ("α", "B", "rate" if anchored else "factor", "B/(1+α)²", "loss floor")
    rows = [
        (
            number(p.setting.alpha),
            p.setting.batch_size,
            _number_of(columns[2], p.learning_rate[p.recommended.law]),
            number(p.effective_batch_size["signal_to_noise"]),
            f"{p.labels.loss_floor:.4g}",
        )
        for p in predictions[:most]
    ]
    note = "B/(1+α)²: effective batch size by signal-to-noise ratio. Loss floor: in nats. Ask for one pair to see more."
    left = [f"{len(predictions) - most:,} more rows: --all"] if most < len(predictions) else []
    why = next((one.why for one in said if one.factor_interval), said[0].why)
    parts: list[Part] = [f"Law {said[0].law}: {why}.", Table("predictions", "", columns, rows), *left, Note(note)]
    return Page(f"{what}{'' if anchored else ' at the same batch size'}, row by row.", parts)


def _headline(prediction: Prediction) -> str:
    chosen, anchor = prediction.recommended, prediction.anchor
    if chosen.value is None:
        clean = f"your best clean-label learning rate at B = {prediction.setting.batch_size:,}"
        if chosen.factor == 1:
            return f"Keep {clean}."
        return f"Multiply {clean} by {_sure(chosen, chosen.factor, chosen.factor_interval)}."
    if chosen.factor is None or anchor is None:
        return f"Use learning rate {_sure(chosen, chosen.value, chosen.interval)}."
    moved = chosen.factor != 1 or chosen.interval is not None
    rate = f"Use learning rate {_sure(chosen, chosen.value, chosen.interval) if moved else number(chosen.value)}"
    return (
        f"{rate}: {number(chosen.factor)} times the anchor's {number(anchor.learning_rate)} at batch size "
        f"{anchor.batch_size:,}, α = {number(anchor.alpha)}."
    )


def _sure(chosen: Recommendation, value: float | None, interval: Interval | None) -> str:
    """A number of the recommended law; an interval that holds none of its errors is told as what it is."""
    return f"{sure(value, interval)}{' by α alone, with no interval of the law' * (chosen.covers == OF_ALPHA)}"


def _situation(prediction: Prediction) -> str:
    s, noise, alpha = prediction.setting, prediction.noise, prediction.question.alpha
    budget = f", {s.steps:,} steps" if s.steps is not None else ""
    budget += f", {s.examples:,} examples" if s.examples is not None else ""
    if not budget and (score := prediction.question.scores.get(prediction.recommended.law)) and score.steps[0]:
        steps = " to ".join(f"{steps:,g}" for steps in dict.fromkeys(score.steps))
        budget = f", {steps} steps as recorded, unless you give yours"
    kind = f"{noise['kind']} label noise"
    if noise["kind"] != "uniform":
        degree = "" if noise["delta"] is None else f"degree {number(noise['delta'])}, "
        kind += f" ({degree}effective α = {number(noise['effective_alpha'])})"
    how = "" if prediction.question.noise.sources == ["alpha"] else f" ({alpha.how})"
    return (
        f"For α = {number_text(s.alpha, alpha.interval)}{how}, B = {s.batch_size:,}, {s.num_classes} classes, {kind}, "
        f"{s.optimizer}, {s.schedule} schedule{budget}."
    )


def _unlearnable(prediction: Prediction) -> str:
    """Which classes no amount of data teaches; the rest of the page does not know."""
    classes = prediction.noise["unlearnable"]
    who = f"Class{'es' * (len(classes) > 1)} {', '.join(map(str, classes))} cannot"
    if len(classes) == prediction.setting.num_classes:
        who = "No class can"
    return (
        f"{who} be learned: a false label is at least as likely as the true one, and no learning rate or batch size "
        "changes that."
    )


def _law(name: str, law: LawPrediction) -> str:
    said = [f"× {number_text(law.factor, law.factor_interval)}"] if law.factor is not None else []
    said += [f"rate {number_text(law.value, law.interval)}"] if law.value is not None else []
    covers = f" ({law.covers})" if law.covers else ""
    return f"- {name}, {law.formula}: {', '.join(said)}{covers}; {law.reason}."


def _number_of(kind: str, law: LawPrediction) -> str | None:
    """The factor or the rate of a law as a cell."""
    value, interval = (law.factor, law.factor_interval) if kind == "factor" else (law.value, law.interval)
    return None if value is None else number_text(value, interval)


def _costs(prediction: Prediction) -> Table:
    spans, labels, effective = prediction.intervals or {}, prediction.labels, prediction.effective_batch_size
    of_labels, of_effective = spans.get("labels", {}), spans.get("effective_batch_size", {})
    ratio, count = (number_text(effective[rule], of_effective.get(rule)) for rule in ("signal_to_noise", "clean_count"))
    restoring = number_text(prediction.restoring_batch_size, spans.get("restoring_batch_size"))
    rows = [
        ("effective batch by signal to noise, B/(1+α)²", ratio),
        ("effective batch by clean labels, B/(1+α)", count),
        ("batch that restores the signal, B(1+α)²", restoring),
    ]
    if prediction.clean_labels_factor is not None:
        factor = number_text(prediction.clean_labels_factor, spans.get("clean_labels_factor"))
        rows.append(("clean labels for equal accuracy, if noise limits it", f"× {factor}"))
    floor = of_labels.get("loss_floor")
    floor = f"{labels.loss_floor:.4g}" if floor is None else number_text(labels.loss_floor, floor)
    rows.append(("training loss below which wrong labels are memorised", f"{floor} nats"))
    rows.append(("wrong labels", percent(labels.noise_rate, of_labels.get("noise_rate"))))
    return Table("costs", "What the noise costs", ("", ""), rows)
