"""Learning rates of published recipes for noisy labels -> how far a rate is from all of them.

Their authors kept one rate whatever the noise was, so these tell what people start from, not what is best.
"""

from __future__ import annotations

from dataclasses import dataclass

from effbatch.plan.recipe import Recipe


@dataclass(frozen=True)
class Practice:
    """A published recipe, with the rate and the batch size of its own code on CIFAR-10."""

    name: str
    optimizer: str
    learning_rate: float
    batch_size: int
    source: str


PUBLISHED = (
    Practice("GCE", "momentum", 0.01, 128, "Zhang & Sabuncu 2018, arXiv 1805.07836"),
    Practice("DivideMix", "momentum", 0.02, 64, "Li, Socher & Hoi 2020, arXiv 2002.07394"),
    Practice("ELR", "momentum", 0.02, 128, "Liu et al. 2020, arXiv 2007.00151"),
    Practice("SOP", "momentum", 0.02, 128, "Liu et al. 2022, arXiv 2202.14026"),
    Practice("CIFAR-10N", "momentum", 0.1, 128, "Wei et al. 2022, arXiv 2110.12088"),
    Practice("Co-teaching", "adam", 0.001, 128, "Han et al. 2018, arXiv 1804.06872"),
)


@dataclass(frozen=True)
class Departure:
    """A rate over the nearest that is published for its optimiser, 1 within their range; and which have that rate."""

    factor: float
    nearest: tuple[Practice, ...]


def departure(recipe: Recipe, rate: float | None) -> Departure | None:
    """How far a rate is from those in use; None where none is published for the optimiser, or the rate is not known.

    >>> departure(Recipe(optimizer="adam"), 0.004).factor
    4.0
    """
    published = [one for one in PUBLISHED if one.optimizer == recipe.optimizer]
    if rate is None or not published:
        return None
    rates = [one.learning_rate for one in published]
    nearest = min(max(rate, min(rates)), max(rates))
    if nearest not in rates:  # between two of them
        return Departure(1.0, ())
    return Departure(rate / nearest, tuple(one for one in published if one.learning_rate == nearest))
