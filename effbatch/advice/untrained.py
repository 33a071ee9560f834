"""Untrained networks -> learning rate and accuracy by theory, over initialisations and the interval of α.

A thin layer over `theory.dynamics` and `theory.moving`, which have the mathematics: `untrained` chooses one of them;
answers have their spread, and their limits in words. Only for networks whose kernel takes seconds: for others there is
a reason in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effbatch.advice.law_answers import LINEARISED, MOVING, OF_ALPHA, LawPrediction, silent
from effbatch.advice.probing import Subject
from effbatch.advice.question import Question
from effbatch.core.announced import free_memory
from effbatch.core.estimate import Estimate
from effbatch.laws.base import SGD, transfers
from effbatch.noise import Labels, UniformNoise
from effbatch.plan.recipe import Recipe, steps_bought
from effbatch.theory import schedules
from effbatch.theory.dynamics import best_learning_rate, learning_curve
from effbatch.theory.gains import gains_cap
from effbatch.theory.moving import moving_accuracy, moving_rate
from effbatch.theory.spectrum import Spectrum

if TYPE_CHECKING:
    from torch import nn

Floats = NDArray[np.float64]

INITIALISATIONS = 4  # their least and greatest hold the median over all with a chance of 1 − 2⁻³ = 88 %
IMAGES, BLOCK = 1500, 250  # of the kernel, and that it takes gradients of at once: `measure_spectrum`
MOST_PRODUCTS = 2e11  # some ten seconds of one core
MOST_BYTES = 1e9  # and a quarter of the free memory: beyond that laws answer alone
MARGIN = 2  # below the rate at which networks that normalise are lost, which missed by up to 1.5 powers of two
DEPTHS = range(3, 6)  # layers with weights of the networks on which the kernel that moves has its record
MOST_STEPS = 5000  # of its recursion, some ten seconds; the kernel at rest is cheaper

REGIME = (
    "no training: features stay as initialised and labels are fresh at every visit, so fixed copies once memorised and "
    "kernels that grow in training (two hidden layers and more; with four the rate was eight times too high) need "
    "lower rates; the edge that caps the rate, mostly at small alpha, is observed on small ReLU networks, not derived"
)
REGIME_MOVING = (
    f"no training: {DEPTHS[0]} to {DEPTHS[-1]} dense layers with ReLU that start as PyTorch's do, plain SGD at a "
    "constant rate, uniform noise; labels are fresh at every visit, so fixed copies once memorised need lower rates; "
    "on clean labels the accuracy came out 2 to 7 points too low"
)


@dataclass(frozen=True)
class Untrained:
    """Untrained networks, one spectrum per initialisation, and what they are to be trained with.

    depth  L, the layers with weights, where their kernel moves with what is learned; None where it stays
    most   no rate above this over √(1+α) is recommended; infinite where no cap is known
    """

    spectra: Sequence[Spectrum]
    recipe: Recipe
    depth: int | None = None
    most: float = np.inf

    @property
    def law(self) -> str:
        """The name of the theory among the laws."""
        return "linearised" if self.depth is None else "moving_kernel"

    @property
    def regime(self) -> str:
        """When it is meant to hold."""
        return REGIME if self.depth is None else REGIME_MOVING

    def rates(self, batch_size: int, labels: Sequence[Labels]) -> Floats:
        """Best rate by initialisation and labels; NaN where less is always better."""

        def best(spectrum: Spectrum, alpha: Floats, **noise: Any) -> Floats:
            how, cells = self._training(batch_size) | noise, (alpha, batch_size, self.steps(batch_size))
            if self.depth is None:
                return best_learning_rate(spectrum, *cells, **how)
            return moving_rate(spectrum, self.depth, *cells, **how)

        noisier = np.sqrt([1 + at.effective_alpha for at in labels])
        return np.minimum(self._over_labels(best, labels), self.most / noisier)

    def accuracies(self, batch_size: int, labels: Sequence[Labels], rates: ArrayLike) -> Floats:
        """Accuracy at the end by initialisation, labels and rate, (spectra, labels, rates)."""

        def reached(spectrum: Spectrum, alpha: Floats, **noise: Any) -> Floats:
            how = self._training(batch_size) | noise
            cells = (alpha[:, None], batch_size, np.atleast_1d(rates), self.steps(batch_size))
            if self.depth is None:
                return learning_curve(spectrum, *cells, **how).accuracy
            return moving_accuracy(spectrum, self.depth, *cells, **how)

        return self._over_labels(reached, labels)

    def steps(self, batch_size: int) -> int:
        """T, the steps that the budget of the recipe buys."""
        return steps_bought(self.recipe.budget, batch_size)

    def _training(self, batch_size: int) -> dict[str, Any]:
        recipe = self.recipe
        schedule: str | Floats = recipe.schedule
        if recipe.warmup:
            schedule = schedules.multipliers(recipe.schedule, self.steps(batch_size), warmup=recipe.warmup)
        return {"schedule": schedule, "momentum": recipe.momentum_used}

    def _over_labels(self, theory: Callable[..., Floats], labels: Sequence[Labels]) -> Floats:
        """theory(spectrum, alphas) by spectrum: uniform labels in one pass, others each with their own matrix."""
        alphas = np.array([at.alpha for at in labels])
        if all(isinstance(at, UniformNoise) for at in labels):
            return np.stack([theory(spectrum, alphas) for spectrum in self.spectra])
        each = [(alphas[i : i + 1], at.noise_matrix()) for i, at in enumerate(labels)]
        return np.stack(
            [np.concatenate([theory(s, alpha, noise_matrix=matrix) for alpha, matrix in each]) for s in self.spectra]
        )


def untrained(of: Subject, questions: Sequence[Question]) -> Untrained | str:
    """The untrained networks of a subject with their kernels, or why these are not computed.

    `questions` differ in the batch size alone. Kernels move where all is as in the record of that theory: plain SGD and
    uniform noise, no rate that was tuned, a chain of ReLU layers that starts as PyTorch's do. Else they stay.
    """
    from effbatch.data.held_out import with_held_out
    from effbatch.measure.kernel import measure_spectrum
    from effbatch.networks.relu_chain import chain_depth

    recipe = questions[0].recipe
    if recipe.optimizer not in SGD:
        return f"it needs real runs: the linearised theory is for {' and '.join(SGD)}, not for {recipe.optimizer}"
    networks = [of.make(seed) for seed in range(1 if of.given else INITIALISATIONS)]
    if reason := _too_dear(networks[0], of.data.num_classes, len(networks)):
        return reason
    images = with_held_out(of.data)
    theory = Untrained([measure_spectrum(net, *images, num_classes=of.data.num_classes) for net in networks], recipe)
    if (cap := cap_of(networks[0], recipe, of.data.num_classes)) is not None:
        theory = replace(theory, most=cap / MARGIN)
    longest = max(theory.steps(question.setting.batch_size) for question in questions)
    recorded = "moving_kernel" in questions[0].on_record and questions[0].anchor is None
    depth = chain_depth(networks[0], of.data.x_train[:8]) if recorded and longest <= MOST_STEPS else None
    return replace(theory, depth=depth) if depth in DEPTHS else theory


def cap_of(network: nn.Module, recipe: Recipe, num_classes: int) -> float | None:
    """The rate at which clean labels lose a network whose layers normalise; None where theory says nothing."""
    from effbatch.networks.kind import has_gains

    known = recipe.optimizer in SGD and not recipe.nesterov and has_gains(network)
    return gains_cap(num_classes, recipe.momentum_used) if known else None


def about_normalising(network: nn.Module, recipe: Recipe, num_classes: int) -> list[str]:
    """What is known of the rates at which a network is lost, where layers normalise."""
    from effbatch.networks.kind import normalises

    if not normalises(network):
        return []
    if (cap := cap_of(network, recipe, num_classes)) is None:
        return [f"layers normalise: no cap is known, the rate from which {recipe.optimizer} loses such a network"]
    measured = "with momentum 0.9 0.29 to 1.5" if recipe.momentum_used else "1.3 to 5.8"
    return [
        f"layers normalise: clean labels lose such networks from a rate of about {cap:.2g} on (measured: {measured}), "
        f"noisy ones sooner; no rate above {cap / MARGIN:.2g}/√(1+α) is recommended"
    ]


def _too_dear(network: nn.Module, num_classes: int, networks: int) -> str | None:
    """Why the kernel of a network is not computed; None where it takes seconds.

    Products of two gradients by image and logit, of all parameters but those of dense layers, which take as many as
    they have outputs.
    """
    from torch import nn

    dense = [module for module in network.modules() if type(module) is nn.Linear]
    outputs = sum(layer.out_features + layer.in_features for layer in dense)
    others = sum(w.numel() for w in network.parameters()) - sum(w.numel() for m in dense for w in m.parameters())
    products = networks * IMAGES**2 * num_classes * (outputs + max(others, 0)) / 2
    size = 4 * max(IMAGES * num_classes * outputs, 2 * BLOCK * max(others, 0))
    if products <= MOST_PRODUCTS and size <= min(MOST_BYTES, free_memory() / 4):
        return None
    return f"the kernel of this network would take {products:.0e} products and {size:.0e} bytes, more than seconds"


def rate_answer(theory: Untrained | str, question: Question) -> LawPrediction:
    """The best rate η: median over initialisations, least to greatest over these and the ends of α's interval.

    With an anchor the rates are carried from it, factor × its rate, the factor being η/η(anchor). The interval is
    None where α has no upper limit, or nothing varies.
    """
    if isinstance(theory, str):
        return silent(theory, LINEARISED)
    sources = LINEARISED if theory.depth is None else MOVING
    if reason := transfers(question.here, question.origin, SGD):
        return silent(reason, sources)
    values = theory.rates(question.setting.batch_size, _at_ends(question))
    factors = None
    if question.rate is not None:  # only then is the rate at the origin asked for
        factors = values / theory.rates(question.origin.batch_size, [question.labels_of_anchor])
        values = factors * question.rate
    if not np.isfinite(values).all():
        return silent(
            "its best rate lies below all that it tries, 2⁻¹⁶ of the edge of stability: it cannot tell", sources
        )
    n, alphas = len(theory.spectra), question.alphas
    covers = [f"least to greatest of n = {n} initialisations"] * (n > 1)
    covers += [OF_ALPHA] * (alphas.interval is not None)
    at_cap = bool(np.isfinite(theory.most)) and float(np.ptp(values)) == 0  # then the range says nothing
    known = alphas.bounded and bool(covers) and not at_cap
    answer = LawPrediction(
        factor=None if factors is None else float(np.median(factors[:, 0])),
        value=float(np.median(values[:, 0])),
        interval=_range(values) if known else None,
        n=n,
        applies=True,
        reason=theory.regime,
        formula=sources[0],
        reference=sources[1],
        factor_interval=_range(factors) if known and factors is not None else None,
        covers=" over ".join(covers) if known else None,
    )
    return answer.widened(question.scores.get(theory.law) if alphas.bounded else None)


def accuracy_answer(theory: Untrained | str, question: Question, rate: float | None) -> Estimate:
    """Accuracy at one rate: median over initialisations, without an interval, as no errors of it are on record."""
    if isinstance(theory, str):
        return Estimate(None, reason=theory)
    n = len(theory.spectra)
    if rate is None:
        return Estimate(None, n=n, reason="no learning rate is recommended to compute it at")
    found = theory.accuracies(question.setting.batch_size, [question.labels], rate)
    return Estimate(
        float(np.median(found)), n=n, reason="no interval: errors of this theory's accuracies are on no record"
    )


def _at_ends(question: Question) -> list[Labels]:
    """The labels at α, and at the limits of its interval where it has both."""
    return question.alphas.at_ends(question.labels_in)


def _range(values: Floats) -> tuple[float, float]:
    return float(values.min()), float(values.max())
