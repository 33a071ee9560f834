"""An advice -> a page: plain text for a terminal, HTML for a notebook, from the same words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from effbatch.advice.first_principles import steps_of
from effbatch.advice.labels_pay import MORE, RELABELLED, LabelsWorth
from effbatch.core.estimate import Estimate
from effbatch.core.formats import limits_text, wrapped
from effbatch.show import notebook

if TYPE_CHECKING:
    from effbatch.advice.answers import Advice
    from effbatch.advice.law_answers import Recommendation
    from effbatch.advice.prediction import Prediction

WIDTH = 100


@dataclass(frozen=True)
class _Section:
    """A heading, the rows of a table with their headings first, and sentences below."""

    title: str
    sentences: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = field(default_factory=tuple)


def as_text(advice: Advice, width: int = WIDTH) -> str:
    """The page as lines of at most so many columns, its snippet indented at the end, where no line is broken."""
    parts = [wrapped(_headline(advice), width)]
    for section in _sections(advice):
        lines = [wrapped(section.title, width), *_aligned(section.rows, width)]
        lines += [wrapped(s, width, indent="  ", hanging="    " if s[0] in "-*" else "  ") for s in section.sentences]
        parts.append("\n".join(lines))
    code = "\n".join(f"    {line}".rstrip() for line in advice.snippet.splitlines())
    return "\n\n".join([*parts, f"In PyTorch\n{code}"])


def as_html(advice: Advice) -> str:
    """The page as one <div> without scripts or styles."""
    parts = [notebook.heading(_headline(advice))]
    for section in _sections(advice):
        parts.append(notebook.title(section.title))
        if section.rows:
            parts.append(notebook.table(section.rows[0], section.rows[1:]))
        parts.append(notebook.sentences(section.sentences))
    return notebook.block(*parts, notebook.title("In PyTorch"), notebook.code(advice.snippet))


def _headline(advice: Advice) -> str:
    rate = _rate(advice.chosen.recommended)
    if advice.learning_rate is None:
        rate += ", times the rate best on clean labels at this batch size"
    return (
        f"Train {advice.network} on {advice.data} in batches of {advice.batch_size} with "
        f"{advice.chosen.setting.optimizer} at learning rate {rate}, {advice.steps:,} steps; accuracy to expect: "
        f"{_accuracy(advice.chosen)}."
    )


def _sections(advice: Advice) -> list[_Section]:
    return [_alpha(advice), _batch_sizes(advice), _labels(advice), _probe(advice), _limits(advice)]


def _alpha(advice: Advice) -> _Section:
    known = advice.alpha
    limits = "" if known.interval is None else f" ({limits_text(known.interval)})"
    sentences = [f"α = {_number(known.value)}{limits} noisy labels per clean one, {known.how}."]
    sentences += [
        f"{audit.checked:,} labels checked by hand, if about {audit.wrong:,} of them are wrong: α is "
        f"{limits_text(audit.alpha.interval or (None, None))} (95 %, exact)."
        for audit in advice.audits
    ]
    return _Section("Label noise", sentences)


def _batch_sizes(advice: Advice) -> _Section:
    rows = [("B", "steps", "learning rate", "accuracy")]
    for p in advice.predictions:
        star = "* " if p is advice.chosen else ""
        rows.append((f"{star}{p.setting.batch_size}", f"{steps_of(p.setting):,}", _rate(p.recommended), _accuracy(p)))
    chosen = advice.chosen.recommended
    sentences = [f"* {advice.why}."]
    if len(advice.as_good) > 1:
        sentences.append(f"Within one point of it: B = {', '.join(map(str, advice.as_good))}.")
    covers = f"its interval covers {chosen.covers}" if chosen.covers else "without an interval"
    sentences.append(f"Rate by {chosen.law}: {chosen.why}; {covers}.")
    expected = advice.chosen.accuracy
    if expected is not None and expected.value is not None:
        covers = (
            f"its interval covers n = {expected.initialisations} initialisations and α, not what the theory leaves out"
        )
        sentences.append(f"Accuracy: that {expected.how.removeprefix('accuracy ')}; {expected.reason or covers}.")
    return _Section("Batch sizes, each at its own rate", sentences, rows)


def _labels(advice: Advice) -> _Section:
    worth, alpha = advice.labels, advice.alpha.value
    more, cleaner = worth.more, worth.cleaner
    rows = [
        ("", "α", "steps", "d′ (exact, linear regime)", "accuracy"),
        (
            "twice the labels, of the same quality",
            _number(alpha),
            f"{more.steps:,}",
            _times(more.d_factor),
            _gain(more.gain),
        ),
        (
            f"{100 * RELABELLED:g} % of the labels relabelled",
            _number(cleaner.alpha),
            f"{cleaner.steps:,}",
            _times(cleaner.d_factor),
            _gain(cleaner.gain),
        ),
    ]
    equal = (
        f"relabelling {100 * worth.equal_share:.3g} % of them at random gains d′ as much as {MORE} times the labels do"
        if worth.equal_share is not None
        else f"{MORE} times the labels gain d′ more than relabelling all of them does"
    )
    e = worth.elasticities
    return _Section(
        "More labels, or cleaner ones?",
        (
            f"{_better(worth)}; {equal} (exact in the linear regime, at α = {_number(alpha)}).",
            f"1 % more clean labels alone raise d′ by {e.clean:.3g} %, 1 % more noisy ones alone lower it by "
            f"{abs(e.noisy):.3g} %.",
        ),
        rows,
    )


def _better(worth: LabelsWorth) -> str:
    """Which of the two pays more, by accuracy where the theory tells them apart, else by d′."""
    more, cleaner = worth.more, worth.cleaner
    if more.gain.interval is None or cleaner.gain.interval is None:
        return f"By d′ {'cleaner' if cleaner.d_factor > more.d_factor else 'more'} labels pay more"
    (a, b), (c, d) = more.gain.interval, cleaner.gain.interval
    if a is not None and d is not None and a > d:
        return "More labels pay more"
    if b is not None and c is not None and c > b:
        return "Cleaner labels pay more"
    return "The initialisations do not tell which pays more"


def _probe(advice: Advice) -> _Section:
    without, with_probe = advice.probe.without, advice.probe.with_probe
    done = "It costs about two full runs: ask for a probe."
    if advice.probe.done:
        done = "It was run for this answer."
    elif advice.chosen.setting.optimizer != "sgd":
        done = "It is made for plain SGD, so not for this."
    return _Section(
        "What a short probe adds",
        (
            f"Recorded errors of the rate, in powers of two: {without.median_error_log2:g} without (90 %: "
            f"{without.quantile90_log2:g}; n = {without.n} cells), {with_probe.median_error_log2:g} with it (90 %: "
            f"{with_probe.quantile90_log2:g}; n = {with_probe.n}). {done}",
        ),
    )


def _limits(advice: Advice) -> _Section:
    labels = f"{advice.steps * advice.batch_size:,} labels"
    uses = f"{labels} would be used, {advice.passes:.3g} per training image of {advice.data}."
    return _Section("Where this may not hold", [uses, *(f"- {limit}." for limit in advice.limits)])


def _rate(chosen: Recommendation) -> str:
    if chosen.value is None:
        return f"× {_number(chosen.factor)}" + (
            f" ({limits_text(chosen.factor_interval)})" if chosen.factor_interval else ""
        )
    return f"{_number(chosen.value)} ({'no interval' if chosen.interval is None else limits_text(chosen.interval)})"


def _accuracy(prediction: Prediction) -> str:
    accuracy = prediction.accuracy
    if accuracy is None or accuracy.value is None:
        return "cannot tell" if accuracy is None else f"cannot tell, {accuracy.reason}"
    if accuracy.interval is None:
        return f"{100 * accuracy.value:.3g} % (no interval)"
    low, high = (100 * limit if limit is not None else 0.0 for limit in accuracy.interval)
    return f"{100 * accuracy.value:.3g} % ({low:.3g} to {high:.3g})"


def _gain(gain: Estimate) -> str:
    if gain.value is None:
        return "cannot tell"
    interval = ""
    if gain.interval is not None:
        low, high = (100 * limit if limit is not None else 0.0 for limit in gain.interval)
        interval = f" ({low:+.2g} to {high:+.2g}, n = {gain.n})"
    return f"{100 * gain.value:+.2g} points{interval}"


def _times(factor: float) -> str:
    return f"× {factor:.3g}"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.3g}"


def _aligned(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """The first column flush right, the others flush left; where that is too wide, one wrapped line per row."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    lines = [
        (
            "  " + "  ".join([row[0].rjust(widths[0]), *(c.ljust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        ).rstrip()
        for row in rows
    ]
    if max(map(len, lines), default=0) <= width:
        return lines
    headings, *body = rows
    told = [", ".join(_told(h, cell) for h, cell in zip(headings, row, strict=True)) for row in body]
    return [wrapped(line, width, indent="  ", hanging="      ") for line in told]


def _told(heading: str, cell: str) -> str:
    """A cell with its heading in one line, a star before both."""
    star = "* " * cell.startswith("* ")
    return f"{star}{heading} {cell.removeprefix('* ')}".strip()
