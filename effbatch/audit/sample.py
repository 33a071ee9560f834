"""A hand-checked sample, or what a model reached -> α of a data set, as an interval or a bound.

Noise is taken as uniform here: a wrong label is any of the other K − 1 with equal chance. `confusion` tests that,
and needs to know which label was given for which class.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from effbatch.audit.proportions import clopper_pearson, hypergeometric, wilson
from effbatch.core.errors import InputError, hint
from effbatch.core.estimate import Estimate, exact
from effbatch.core.jsonable import jsonable
from effbatch.core.pages import Shown
from effbatch.noise import UniformNoise, alpha_from_noise_rate

METHODS = ("exact", "wilson")
MOST_EXACT = 10**6  # labels checked of a finite data set: the exact limits take seconds there


@dataclass(frozen=True)
class Bound:
    """What one number implies for α: `alpha_at_most`, None where it implies nothing; and what that rests on."""

    given: float
    alpha_at_most: float | None
    reason: str
    assumes: str


@dataclass(frozen=True, kw_only=True)
class NoiseEstimate(Shown):
    """What a hand-checked sample says of a data set; see `estimate_noise`."""

    checked: int
    wrong: int
    num_classes: int
    examples: int | None
    confidence: float
    method: str
    noise_rate: Estimate
    alpha: Estimate = field(init=False)  # of the noise rate

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", alpha_of(self.noise_rate, self.num_classes))

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: numbers or null."""
        return jsonable(self)


def estimate_noise(
    checked: int,
    wrong: int,
    num_classes: int,
    *,
    examples: int | None = None,
    confidence: float = 0.95,
    method: str = "exact",
) -> NoiseEstimate:
    """Estimate the noise rate ρ and α of a data set from a random sample that somebody checked by hand.

        ρ̂ = wrong/checked,     α = ρ/((K − 1)/K − ρ)

    α rises with ρ, so its limits are the limits of ρ, mapped. Where the upper limit of ρ reaches (K − 1)/K, labels may
    carry no signal, and α has no upper limit.

    checked     labels checked, of which `wrong` are wrong; num_classes K, at least 2
    examples    size of the data set. ρ is then the rate of this data set, from which the sample is drawn without
                replacement
    confidence  level of both intervals, between 0 and 1
    method      "exact": Clopper & Pearson (1934), with `examples` hypergeometric limits; "wilson": score limits
                (Wilson, 1927), with `examples` the variance of draws without replacement. See `proportions`
    Both numbers assume a random sample and a check without errors; α also assumes uniform noise.
    Raises InputError for counts that cannot be, an unknown method, and exact limits of too large a sample.

    >>> estimate = effbatch.estimate_noise(200, 66, num_classes=10)
    >>> tuple(round(value, 2) for value in estimate.alpha.floats)
    (0.58, 0.42, 0.8)
    """
    checked, wrong, num_classes = (
        _whole("the number of checked labels", checked, least=1),
        _whole("the number of wrong labels", wrong, least=0, most=checked),
        _whole("the number of classes", num_classes, least=2),
    )
    if examples is not None:
        examples = _whole("the number of examples, the checked ones among them,", examples, least=checked)
        if method == "exact" and checked > MOST_EXACT:
            raise InputError(
                f"exact limits for a given number of examples need at most {MOST_EXACT:,} checked labels, got "
                f"{checked:,}: use the method wilson, or leave the number of examples out"
            )
    check_confidence(confidence)
    if method not in METHODS:
        raise InputError(f"the method {method!r} is not known; {hint(method, METHODS)}", method=method)

    if method == "wilson":
        name, limits = "Wilson", wilson(wrong, checked, confidence, population=examples)
    elif examples is None:
        low, high = clopper_pearson(wrong, checked, confidence)
        name, limits = "Clopper-Pearson", (float(low), float(high))
    else:
        name, limits = "exact hypergeometric", hypergeometric(wrong, checked, examples, confidence)
    rate = Estimate(wrong / checked, *limits, n=checked, level=confidence)
    return NoiseEstimate(
        checked=checked,
        wrong=wrong,
        num_classes=num_classes,
        examples=examples,
        confidence=confidence,
        method=name,
        noise_rate=rate,
    )


def alpha_of(rate: Estimate, num_classes: int) -> Estimate:
    """α of uniform noise for a noise rate and its limits: None from (K − 1)/K on; an exact rate raises InputError."""
    if rate.exact:
        return exact(float(alpha_from_noise_rate(rate.floats[0], num_classes)))
    nothing = (num_classes - 1) / num_classes
    value, low, high = (
        float(alpha_from_noise_rate(r, num_classes)) if num_classes * (1 - r) > 1 else None for r in rate.floats
    )
    reason = None
    if low is None:
        reason = f"the noise rate is above {nothing:.4g} = (K − 1)/K throughout: uniform noise cannot do that"
        return Estimate(None, n=rate.n, reason=reason)
    if value is None:
        reason = (
            f"the noise rate found reaches {nothing:.4g} = (K − 1)/K, where labels carry no signal; check more labels"
        )
    elif high is None:
        reason = (
            f"no upper limit: the interval of the noise rate reaches {nothing:.4g} = (K − 1)/K, where labels carry no "
            "signal; check more labels"
        )
    return Estimate(value, low, high, n=rate.n, level=rate.level, reason=reason)


@dataclass(frozen=True)
class StatedRate(Shown):
    """A noise rate that somebody states, as the α of uniform noise.

    alpha             if the rate is the share of wrong labels
    alpha_if_redrawn  if it is the share of labels that were redrawn over all K classes, some of which came out right
    """

    num_classes: int
    noise_rate: Estimate
    alpha: Estimate
    alpha_if_redrawn: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: numbers or null."""
        return jsonable(self)


def alpha_of_stated_rate(noise_rate: float, num_classes: int) -> StatedRate:
    """Both readings of "40 % noise": α = ρ/((K − 1)/K − ρ) and ρ/(1 − ρ). InputError where the first has none."""
    _whole("the number of classes", num_classes, least=2)
    rate = exact(float(noise_rate))
    return StatedRate(num_classes, rate, alpha_of(rate, num_classes), noise_rate / (1 - noise_rate))


def alpha_bound_from_accuracy(accuracy: float, num_classes: int) -> Bound:
    """The most α that lets a model reach this accuracy on held-out labels that are as noisy: α <= 1/λ − 1.

    A model with accuracy a on true labels agrees with given ones in A = 1/K + λ (a − 1/K), since it knows nothing
    of a noisy label; a <= 1, so λ >= (A − 1/K)/(1 − 1/K). A low A implies nothing, as the model may be poor. The
    accuracy is taken as it is, without sampling error. InputError outside [0, 1].
    """
    _whole("the number of classes", num_classes, least=2)
    if not 0 <= accuracy <= 1:
        raise InputError(f"the held-out accuracy must lie in [0, 1], got {accuracy}: give a share, not percent")
    assumes = (
        "labels that the model was not trained on, as noisy as the others, uniform noise that does not depend on the "
        "image, and no sampling error; a model that can guess the mistakes may exceed the bound"
    )
    above_chance = num_classes * accuracy - 1  # (K − 1) λ
    if above_chance <= 0:
        return Bound(accuracy, None, f"no bound: an accuracy up to chance, {1 / num_classes:.4g}, fits any α", assumes)
    reason = (
        "no model agrees with held-out noisy labels more often than the labels are right; a lower bound is not implied"
    )
    return Bound(accuracy, num_classes * (1 - accuracy) / above_chance, reason, assumes)


def alpha_bound_from_loss(loss: float, num_classes: int) -> Bound:
    """The most α that lets the mean cross-entropy on fresh noisy labels be this low: H(α) <= loss, in nats.

    H is the entropy of a label (`UniformNoise.loss_floor`), rising from 0 to ln K; no model that has not seen the
    labels has a smaller expected loss. A high loss implies nothing. The loss is taken as it is, without sampling
    error. InputError below 0.
    """
    _whole("the number of classes", num_classes, least=2)
    if not 0 <= loss < np.inf:
        raise InputError(
            f"the training loss must be a finite number >= 0, in nats, got {loss}: give the mean cross-entropy"
        )
    assumes = (
        "mean cross-entropy in nats, without regularisation or label smoothing, on labels not seen before (first pass, "
        "or redrawn at every visit), uniform noise, and no sampling error; on labels seen again it is memorising that "
        "lowers the loss, and nothing follows"
    )
    if loss >= np.log(num_classes):
        reason = f"no bound: a loss of ln K = {np.log(num_classes):.4g} or more fits any α"
        return Bound(loss, None, reason, assumes)
    no_more, too_much = 0.0, 1.0  # the share of noisy labels, α/(1 + α)
    while no_more < (middle := (no_more + too_much) / 2) < too_much:  # until no float lies between
        fits = UniformNoise(middle / (1 - middle), num_classes).loss_floor <= loss
        no_more, too_much = (middle, too_much) if fits else (no_more, middle)
    reason = "no model goes below the entropy of labels that it has not seen; a lower bound is not implied"
    return Bound(loss, no_more / (1 - no_more), reason, assumes)


def check_confidence(confidence: float) -> None:
    """Raise InputError unless 0 < confidence < 1."""
    if not 0 < confidence < 1:
        raise InputError(f"the confidence must lie between 0 and 1, got {confidence}: 0.95 is usual")


def _whole(what: str, value: float, *, least: int, most: float = 10**15) -> int:
    if not (least <= value <= most and float(value).is_integer()):
        raise InputError(f"{what} must be a whole number from {least} to {most:.15g}, got {value}", value=value)
    return int(value)
