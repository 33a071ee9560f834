"""What is known of a real data set's labels -> α: a hand-checked sample, confusion counts, or bounds from a model."""

from effbatch.audit.confusion import CountsEstimate, Learnability, estimate_from_checks, estimate_from_counts
from effbatch.audit.relabelling import Relabelled, after_relabelling
from effbatch.audit.repeated import Checks
from effbatch.audit.sample import (
    METHODS,
    Bound,
    NoiseEstimate,
    StatedRate,
    alpha_bound_from_accuracy,
    alpha_bound_from_loss,
    alpha_of_stated_rate,
    estimate_noise,
)

__all__ = [
    "METHODS",
    "Bound",
    "Checks",
    "CountsEstimate",
    "Learnability",
    "NoiseEstimate",
    "Relabelled",
    "StatedRate",
    "after_relabelling",
    "alpha_bound_from_accuracy",
    "alpha_bound_from_loss",
    "alpha_of_stated_rate",
    "estimate_from_checks",
    "estimate_from_counts",
    "estimate_noise",
]
