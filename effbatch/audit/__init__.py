"""What is known of a real data set's labels -> α: a hand-checked sample, confusion counts, or bounds from a model."""

from effbatch.audit.confusion import CountsEstimate, Learnability, estimate_from_counts
from effbatch.audit.sample import (
    METHODS,
    Bound,
    NoiseEstimate,
    alpha_bound_from_accuracy,
    alpha_bound_from_loss,
    estimate_noise,
)

__all__ = [
    "METHODS",
    "Bound",
    "CountsEstimate",
    "Learnability",
    "NoiseEstimate",
    "alpha_bound_from_accuracy",
    "alpha_bound_from_loss",
    "estimate_from_counts",
    "estimate_noise",
]
