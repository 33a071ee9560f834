"""A loss at uniform output -> the run with cross-entropy that it equals in the linear model, at another rate.

At uniform output the slope of a loss in the logits is −g (e_y − 1/K) for label y, its mean curvature c (I − 11ᵀ/K)/K.
Cross-entropy has g = c = 1. So the logits f of the linear model move by −η h [c f/K − g (e_y − 1/K)], and (c/g) f as
logits do with cross-entropy at the rate c η. Hence

    η* = η*_CE / c,     where the initial function of the run with cross-entropy is c/g times as large.

    loss                        g            c
    label smoothing ε           1 − ε        1
    generalised CE (GCE)        K^−q         (1 − q) K^−q     curvature: mean over labels that are uniform noise
    forward correction          λ            λ²               curvature: Gauss-Newton; λ = 1/(1+α), uniform noise
"""

from __future__ import annotations

from dataclasses import replace

from effbatch.theory.spectrum import Spectrum

GCE_POWER = 0.7  # q of Zhang & Sabuncu (2018), in all their experiments
LOSSES = ("cross_entropy", "forward", "gce")


def slope_and_curvature(
    loss: str, alpha: float, num_classes: int, *, label_smoothing: float = 0.0
) -> tuple[float, float]:
    """g and c of a loss at uniform output; see above.

    >>> slope_and_curvature("forward", 3.0, 10)
    (0.25, 0.0625)
    """
    if loss == "gce":
        slope = num_classes**-GCE_POWER
        return slope, (1 - GCE_POWER) * slope
    if loss == "forward":
        return 1 / (1 + alpha), 1 / (1 + alpha) ** 2
    return 1 - label_smoothing, 1.0


def with_start(spectrum: Spectrum, factor: float) -> Spectrum:
    """The spectrum of a network whose initial function is `factor` times as large, its kernel the same."""
    test = spectrum.held_out
    if test is not None:
        test = replace(test, initial=factor * test.initial, start=factor * test.start)
    return replace(spectrum, initial_energies=factor**2 * spectrum.initial_energies, held_out=test)
