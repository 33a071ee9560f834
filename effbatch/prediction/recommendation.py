"""What every law says, and its record -> the one recommended, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from effbatch.laws.base import Setting
from effbatch.prediction.answers import LawPrediction, LawScore, Recommendation

# Laws that compute the rate of a given network; where they apply they come before the others.
COMPUTED = ("short_runs", "linearised")

# By optimizer, the laws to choose from (the first that applies) and the reason for the order.
_PREFERRED = {
    "sgd": (
        ("square_root_clean_count", "none"),
        "the rate goes with the square root of the clean labels in a batch, an empirical rule for SGD",
    ),
    "adam": (
        ("adam_square_root", "none"),
        "Adam, AdamW and RMSprop divide the gradient by its spread: the rate goes with the square root of B/(1 + α)²",
    ),
    "adadelta": (
        ("none",),
        "AdaDelta is nearly scale-free, so the rate is kept; this is untested",
    ),
}
_PREFERRED["momentum"] = _PREFERRED["sgd"]
_PREFERRED["adamw"] = _PREFERRED["rmsprop"] = _PREFERRED["adam"]


def recommend(
    setting: Setting, said: Mapping[str, LawPrediction], scores: Mapping[str, LawScore], beyond: Collection[str]
) -> Recommendation:
    """First principles where they apply, else the first law preferred for the optimizer; `none` always does."""
    preferred, why = _PREFERRED[setting.optimizer]
    name = next(name for name in (*COMPUTED, *preferred) if said[name].applies)
    chosen, score = said[name], scores.get(name)
    if name == "linearised":
        why = f"computed from the untrained network, median of n = {chosen.n} initialisations"
        if chosen.interval and score is None:
            why += "; the interval reflects these, not what the theory leaves out"
    if name == "short_runs":
        why = chosen.reason
    if score is not None:
        why += (
            f"; over n = {score.n} cells it missed the measured best rate by a factor of "
            f"{2**score.median_error_log2:.3g} (median) and {2**score.quantile90_log2:.3g} (90th percentile), "
            f"by {score.source}"
        )
    elif name in beyond:
        why += "; extrapolated far beyond where its errors were recorded, so how sure it is cannot be told"
    elif name not in COMPUTED:
        why += "; its errors are on no record here, so it carries no interval" + (
            " but that of alpha" if chosen.factor_interval else ""
        )
    return Recommendation(
        name, chosen.factor, chosen.value, chosen.interval, chosen.n, why, chosen.factor_interval, chosen.covers
    )
