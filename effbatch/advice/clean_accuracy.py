"""Accuracy on noisy labels and what is known of the noise -> accuracy on clean labels, with its interval.

A network that is right with probability a agrees with the given label of a held-out example with probability

    s = a t + (1 − a) f,      so that      a = (s − f)/(t − f)

t = mean T_cc the probability that a label is right, f that it is the false class which a wrong network says. For
uniform noise f = (1 − λ)/K and t − f = λ whatever the network says: exact. For any other transition matrix T it
depends on which classes the network confuses: the value takes its errors to fall on all false classes alike,
f = (1 − t)/(K − 1); the limits hold for all of them on the least, and on the most common false label of their class.
Classes count alike. People err where networks do: f/(1 − t) was 0.29, 0.33 and 0.41 for a ResNet-8 trained on labels of
CIFAR-10N (39, 17 and 9 % wrong; benchmarks/human_labels.py), where uniform noise has 0.11. So where only the number of
wrong labels is known, the lower limit allows for PEOPLE.

The two other sources, s and the interval of α, are combined as by MOVER (Zou & Donner 2008, Statist. Med. 27, 1693):
deviations from the value added in quadrature, each side by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import hypot

import numpy as np

from effbatch.core.estimate import Estimate
from effbatch.noise import Labels, UniformNoise

PEOPLE = 0.45  # f/(1 − t), at most
MIXED = "some class is labelled as another at least as often as right, so accuracy on clean labels cannot be told"


@dataclass(frozen=True)
class Agreement:
    """How often a right network agrees with a given label, t, and a wrong one, f: in the mean, least and most."""

    right: float
    wrong: float
    least: float
    most: float

    def accuracy(self, agreed: float, wrong: float | None = None) -> float:
        """a = (s − f)/(t − f), within 0 and 1."""
        wrong = self.wrong if wrong is None else wrong
        if wrong >= self.right:  # any accuracy, for all that is known
            return 0.0
        return min(max((agreed - wrong) / (self.right - wrong), 0.0), 1.0)


def agreement(labels: Labels, *, by_people: bool = False) -> Agreement:
    """Of labels of this noise, all classes equally frequent; uniform noise may stand for mistakes of people."""
    if isinstance(labels, UniformNoise):  # in closed form, for any number of classes
        rate = float(labels.noise_rate)
        wrong = rate / (labels.num_classes - 1)
        return Agreement(float(labels.clean_probability), wrong, wrong, max(wrong, by_people * PEOPLE * rate))
    T = labels.transition_matrix()
    false = T[~np.eye(len(T), dtype=bool)].reshape(len(T), -1)
    return Agreement(np.diag(T).mean(), *(float(of(axis=1).mean()) for of in (false.mean, false.min, false.max)))


def on_clean_labels(
    agreed: Estimate, labels: Sequence[Labels], *, bounded: bool = True, by_people: bool = False
) -> Estimate:
    """The accuracy on clean labels behind that on noisy ones.

    labels     those at α; with an interval of α also those at its limits
    bounded    False where α has no upper limit: then the network may always be right
    by_people  whether uniform noise only stands for what nobody knows: which false labels are the common ones
    """
    ways = [agreement(one, by_people=by_people) for one in labels]
    if any(one.unlearnable for one in labels):
        return replace(agreed, value=None, low=None, high=None, reason=MIXED)
    if agreed.value is None:
        return agreed
    value, known = ways[0].accuracy(agreed.value), ways[0]
    by_alpha = [way.accuracy(agreed.value) - value for way in ways]

    def limit(of_agreed: float | None, wrong: float, sign: int) -> float | None:
        if of_agreed is None:
            return None
        by_errors = known.accuracy(agreed.value or 0.0, wrong) - value
        spread = hypot(known.accuracy(of_agreed) - value, sign * max(sign * by for by in by_alpha))
        return min(max(value + by_errors + sign * spread, 0.0), 1.0)

    high = limit(agreed.high, known.least, 1) if bounded or agreed.high is None else 1.0
    return replace(agreed, value=value, low=limit(agreed.low, known.most, -1), high=high)
