"""Several checks of each image -> noise rate, α and T with intervals by image.

Checks of one image agree more than checks of two: 900 checks of 300 images know less than 900 images. With m_i the
share of the checks of image i that disagree with its label,

    ρ̂ = mean of m_i,    n_eff = ρ̂ (1 − ρ̂)/(s²/I) · (z/t_{I−1})²,    s² the variance of m_i over the I images,

and the limits are Clopper-Pearson's for ρ̂ n_eff of n_eff (Korn & Graubard 1998, Survey Methodology 24, 193). They
covered 93 % or more of samples at nominal 95 % in the worlds of `tests/audit/test_repeated.py`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effbatch.audit.design import Floats, RandomSample
from effbatch.audit.proportions import clopper_pearson
from effbatch.audit.sample import NoiseEstimate
from effbatch.audit.uniform_test import UniformTest, uniform_test
from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate


@dataclass(frozen=True)
class Checks:
    """One entry per check: which image, the class of its given label and the class that the check found, 0 to K − 1."""

    image: Sequence[Hashable]
    given: NDArray[np.int64]
    checked: NDArray[np.int64]
    num_classes: int


class RepeatedChecks(RandomSample):
    """Images drawn at random from the data set, each checked once or more; see above.

    Every image counts once, its checks share it: `transition` has the row shares of these counts, its limits rest on
    as many images. Raises InputError where an image has two given labels.
    """

    def __init__(self, checks: Checks, *, confidence: float) -> None:
        K = checks.num_classes
        names, image = np.unique([str(i) for i in checks.image], return_inverse=True)
        given = np.zeros(len(names), np.int64)
        given[image] = checks.given
        if (given[image] != checks.given).any():
            who = str(names[image[np.flatnonzero(given[image] != checks.given)[0]]])
            raise InputError(f"an image needs one given label, got two of image {who!r}: give each image its own name")
        self._image, self._given, self._found = image, given, checks.checked
        per_image = np.bincount(image)
        counts, images = np.zeros((K, K), np.int64), np.zeros((K, K))
        np.add.at(counts, (checks.checked, checks.given), 1)
        np.add.at(images, (checks.checked, checks.given), 1 / per_image[image])
        wrong = np.bincount(image, weights=checks.checked != checks.given) / per_image
        rate, correlation = _rate(wrong, per_image, confidence)
        of = "" if correlation is None else f", whose checks correlate {correlation:.2f}"
        method = f"by image: {len(names):,} images{of}"
        total, all_wrong = len(image), int((checks.checked != checks.given).sum())
        sample = NoiseEstimate(
            checked=total,
            wrong=all_wrong,
            num_classes=K,
            examples=None,
            confidence=confidence,
            method=method,
            noise_rate=rate,
        )
        super().__init__(counts, sample, images=images)
        self.facts = {"images": len(names), "intraclass_correlation": correlation}

    def uniform(self, level: float, rng: np.random.Generator) -> UniformTest:
        """From one check of each image, drawn at random: these are independent."""
        order = rng.permutation(len(self._image))
        _, first = np.unique(self._image[order], return_index=True)
        one = order[first]
        counts = np.zeros_like(self.counts)
        np.add.at(counts, (self._found[one], self._given[self._image[one]]), 1)
        return uniform_test(counts, level, rng)


def _rate(wrong: Floats, checks: NDArray[np.int64], confidence: float) -> tuple[Estimate, float | None]:
    """The noise rate from the share of wrong checks of each image; and how checks of one image correlate, if known."""
    from scipy.special import ndtri, stdtrit

    images = len(wrong)
    value = min(max(float(wrong.mean()), 0.0), 1.0)
    spread, alone = value * (1 - value), float((1 / checks).mean())
    effective, correlation = float(images), None
    if images > 1 and spread > 1e-12 and (variance := float(wrong.var(ddof=1))) > 0:
        tail = (1 + confidence) / 2
        effective = spread * images / variance * float(ndtri(tail) / stdtrit(images - 1, tail)) ** 2
        effective = min(effective, float(checks.sum()))
        if alone < 1:
            correlation = float(np.clip((variance / spread - alone) / (1 - alone), -1, 1))
    low, high = clopper_pearson(value * effective, effective, confidence)
    return Estimate(value, float(low), float(high), n=images, level=confidence), correlation
