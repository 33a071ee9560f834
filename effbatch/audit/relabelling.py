"""Noise now, and the share of labels to check -> noise rate and α once those found wrong are corrected."""

from __future__ import annotations

from dataclasses import dataclass

from effbatch.audit.sample import alpha_of
from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate


@dataclass(frozen=True)
class Relabelled:
    """The noise after a `share` of all labels, drawn at random, was checked and corrected."""

    share: float
    noise_rate: Estimate
    alpha: Estimate


def after_relabelling(noise_rate: Estimate, num_classes: int, share: float) -> Relabelled:
    """ρ' = (1 − F) ρ: the labels that were not checked stay as they are; limits and α follow.

    Uniform noise stays uniform. Whoever checks the most suspicious labels first finds more wrong ones among as many.
    InputError unless 0 <= F <= 1.
    """
    if not 0 <= share <= 1:
        raise InputError(f"the share of labels to check needs to lie in [0, 1], got {share}: give 0.2 for a fifth")
    left = noise_rate.times(1 - share)
    return Relabelled(share, left, alpha_of(left, num_classes))
