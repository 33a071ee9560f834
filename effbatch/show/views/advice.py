"""What advise answers -> its page."""

from __future__ import annotations

from collections.abc import Sequence

from effbatch.advice.answers import BY, Advice, Answer
from effbatch.advice.labels_pay import MORE, RELABELLED, LabelsWorth
from effbatch.core.estimate import Estimate
from effbatch.core.figures import Table
from effbatch.core.formats import estimate_text
from effbatch.core.pages import Code, Heading, Note, Page, Part, page
from effbatch.plan.practice import Departure
from effbatch.show.terminal import SCREEN, as_text
from effbatch.show.views import (
    advice_figures,  # noqa: F401 (registers their figures)
    prediction_pages,  # noqa: F401 (and the pages of predict, whose answers are of the same folder)
)
from effbatch.show.views.numbers import number, number_text, percent

ROWS = 5  # batch sizes on a screen
FAR = 2  # times the nearest published rate, from which the answer says so


@page.register
def advice_page(advice: Advice, *, everything: bool = False) -> Page:
    """The rate with its interval and plateau, the accuracy, what labels pay, the cost, what would change it, and code.

    everything  also α, further batch sizes, every stage of runs, where it may not hold, and the whole training loop;
                else what fits on a screen, the least important left out
    """
    if advice.pay is None:
        return _unadvised(advice)
    said: list[Part] = [*_rates(advice), *_accuracies(advice), *_pays(advice), _cost(advice)]
    if everything:
        limits: list[Part] = [Heading("Where this may not hold"), *(f"- {limit}." for limit in advice.limits)]
        practice = [f"Common practice: {_practice(advice.practice)}."] if advice.practice else []
        parts = [
            *said,
            *practice,
            *_all_batch_sizes(advice),
            *_labels(advice, advice.pay),
            *_stages(advice),
            *(limits if advice.limits else []),
        ]
        return Page(_title(advice), [*parts, Heading("In PyTorch"), Code(advice.snippet)])
    changes: list[Part] = [f"- {change}." for change in _changes(advice)]
    code: list[Part] = [
        Heading("In PyTorch (whole loop, all runs, limits: --all)"),
        Code(_lines_to_change(advice.snippet)),
    ]
    read: list[Part] = [Note(f"{advice.data.name}: {advice.data.read_as}.")]
    rows = ROWS
    while True:
        heading = [Heading("What would change this")] if changes else []
        made = Page(_title(advice), [*said, *read, *_batch_sizes(advice, rows), *heading, *changes, *code])
        if as_text(made).count("\n") < SCREEN or not (changes or rows > 2 or read):
            return made
        if changes:
            changes = changes[:-1]
        elif rows > 2:
            rows -= 1
        else:
            read = []


def _unadvised(advice: Advice) -> Page:
    """Why no α is known, and what to do."""
    low = (advice.alpha.interval or (None,))[0]
    said = [f"α is at least {number(low)}."] if low is not None else []
    todo = [f"{limit[0].upper()}{limit[1:]}." for limit in advice.limits]
    read = Note(f"{advice.data.name}: {advice.data.read_as}.")
    title = f"? The learning rate cannot be told: {advice.chosen.learning_rate.reason}."
    return Page(title, [*said, *todo, "Cost: nothing was trained.", read])


def _title(advice: Advice) -> str:
    """Rate, network and data, recipe, and which labels."""
    recipe, labels, alpha = advice.recipe, advice.labels, advice.alpha
    rate = f"Use learning rate {_rate(advice.chosen)}"
    if advice.learning_rate is None:
        unknown = advice.chosen.factor is None
        rate = f"Learning rate: {_rate(advice.chosen)}: {advice.chosen.learning_rate.reason}"
        rate = rate if unknown else f"Use {_rate(advice.chosen)} at this batch size"
    are = "noisy labels as they are"
    if labels.are == "clean":
        are = f"clean labels, {labels.noise.get('kind', 'uniform')} noise of α = {number(alpha.value)} simulated on top"
        are = are if alpha.value else "clean labels"
    told = f"{rate}; here {are}" if advice.learning_rate is None else f"{rate}, {are}"
    return (
        f"{told}: {advice.network} on {advice.data.name}, {recipe.words}, batches of {advice.batch_size:,}, "
        f"{advice.steps:,} steps."
    )


def _rates(advice: Advice) -> list[Part]:
    """The plateau, the end that is better, and what a rate of the user's own costs."""
    chosen = advice.chosen
    said: list[Part] = []
    if chosen.plateau is not None:
        low, high = map(number, chosen.plateau)
        said.append(f"On average a rate between {low} and {high} costs about one point at most.")
    elif chosen.probe is None:
        said.append(f"Nothing was trained; rate by {chosen.law}: {chosen.why}.")
    if chosen.stop_at is not None:
        said.append(f"Stop at step {chosen.stop_at:,}: from there on the accuracy falls, by more than the noise.")
    if advice.yours is not None:
        said.append(_yours(advice, *advice.yours))
    return said


def _yours(advice: Advice, rate: float, lost: Estimate) -> str:
    """What a rate of the user's own lost, and in which runs."""
    stage = advice.chosen.stage_with(rate)
    if lost.value is None or stage is None or advice.chosen.probe is None:
        return f"Your rate {number(rate)}: {lost.reason}."
    on = " on the noisy labels" if (advice.labels.are, advice.labels.scored) == ("noisy", "as given") else ""
    word, of_accuracy = ("gained", lost.times(-100)) if lost.value < 0 else ("lost", lost.times(100))
    points = f"{word} {estimate_text(of_accuracy, 'points', n=False, difference=True)}{on} (n = {len(stage.seeds)} seed"
    points += "s)" if len(stage.seeds) > 1 else ")"
    if advice.learning_rate is not None and (beside := stage.nearest(advice.learning_rate)) != advice.learning_rate:
        points += f" beside {number(beside)}"
    if stage.steps >= advice.steps or advice.chosen.probe.kind == "whole":
        return f"Your rate {number(rate)}: it {points}."
    only = len(advice.chosen.probe.stages) > 1 and stage is advice.chosen.probe.stages[0]
    where = (
        f"only the first runs, {stage.steps:,} steps, tried it and" if only else f"in runs of {stage.steps:,} steps it"
    )
    return f"Your rate {number(rate)}: {where} {points}; what it costs after all {advice.steps:,} steps is not known."


def _accuracies(advice: Advice) -> list[Part]:
    chosen, labels = advice.chosen, advice.labels
    of = " of the labels as given" if labels.are == "noisy" else ""
    majority = f"always the commonest class: {percent(labels.majority, None)}{of}"
    if chosen.accuracy.value is None:
        return [f"Accuracy: cannot tell, {chosen.accuracy.reason}."]
    text = f"Accuracy to expect on {chosen.of}: {_percents(chosen.accuracy)}"
    if chosen.as_scored is not None:
        text += f" ({_percents(chosen.as_scored)} on the noisy ones)"
    if chosen.probe is None and chosen.accuracy.n:
        text += f", n = {chosen.accuracy.n} initialisation{'s' * (chosen.accuracy.n > 1)}"
    return [f"{text}; {majority}."]


def _pays(advice: Advice) -> list[Part]:
    """What twice the labels, and a tenth relabelled, would add."""
    worth = advice.pay
    if worth is None or worth.more.gain.value is None:
        return []
    more, cleaner = (_points(change.gain) for change in (worth.more, worth.cleaner))
    said = f"Twice the labels would add {more}"
    if advice.alpha.value:
        said += f", relabelling {100 * RELABELLED:g} % of them {cleaner}"
    pace = (
        "in the linear regime" if advice.chosen.probe is None else f"at the pace of the {advice.chosen.probe.kind} runs"
    )
    return [f"{said}, {pace}."]


def _cost(advice: Advice) -> str:
    """What was spent in all; runs, seeds and labels behind the rate and the accuracy of the chosen batch size."""
    if (runs := advice.chosen.runs) is None or (probe := advice.chosen.probe) is None:
        return "Cost: nothing was trained."
    seeds = f"{runs.seeds} seed{'s' * (runs.seeds > 1)}"
    by = "checked" if advice.labels.scored == "checked" else "held-out"
    labels = f", {runs.labels:,} {by} labels" if runs.labels else ""
    said = f"n = {runs.runs:,} {'whole ' * (probe.kind == 'whole')}runs (last stage: {seeds}){labels}"
    return f"Cost: {advice.cost.full_runs:.2g} full runs, {advice.cost.seconds:.0f} s; {said}."


def _changes(advice: Advice) -> list[str]:
    """What would move the answer, the most important first; each a sentence without its point."""
    changes = list(advice.limits[:1])
    rated = [a for a in advice.others if a.learning_rate.value is not None]
    if rated:
        larger = min(rated, key=lambda a: (a.batch_size < advice.batch_size, a.batch_size))
        changes.append(f"batches of {larger.batch_size:,}: rate {_rate(larger)}, carried by the law {larger.law}")
    if advice.labels.audits:
        audit = advice.labels.audits[0]
        low, high = audit.alpha.low, audit.alpha.high
        about = f"from {number(low)} to {number(high)}" if high is not None else f"to at least {number(low)}"
        known = f" {about}" * (advice.chosen.of == "clean labels")  # else α is assumed, and so would these limits be
        changes.append(f"{audit.checked:,} labels checked by hand would tell α{known}")
    practice = advice.practice
    if practice is not None and not 1 / FAR <= practice.factor <= FAR:
        changes.insert(1, _practice(practice))
    return changes + list(advice.limits[1:2])


def _practice(practice: Departure) -> str:
    """How far the rate is from those in use, and whose are nearest."""
    if not practice.nearest:
        return "the rate lies between those of published recipes for noisy labels"
    limit = f"at {'most' if practice.factor > 1 else 'least'} {number(practice.nearest[0].learning_rate)}"
    names = ", ".join(one.name for one in practice.nearest)
    told = f"published recipes for noisy labels use rates of {limit} ({names}), whatever the noise"
    return f"{told}; this one is {number(practice.factor)} times as high" if practice.factor != 1 else told


def _lines_to_change(snippet: str) -> str:
    """The lines of a training loop that ask for a rate, and that make optimiser and schedule."""
    lines = snippet.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(("learning_rate", "optimizer")))
    end = next(i for i, line in enumerate(lines) if line.startswith("for x, y"))
    return "\n".join(lines[start:end])


def _batch_sizes(advice: Advice, most: int) -> list[Part]:
    """A row for each batch size asked for, of so many at most: the best ones, and nothing for one alone."""
    best = sorted(advice.answers, key=lambda a: (a is not advice.chosen, -(a.accuracy.value or 0)))
    return [_table(advice, best[:most])] if len(best) > 1 else []


def _all_batch_sizes(advice: Advice) -> list[Part]:
    """A row for each batch size, also those that the law carries the rate to, why each, and why one was chosen."""
    answers = sorted([*advice.answers, *advice.others], key=lambda a: a.batch_size)
    good = f" Within one point of it: B = {', '.join(map(str, advice.as_good))}." if len(advice.as_good) > 1 else ""
    sizes: dict[str, list[str]] = {}
    for answer in answers:
        sizes.setdefault(answer.why, []).append(str(answer.batch_size))
    reasons = (f"- B = {', '.join(which)}: {why}." for why, which in sizes.items())
    return [_table(advice, answers), f"* {advice.why}.{good}", *reasons]


def _table(advice: Advice, answers: Sequence[Answer]) -> Table:
    rows = [
        (
            f"{'* ' if a is advice.chosen else ''}{a.batch_size}",
            f"{a.steps:,}",
            _rate(a),
            "carried by the law" if a.carried else _percents(a.accuracy),
        )
        for a in sorted(answers, key=lambda a: a.batch_size)
    ]
    columns = ("B", "steps", "learning rate", f"accuracy, {advice.chosen.of}")
    return Table("batch_sizes", "Batch sizes, each at its own rate", columns, rows)


def _labels(advice: Advice, worth: LabelsWorth) -> list[Part]:
    """α and what larger audits would say, and what labels pay in d′."""
    known = advice.alpha
    read = f"{advice.data.name}: {advice.data.read_as}."
    changes = {
        "twice as many, as noisy": worth.more,
        f"as many, {100 * RELABELLED:g} % relabelled": worth.cleaner,
    }
    rows = [
        (
            name,
            number(change.alpha),
            f"{change.steps:,}",
            f"× {change.d_factor:.3g}",
            "cannot tell" if change.gain.value is None else _points(change.gain),
        )
        for name, change in changes.items()
    ]
    equal = (
        f"relabelling a random {100 * worth.equal_share:.3g} % of them raises d′ as much as {MORE} times the labels do"
        if worth.equal_share is not None
        else f"{MORE} times the labels raise d′ more than relabelling all of them does"
    )
    e = worth.elasticities
    columns = ("labels", "α", "steps", "d′ × (linear)", "accuracy gained")
    return [
        Heading("Labels"),
        read,
        f"d′ says how far the true class stands out; here it grows as labels^{number(worth.growth.value)}.",
        f"α = {number_text(known.value, known.interval)} noisy labels per clean one, {known.how}; "
        f"{'simulated on top of clean ones' if advice.labels.are == 'clean' else 'this much is in them'}.",
        *(
            f"{audit.checked:,} labels checked by hand, if about {audit.wrong:,} of them are wrong: α is "
            f"{estimate_text(audit.alpha, n=False)} (95 %, exact)."
            for audit in advice.labels.audits
        ),
        Table("labels", "More labels, or cleaner ones?", columns, rows),
        f"{equal[0].upper()}{equal[1:]} (in the linear regime, at α = {number(known.value)}).",
        f"1 % more clean labels alone raise d′ by {e.clean:.3g} %, 1 % more noisy ones alone lower it by "
        f"{abs(e.noisy):.3g} %.",
    ]


def _stages(advice: Advice) -> list[Part]:
    """Mean score of every rate in every stage of runs at the chosen batch size."""
    if advice.chosen.probe is None:
        return []
    rows = [
        (f"{stage.steps:,}", number(rate), len(stage.seeds), f"{100 * scores.mean():.3g}")
        for stage in advice.chosen.probe.stages
        for rate, scores in zip(stage.learning_rates, stage.accuracy, strict=True)
    ]
    title = f"{advice.chosen.probe.kind.capitalize()} real runs: accuracy on {BY[advice.labels.scored]}"
    return [Table("stages", title, ("steps", "learning rate", "seeds", "accuracy, %"), rows)]


def _rate(answer: Answer) -> str:
    """The rate, or the factor where only that is known, each with its interval or without one."""
    if answer.learning_rate.value is None and answer.factor is not None and answer.factor.value is not None:
        return f"{number_text(answer.factor.value, answer.factor.interval)} times the rate best on clean labels"
    return estimate_text(answer.learning_rate, n=False)


def _points(gain: Estimate) -> str:
    return estimate_text(gain.times(100), "points", n=False, difference=True)


def _percents(accuracy: Estimate) -> str:
    return "cannot tell" if accuracy.value is None else estimate_text(accuracy.times(100), "%", n=False)
