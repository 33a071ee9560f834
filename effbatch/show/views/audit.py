"""What a checked sample or confusion counts say of labels -> their pages."""

from __future__ import annotations

from effbatch.audit import Bound, CountsEstimate, Learnability, NoiseEstimate
from effbatch.core.figures import Table
from effbatch.core.formats import estimate_text
from effbatch.core.pages import Page, page


@page.register
def sample_page(found: NoiseEstimate) -> Page:
    """α, the share of wrong labels, and what both rest on."""
    of = "" if found.examples is None else f", in this data set of {found.examples:,}"
    rate = estimate_text(found.noise_rate.times(100), "%", n=False)
    said = [
        f"Wrong labels: {rate}{of}.",
        f"n = {found.checked:,} checked, {found.wrong:,} wrong; {100 * found.confidence:g} % interval, {found.method}.",
    ]
    if found.alpha.reason:
        said.append(f"Of α: {found.alpha.reason}.")
    alpha = estimate_text(found.alpha, n=False)
    return Page(f"α = {alpha} noisy labels per clean label, if noise is uniform.", said)


@page.register
def counts_page(found: CountsEstimate) -> Page:
    """That of the sample; then whether the noise is uniform, what signal is left, and which classes can be learned."""
    sample, test = sample_page(found.sample), found.uniform
    verdict = "fits the counts" if test.fits else "does not fit the counts: α says less than the matrix"
    said = [f"Uniform noise {verdict} (G = {test.statistic:.4g}, p = {test.p_value:.3g} by resampling)."]
    for name, signal in (("Root-mean-square", found.rms_signal), ("Least", found.least_signal)):
        note = f"; {signal.reason}" if signal.reason else ""
        said.append(f"{name} signal of the labels: {estimate_text(signal, n=False)}{note}.")
    rows = [
        (str(m.true_class), m.margin.n, m.margin, "" if m.verdict is Learnability.LEARNABLE else str(m.verdict))
        for m in found.margins
    ]
    title = "Margin of the true label over the commonest false one"
    return Page(sample.title, [*sample.parts, *said, Table("margins", title, ("class", "checked", "margin", ""), rows)])


def bound_page(bound: Bound, source: str) -> Page:
    """What a model's accuracy or loss, the `source`, implies for α."""
    limit = "" if bound.alpha_at_most is None else f"α <= {bound.alpha_at_most:.3g}: "
    return Page(f"From {source} {bound.given:g}: {limit}{bound.reason}.", [f"This assumes {bound.assumes}."])
