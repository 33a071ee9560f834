"""Claims judged together -> the same with p-values corrected for their number, and verdicts that survive it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from effbatch.claims.shared.judgement import Judgement, Verdict

LEVEL = 0.05


def corrected(judgements: Mapping[str, Judgement]) -> dict[str, Judgement]:
    """The judgements with `p_value_corrected` by the method of Holm (1979), which keeps the chance of any false verdict
    among them at 5 %.

    A verdict whose corrected p-value is not below 0.05 becomes undecided, with that reason in its finding. Judgements
    without a p-value are no part of it. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
    Journal of Statistics 6, 65.
    """
    from statsmodels.stats.multitest import multipletests

    tested = {name: judged.p_value for name, judged in judgements.items() if judged.p_value is not None}
    if not tested:
        return dict(judgements)
    p_values = dict(zip(tested, multipletests(list(tested.values()), method="holm")[1], strict=True))
    return {
        name: _with(judged, float(p_values[name]), len(tested)) if name in tested else judged
        for name, judged in judgements.items()
    }


def _with(judged: Judgement, p_value: float, claims: int) -> Judgement:
    judged = replace(judged, p_value_corrected=p_value)
    if judged.verdict is Verdict.UNDECIDED or p_value < LEVEL:
        return judged
    alone = judged.p_value
    if alone is not None and alone < LEVEL:
        reason = (
            f"Judged alone it would be {judged.verdict} (p = {alone:.2g}); corrected for {claims} claims judged "
            f"together (Holm), p = {p_value:.2g}, so it is undecided."
        )
    else:
        verb = "support" if judged.verdict is Verdict.SUPPORTED else "refute"
        reason = f"Its interval would {verb} it, but its test gives p = {alone:.2g}, not below {LEVEL}: undecided."
    return replace(judged, verdict=Verdict.UNDECIDED, finding=f"{judged.finding} {reason}")
