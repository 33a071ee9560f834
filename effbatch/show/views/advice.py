"""What predict and advise answer -> their pages."""

from __future__ import annotations

from collections.abc import Sequence

from effbatch.advice.answers import Advice, steps_of
from effbatch.advice.handed_on import Unanswered
from effbatch.advice.labels_pay import MORE, RELABELLED, LabelsWorth
from effbatch.advice.law_answers import LawPrediction
from effbatch.advice.prediction import Prediction
from effbatch.advice.recommendation import Recommendation
from effbatch.advice.untrained import HOW
from effbatch.core.estimate import Estimate, Interval
from effbatch.core.figures import Table
from effbatch.core.formats import estimate_text, value_text
from effbatch.core.pages import Code, Heading, Note, Page, Part, page
from effbatch.show.views import advice_figures  # noqa: F401 (registers their figures)


@page.register
def prediction_page(prediction: Prediction, *, everything: bool = False) -> Page:
    """The recommended rate and why, the laws that apply, and what the noise costs.

    everything  also when each law holds, and the laws that do not apply
    """
    chosen, said = prediction.recommended, prediction.learning_rate
    parts: list[Part] = [f"Law {chosen.law}: {chosen.why}.", Note(_situation(prediction))]
    if prediction.noise["unlearnable"]:
        parts.append(_unlearnable(prediction))
    applying = sorted((name for name in said if said[name].applies), key=lambda name: (name != chosen.law, name))
    if everything:
        parts.append(Heading("Learning rate by law, exact given the law"))
        parts += [_law(name, said[name]) for name in applying]
        parts.append(Heading("Laws that do not apply here"))
        parts += [f"- {name}: {said[name].reason}." for name in sorted(said) if not said[name].applies]
    else:
        kind = "factor" if chosen.value is None else "rate"
        cells = {name: _number_of(kind, said[name]) for name in applying}
        rows = [(name, cell) for name, cell in cells.items() if cell is not None]
        parts.append(Table("laws", "Learning rate by law (when each holds: --all)", ("law", kind), rows))
    parts += _costs(prediction)
    if everything:
        effective = "The laws are for uniform noise, and take the effective α: that of the signal left. "
        parts.append(
            Note(
                f"{effective if prediction.noise['reason'] else ''}B/(1+α)² and B(1+α)² hold exactly where the network "
                "still answers 1/K for every class and its noise scale is large; loss floor and wrong labels are "
                "exact. Measured values show their sample size; `effbatch validate` measures more."
            )
        )
    return Page(_headline(prediction), parts)


@page.register
def unanswered_page(unknown: Unanswered) -> Page:
    """Why no rate can be told, and what is known of α."""
    at_least = "" if unknown.alpha.low is None else f" α is at least {_number(unknown.alpha.low)}."
    return Page(
        f"? The learning rate cannot be told: {unknown.reason}.",
        [f"Check more labels, or give α yourself.{at_least}", Note(f"For {unknown.num_classes} classes.")],
    )


def predictions_page(predictions: Sequence[Prediction]) -> Page:
    """Several of them as one table of what the recommended laws say."""
    first = predictions[0].recommended
    anchored = first.value is not None
    what = "Learning rate" if anchored else "Factor on the rate tuned with clean labels at the same batch size"
    columns = ("α", "B", "factor", *(["rate"] if anchored else []), "B/(1+α)²", "loss floor")
    rows = [
        (
            _number(p.setting.alpha),
            p.setting.batch_size,
            _number(p.recommended.factor),
            *([_number(p.recommended.value)] if anchored else []),
            _number(p.effective_batch_size["signal_to_noise"]),
            f"{p.labels.loss_floor:.4g}",
        )
        for p in predictions
    ]
    note = (
        "B/(1+α)² is the effective batch size by signal-to-noise ratio; the loss floor is exact, in nat; factors are "
        "exact given the law. Ask for one pair to see every law."
    )
    why = f"{first.why[0].upper()}{first.why[1:]}."
    return Page(f"{what}, by {first.law}.", [why, Table("predictions", "", columns, rows), Note(note)])


@page.register
def advice_page(advice: Advice) -> Page:
    """What to train with, then α, every batch size, which labels pay, what a probe adds, limits and a training loop."""
    rate = _rate(advice.chosen.recommended)
    if advice.learning_rate is None:
        rate += ", times the rate best on clean labels at this batch size"
    title = (
        f"Train {advice.network} on {advice.data.name} in batches of {advice.batch_size} with "
        f"{advice.chosen.setting.optimizer} at learning rate {rate}, {advice.steps:,} steps; accuracy to expect: "
        f"{_accuracy(advice.chosen)}."
    )
    read = f"{advice.data.name}: {advice.data.read_as}."
    parts = [read, *_alpha(advice), *_batch_sizes(advice), *_labels(advice), *_probe(advice), *_limits(advice)]
    return Page(title, [*parts, Heading("In PyTorch"), Code(advice.snippet)])


def _headline(prediction: Prediction) -> str:
    chosen, anchor = prediction.recommended, prediction.anchor
    clean = "best on clean labels at this batch size"
    if chosen.value is None:
        if chosen.factor == 1:
            return f"Keep the learning rate {clean}."
        return f"Multiply the learning rate {clean} by {_text(chosen.factor, chosen.factor_interval)}."
    rate = f"Use learning rate {_text(chosen.value, chosen.interval)}"
    if chosen.factor is None or anchor is None:
        return f"{rate}."
    return (
        f"{rate}: {_number(chosen.factor)} times the anchor's {_number(anchor.learning_rate)} at batch size "
        f"{anchor.batch_size:,}, α = {_number(anchor.alpha)}."
    )


def _situation(prediction: Prediction) -> str:
    s, noise, alpha = prediction.setting, prediction.noise, prediction.question.alpha
    budget = f", {s.steps:,} steps" if s.steps is not None else ""
    budget += f", {s.examples:,} examples" if s.examples is not None else ""
    kind = f"{noise['kind']} label noise"
    if noise["kind"] != "uniform":
        degree = "" if noise["delta"] is None else f"δ = {_number(noise['delta'])}, "
        kind += f" ({degree}effective α = {_number(noise['effective_alpha'])})"
    how = "" if prediction.question.noise.sources == ["alpha"] else f" ({alpha.how})"
    return (
        f"For α = {_text(s.alpha, alpha.interval)}{how}, B = {s.batch_size:,}, {s.num_classes} classes, {kind}, "
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
    said = [f"× {_text(law.factor, law.factor_interval)}"] if law.factor is not None else []
    said += [f"rate {_text(law.value, law.interval)}"] if law.value is not None else []
    covers = f" ({law.covers})" if law.covers else ""
    return f"- {name}, {law.formula}: {', '.join(said)}{covers}; {law.reason}."


def _number_of(kind: str, law: LawPrediction) -> str | None:
    """The factor or the rate of a law as a cell."""
    value, interval = (law.factor, law.factor_interval) if kind == "factor" else (law.value, law.interval)
    return None if value is None else _text(value, interval)


def _costs(prediction: Prediction) -> list[Part]:
    spans, labels, effective = prediction.intervals or {}, prediction.labels, prediction.effective_batch_size
    of_labels, of_effective = spans.get("labels", {}), spans.get("effective_batch_size", {})
    ratio, count = (_text(effective[rule], of_effective.get(rule)) for rule in ("signal_to_noise", "clean_count"))
    restoring = _text(prediction.restoring_batch_size, spans.get("restoring_batch_size"))
    parts: list[Part] = [
        Heading("What the noise costs"),
        f"- Effective batch: {ratio} by signal to noise, B/(1+α)²; {count} by B/(1+α).",
        f"- Restoring batch, B(1+α)²: {restoring} labels.",
    ]
    if prediction.clean_labels_factor is not None:
        factor = _text(prediction.clean_labels_factor, spans.get("clean_labels_factor"))
        parts.append(f"- Clean labels for equal accuracy: {factor} times as many, if noise limits it.")
    floor = of_labels.get("loss_floor")
    floor = f"{labels.loss_floor:.4g}" if floor is None else _text(labels.loss_floor, floor)
    return [
        *parts,
        f"- Loss floor: {floor} nat; a training loss below it is memorising wrong labels.",
        f"- Wrong labels: {_percent(labels.noise_rate, of_labels.get('noise_rate'))}.",
    ]


def _alpha(advice: Advice) -> list[Part]:
    known = advice.alpha
    of = "noise of that is computed on top of clean labels" if advice.labels_are == "clean" else "this much is in them"
    return [
        Heading("Label noise"),
        f"α = {_text(known.value, known.interval)} noisy labels per clean one, {known.how}; {of}.",
        *(
            f"{audit.checked:,} labels checked by hand, if about {audit.wrong:,} of them are wrong: α is "
            f"{estimate_text(audit.alpha, n=False)} (95 %, exact)."
            for audit in advice.audits
        ),
    ]


def _batch_sizes(advice: Advice) -> list[Part]:
    rows = [
        (
            f"{'* ' if p is advice.chosen else ''}{p.setting.batch_size}",
            f"{steps_of(p):,}",
            _rate(p.recommended),
            _accuracy(p),
        )
        for p in advice.predictions
    ]
    chosen, expected = advice.chosen.recommended, advice.chosen.accuracy
    title = "Batch sizes, each at its own rate"
    parts: list[Part] = [
        Table("batch_sizes", title, ("B", "steps", "learning rate", "accuracy"), rows),
        f"* {advice.why}.",
    ]
    if len(advice.as_good) > 1:
        parts.append(f"Within one point of it: B = {', '.join(map(str, advice.as_good))}.")
    covers = f"its interval covers {chosen.covers}" if chosen.covers else "without an interval"
    parts.append(f"Rate by {chosen.law}: {chosen.why}; {covers}.")
    if expected is not None and expected.value is not None:
        covers = f"its interval covers n = {expected.n} initialisations and α, not what the theory leaves out"
        parts.append(f"Accuracy: that {HOW.removeprefix('accuracy ')}; {expected.reason or covers}.")
    return parts


def _labels(advice: Advice) -> list[Part]:
    worth, alpha = advice.labels, _number(advice.alpha.value)
    changes = {
        "twice the labels, of the same quality": worth.more,
        f"{100 * RELABELLED:g} % of the labels relabelled": worth.cleaner,
    }
    rows = [
        (
            name,
            _number(change.alpha),
            f"{change.steps:,}",
            f"× {change.d_factor:.3g}",
            "cannot tell" if change.gain.value is None else estimate_text(change.gain.times(100), "points"),
        )
        for name, change in changes.items()
    ]
    equal = (
        f"relabelling {100 * worth.equal_share:.3g} % of them at random gains d′ as much as {MORE} times the labels do"
        if worth.equal_share is not None
        else f"{MORE} times the labels gain d′ more than relabelling all of them does"
    )
    e = worth.elasticities
    columns = ("", "α", "steps", "d′ (exact, linear regime)", "accuracy")
    return [
        Table("labels", "More labels, or cleaner ones?", columns, rows),
        f"{_better(worth)}; {equal} (exact in the linear regime, at α = {alpha}).",
        f"1 % more clean labels alone raise d′ by {e.clean:.3g} %, 1 % more noisy ones alone lower it by "
        f"{abs(e.noisy):.3g} %.",
    ]


def _better(worth: LabelsWorth) -> str:
    """Which of the two pays more, by accuracy where the theory tells them apart, else by d′."""
    more, cleaner = worth.more, worth.cleaner
    if more.gain.interval is None or cleaner.gain.interval is None:
        return f"By d′ {'cleaner' if cleaner.d_factor > more.d_factor else 'more'} labels pay more"
    if cleaner.gain.high is not None and more.gain.above(cleaner.gain.high):
        return "More labels pay more"
    if more.gain.high is not None and cleaner.gain.above(more.gain.high):
        return "Cleaner labels pay more"
    return "The initialisations do not tell which pays more"


def _probe(advice: Advice) -> list[Part]:
    without, with_probe = advice.probe.without, advice.probe.with_probe
    done = "It costs about two full runs: ask for a probe."
    if advice.probe.done:
        done = "It was run for this answer."
    elif not advice.chosen.question.plain or advice.chosen.setting.optimizer != "sgd":
        done = "It is made for plain SGD on uniform noise, so not for this."
    return [
        Heading("What a probe adds: short real runs"),
        f"Recorded errors of the rate, in powers of two: {without.median_error_log2:g} without (90 %: "
        f"{without.quantile90_log2:g}; n = {without.n} cells), {with_probe.median_error_log2:g} with it (90 %: "
        f"{with_probe.quantile90_log2:g}; n = {with_probe.n}). {done}",
    ]


def _limits(advice: Advice) -> list[Part]:
    labels = f"{advice.steps * advice.batch_size:,} labels"
    uses = f"{labels} would be used, {advice.passes:.3g} per training image of {advice.data.name}."
    return [Heading("Where this may not hold"), uses, *(f"- {limit}." for limit in advice.limits)]


def _rate(chosen: Recommendation) -> str:
    """The rate, or the factor where only that is known, each with its interval or without one."""
    if chosen.value is None:
        return f"× {_text(chosen.factor, chosen.factor_interval)}"
    return estimate_text(_estimate(chosen.value, chosen.interval))


def _accuracy(prediction: Prediction) -> str:
    accuracy = prediction.accuracy
    if accuracy is None or accuracy.value is None:
        return "cannot tell" if accuracy is None else f"cannot tell, {accuracy.reason}"
    return estimate_text(accuracy.times(100), "%", n=False)


def _percent(value: float, interval: Interval | None) -> str:
    return f"{100 * value:.3g} %" if interval is None else estimate_text(_estimate(value, interval).times(100), "%")


def _text(value: float | None, interval: Interval | None) -> str:
    """A number with its interval; alone where it is exact given α and the law."""
    return _number(value) if interval is None else estimate_text(_estimate(value, interval))


def _number(value: float | None) -> str:
    """Three digits without trailing zeros, whole from 1,000 on."""
    return f"{value:.3g}" if value is not None and 1e-4 <= abs(value) < 1000 else value_text(value)


def _estimate(value: float | None, interval: Interval | None) -> Estimate:
    low, high = interval or (None, None)
    return Estimate(value, low, high)
