"""What a checked sample or confusion counts say of labels -> their pages."""

from __future__ import annotations

import numpy as np

from effbatch.audit import Bound, CountsEstimate, Learnability, NoiseEstimate, Relabelled, StatedRate
from effbatch.core.estimate import Estimate
from effbatch.core.figures import Table
from effbatch.core.formats import estimate_text, p_text, shortened, value_text
from effbatch.core.pages import Note, Page, Part, page

RARE = 3  # times rarer than classes of equal size
_MOST_CLASSES = 5  # in a table, to stay on one screen
_SIGNS = {Learnability.LEARNABLE: "", Learnability.UNLEARNABLE: "✗", Learnability.CANNOT_TELL: "?"}
_MEANING = {"✗": "cannot be learned", "?": "cannot tell"}

BY_CHANCE = "noisy labels per clean label (a noisy label can be right by chance)"
NEXT = "Next: append `--json | effbatch predict --from-estimate - --batch 128`."  # all that fits above a table
EITHER = f"{NEXT[:-1]}, or `--json | effbatch advise NETWORK DATA --from-estimate - --epochs E`."


@page.register
def sample_page(found: NoiseEstimate) -> Page:
    """α, the share of wrong labels, and what both rest on."""
    return _sample(found, EITHER)


def _sample(found: NoiseEstimate, next_step: str) -> Page:
    said = [_wrong_labels(found), _basis(found)]
    if found.alpha.value is None:
        at_least = "" if found.alpha.low is None else f" It is at least {value_text(found.alpha.low)}."
        return Page(f"? α cannot be told: {found.alpha.reason}.{at_least}", said)
    said += [f"α: {found.alpha.reason}."] if found.alpha.reason else []
    return Page(f"α = {estimate_text(found.alpha, n=False)} {BY_CHANCE}, if noise is uniform.", [*said, next_step])


@page.register
def stated_page(found: StatedRate) -> Page:
    """α of a stated rate, in both of its readings."""
    rate = f"{100 * found.noise_rate.floats[0]:.3g} %"
    return Page(
        f"α = {value_text(found.alpha.value)} {BY_CHANCE}, if noise is uniform and {rate} of labels are wrong.",
        [
            f"If {rate} of labels were redrawn over all {found.num_classes:,} classes instead, some came out right: "
            f"α = {value_text(found.alpha_if_redrawn)}."
        ],
    )


@page.register
def counts_page(found: CountsEstimate) -> Page:
    """α where noise is uniform, else the matrix, class by class; then what signal is left."""
    sample, test = found.sample, found.uniform
    tested = f"(G = {test.statistic:.4g}, p = {p_text(test.p_value)} by resampling)"
    if test.fits:
        first = _sample(sample, NEXT)
        title, said = first.title, [*first.parts, f"Uniform noise fits the counts {tested}."]
    else:
        title = f"{_wrong_labels(sample)[:-1]}, and not uniformly: use the matrix of the classes below, not one α."
        alpha = estimate_text(sample.alpha, n=False)
        reason = f" α: {sample.alpha.reason}." if sample.alpha.reason else ""
        said = [
            _basis(sample),
            f"Uniform noise does not fit the counts {tested}. α = {alpha} {BY_CHANCE} is only an average.{reason}",
            NEXT,
        ]
    said += _rare(found)
    signals = f"{_signal('root mean square', found.rms_signal)}; {_signal('least', found.least_signal)}"
    said.append(f"Signal of the labels: {signals}.")
    return Page(title, [*said, *_classes(found)])


def _rare(found: CountsEstimate) -> list[str]:
    """What the share of wrong labels hides, where a class is three times rarer than classes of equal size."""
    K, n = len(found.shares), found.checked_per_class
    rare, common = (int(at) for at in (np.where(n > 0, found.shares, 2).argmin(), found.shares.argmax()))
    if RARE * K * found.shares[rare] >= 1:
        return []
    right = Estimate(*(float(x[rare, rare]) for x in (found.transition, found.low, found.high)), level=found.confidence)
    alike = found.balanced_noise_rate
    return [
        f"Class {found.name(rare)} is {100 * found.shares[rare]:.2g} % of the data, and always answering "
        f"{found.name(common)} is right for {100 * found.shares[common]:.3g} %. Of the labels of {found.name(rare)} "
        f"{estimate_text(right.times(100), '%', n=False)} are right (n = {n[rare]:,})"
        + ("." if alike is None else f"; with every class counted alike, {100 * alike:.3g} % of labels are wrong.")
    ]


def relabelled_text(after: Relabelled) -> str:
    """What is left once a share of the labels was checked and corrected."""
    rate, alpha = estimate_text(after.noise_rate.times(100), "%", n=False), estimate_text(after.alpha, n=False)
    if after.alpha.exact:
        rate, alpha = f"{value_text(after.noise_rate.times(100).value)} %", value_text(after.alpha.value)
    return (
        f"After {100 * after.share:.3g} % of the labels, drawn at random, are checked and corrected: wrong labels "
        f"{rate}, α = {alpha}. Checking the most suspicious labels first does better."
    )


def bound_page(bound: Bound, source: str) -> Page:
    """What a model's accuracy or loss, the `source`, implies for α."""
    limit = "? no bound on α" if bound.alpha_at_most is None else f"α is at most {bound.alpha_at_most:.3g}"
    why = [f"{bound.reason[0].upper()}{bound.reason[1:]}.", f"This assumes {bound.assumes}."]
    return Page(f"{limit}, from {source} {bound.given:g}; check labels by hand for an interval.", why)


def _wrong_labels(found: NoiseEstimate) -> str:
    of = "" if found.examples is None else f", in this data set of {found.examples:,}"
    return f"Wrong labels: {estimate_text(found.noise_rate.times(100), '%', n=False)}{of}."


def _basis(found: NoiseEstimate) -> str:
    return (
        f"n = {found.checked:,} checked, {found.wrong:,} wrong; {100 * found.confidence:g} % interval, {found.method}."
    )


def _signal(name: str, signal: Estimate) -> str:
    note = f" ({signal.reason})" if signal.reason else ""
    return f"{name} {estimate_text(signal, n=False)}{note}"


def _classes(found: CountsEstimate) -> list[Part]:
    """What becomes of each class, the least certain first where there are too many for a screen."""
    order = list(range(len(found.margins)))
    said = []
    if len(order) > _MOST_CLASSES:
        order = sorted(order, key=lambda c: np.nan_to_num(found.margins[c].margin.floats[0], nan=-2))[:_MOST_CLASSES]
        said.append(f"the {_MOST_CLASSES} least leads of {len(found.margins)} classes, --json has all")
    rows = []
    for c in order:
        m, row = found.margins[c], found.transition[c]
        right, taken = "–", "–"
        if not np.isnan(row).any():
            right = f"{100 * row[c]:.3g} %"
            false = np.where(np.arange(len(row)) == c, -1, row)
            if false.max() > 0:
                taken = f"{shortened(found.name(int(false.argmax())))} {100 * false.max():.3g} %"
        rows.append((shortened(found.name(c)), m.margin.n, right, taken, m.margin, _SIGNS[m.verdict]))
    shown = {row[-1] for row in rows}
    said += [f"{sign}: {words}" for sign, words in _MEANING.items() if sign in shown]
    title = "Each class: how often right, its commonest false label, and the lead"
    table = Table("margins", title, ("class", "checked", "right", "often taken for", "lead", ""), rows)
    return [table, *[Note(f"{'; '.join(said)}.")] * bool(said)]
