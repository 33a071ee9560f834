"""What every law says, and its record -> the one recommended, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from effbatch.advice.law_answers import LawPrediction, LawScore, Recommendation
from effbatch.laws.base import Setting

# Laws that compute the rate of a given network; where they apply they come before the others. With an anchor, though,
# the linearised theory comes last: on the same cells a rate carried over from a tuned one was nearer (`same_cells`).
COMPUTED = ("short_runs", "linearised")

# By optimizer, the laws to choose from (the first that applies) and the reason for the order.
_PREFERRED = {
    "sgd": (
        ("square_root_clean_count", "none"),
        "the rate goes with the square root of the clean labels in a batch, an empirical rule for SGD",
    ),
    "adam": (
        ("adaptive", "none"),
        "for Adam and AdaDelta the rate goes as B^¼ (1+α)^−¾, an empirical rule",
    ),
}
_PREFERRED["momentum"] = _PREFERRED["sgd"]
_PREFERRED["adamw"] = _PREFERRED["rmsprop"] = _PREFERRED["adadelta"] = _PREFERRED["adam"]


def recommend(
    setting: Setting,
    said: Mapping[str, LawPrediction],
    scores: Mapping[str, LawScore],
    *,
    beyond: Collection[str],
    rivals: Mapping[str, LawScore],
    anchored: bool,
    unmoved: bool,
) -> Recommendation:
    """The first law that applies: short runs, then the linearised theory, then what the optimizer prefers.

    With an anchor, the theory comes after what the optimizer prefers. One of them always applies: `none` does.
    rivals   scores on the same cells: why the theory gives way to a law
    unmoved  the setting is the one that the rate was tuned at
    """
    preferred, why = _PREFERRED[setting.optimizer]
    order = ("short_runs", *preferred, "linearised") if anchored else (*COMPUTED, *preferred)
    name = next(name for name in order if said[name].applies)
    chosen, score = said[name], scores.get(name)
    if name == "linearised":
        why = f"computed from the untrained network, median of n = {chosen.n} initialisations"
        if chosen.interval and score is None:
            why += "; the interval reflects these, not what the theory leaves out"
    if name == "short_runs":
        why = chosen.reason
    if name not in COMPUTED and said["linearised"].applies and not unmoved:
        why += f"; {_nearer(name, rivals)}"
    if score is not None:
        why += (
            f"; over n = {score.n} cells it missed the measured best rate by a factor of "
            f"{2**score.median_error_log2:.3g} (median) and {2**score.quantile90_log2:.3g} (90th percentile), "
            f"by {score.source}"
        )
    elif unmoved and name not in COMPUTED:
        why += "; here the rate stays where it was tuned, so the factor 1 is exact"
    elif name in beyond:
        why += "; extrapolated far beyond where its errors were recorded, so how sure it is cannot be told"
    elif name not in COMPUTED:
        why += "; its errors are on no record here, so it carries no interval" + (
            " but that of alpha" if chosen.factor_interval else ""
        )
    return Recommendation(
        name, chosen.factor, chosen.value, chosen.interval, chosen.n, why, chosen.factor_interval, chosen.covers
    )


def _nearer(name: str, rivals: Mapping[str, LawScore]) -> str:
    """Why a rate carried over from the anchor comes before the one that the linearised theory computes."""
    if name not in rivals:
        return "a tuned rate carried over comes before the linearised theory, though no record compares them here"
    carried, theory = rivals[name], rivals["linearised"]
    return (
        f"carried over from tuned cells it missed the best rate by {_median(carried)} on the same n = {carried.n} "
        f"cells where the linearised theory missed it by {_median(theory)} ({carried.source})"
    )


def _median(score: LawScore) -> str:
    low, high = score.interval_log2 or (score.median_error_log2,) * 2
    return f"a factor of {2**score.median_error_log2:.3g} (median, 95 % interval {2**low:.3g} to {2**high:.3g})"
