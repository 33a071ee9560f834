"""What somebody asks, at one batch size -> the settings, labels and recorded errors that every law is asked with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from effbatch import laws
from effbatch.advice.alpha_interval import POINTS, Alphas, alphas_in
from effbatch.advice.evidence import LawScore, not_recorded, recorded
from effbatch.advice.noise import KnownAlpha, Noise, effective_alpha
from effbatch.core.errors import InputError, hint
from effbatch.core.estimate import Estimate
from effbatch.laws.base import SMALLEST, Law, Setting, in_range, whole_number, with_parameters
from effbatch.noise import Labels, MatrixNoise
from effbatch.plan.recipe import Recipe

# Laws that compute the rate of a given network: `advise` asks them.
COMPUTED = ("probe", "linearised", "moving_kernel")
MANY = 500  # classes: fewer values of α then stand for its interval, as each has a matrix


@dataclass(frozen=True)
class Anchor:
    """A learning rate that was tuned, and the batch size and α it was tuned at."""

    learning_rate: float
    batch_size: int
    alpha: float = 0.0

    def __post_init__(self) -> None:
        in_range("the anchor's learning rate", self.learning_rate, "step size", least=SMALLEST)
        in_range("the anchor's batch size", self.batch_size, "labelled copies per step", least=1)
        in_range("the anchor's alpha", self.alpha, "noisy labels per clean label", least=0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """Labels, recipe and anchor at one batch size; `asked` makes one.

    setting   at α as it is known
    evidence  recorded errors by law; None: those that effbatch itself recorded with such a recipe
    network   the kind of network that is trained, see `networks.kind`; None where it is not known
    """

    setting: Setting
    alpha: KnownAlpha
    noise: Noise
    recipe: Recipe
    anchor: Anchor | None = None
    laws: Mapping[str, Law]
    evidence: Mapping[str, LawScore] | None = None
    network: str | None = None

    @cached_property
    def labels_in(self) -> Sequence[Labels]:
        """The labels at every α tried: α itself first, see `Alphas`."""
        labels_at = self.noise.labels_at(self.setting.num_classes)
        points = 9 if self.noise.name != "uniform" and self.setting.num_classes > MANY else POINTS
        return [labels_at(alpha) for alpha in alphas_in(self.alpha.value, self.alpha.interval, points).tried]

    @property
    def labels(self) -> Labels:
        """Those at α."""
        return self.labels_in[0]

    @cached_property
    def labels_of_anchor(self) -> Labels:
        """Those that the anchor was tuned with, clean ones without an anchor."""
        alpha = 0.0 if self.anchor is None else self.anchor.alpha
        return self.noise.labels_of_anchor(alpha, self.setting.num_classes)

    @cached_property
    def alphas(self) -> Alphas:
        """The effective α of all of them, in place of α itself: what laws are asked at."""
        tried = np.array([effective_alpha(labels) for labels in self.labels_in])
        return Alphas(tried, self.alpha.interval)

    @cached_property
    def here(self) -> Setting:
        """The setting at its effective α."""
        return replace(self.setting, alpha=float(self.alphas.tried[0]))

    @cached_property
    def origin(self) -> Setting:
        """Where rates are carried from: the anchor, else clean labels at the same batch size."""
        origin = replace(self.setting, alpha=effective_alpha(self.labels_of_anchor))
        return origin if self.anchor is None else replace(origin, batch_size=self.anchor.batch_size)

    @property
    def rate(self) -> float | None:
        """The rate at the origin, where it is known."""
        return None if self.anchor is None else self.anchor.learning_rate

    @cached_property
    def unmoved(self) -> bool:
        """Whether the setting is the one that the rate was tuned at, whatever α is."""
        return self.here == self.origin and bool((self.alphas.tried == self.origin.alpha).all())

    @property
    def clean_anchor(self) -> bool:
        """Whether the labels that the rate was tuned on are clean."""
        return self.origin.alpha == 0

    @property
    def _not_recorded(self) -> list[str]:
        """What of the noise and the recipe no recorded sweep has."""
        noise = [] if self.noise.name == "uniform" else [f"{self.noise.name} noise"]
        return [*noise, *filter(None, [not_recorded(self.recipe)])]

    @cached_property
    def on_record(self) -> Mapping[str, LawScore]:
        """Recorded errors by law from such an anchor, whether or not they were made near this setting."""
        if self.evidence is not None:
            return self.evidence
        if self._not_recorded:
            return {}
        return recorded(self.recipe, clean_anchor=self.clean_anchor, network=self.network)

    @cached_property
    def scores(self) -> dict[str, LawScore]:
        """Recorded errors that hold here; a rate carried nowhere has none of that."""
        near = {n: s for n, s in self.on_record.items() if s.beyond(self.setting, self.network) is None}
        return {name: score for name, score in near.items() if name in COMPUTED} if self.unmoved else near

    def missing(self, law: str) -> str:
        """What the record of a law lacks for this setting, as the end of a sentence."""
        if law in self.on_record:
            return f" for {self.on_record[law].beyond(self.setting, self.network)}"
        if self.evidence is not None:
            return " here"
        return f" for {' and '.join(self._not_recorded) or self.recipe.optimizer}"

    def noted(self, reason: str) -> str:
        """A law's reason, and at which α it was taken where the noise is not the uniform one it was made for."""
        if not isinstance(self.labels, MatrixNoise):
            return reason
        return f"{reason}; made for uniform noise; here at the effective alpha {self.here.alpha:.3g}"


def asked(
    noise: Noise,
    recipe: Recipe,
    *,
    num_classes: float | None = None,
    anchor: Anchor | None = None,
    parameters: Mapping[str, Mapping[str, float]] | None = None,
    evidence: Mapping[str, LawScore] | None = None,
    network: str | None = None,
) -> Question:
    """A question about the labels at the batch size of the recipe; InputError where that is missing."""
    if recipe.batch_size is None:
        raise InputError("a prediction needs a batch size, got none: give the labelled copies per step")
    if recipe.epochs is not None:
        raise InputError("laws need a budget in steps or examples, got epochs: advise knows how many labels they are")
    classes = whole_number("the number of classes", noise.classes(num_classes))
    in_range("the number of classes", classes, "a whole number", least=2)
    noise = noise.settled
    known = dict(laws.LAWS)
    for name, values in (parameters or {}).items():
        known[name] = with_parameters(laws.get(name), **values)
    for name in evidence or {}:
        if name not in COMPUTED:
            laws.get(name)
    alpha = noise.known(classes)
    same = {name: getattr(recipe, name) for name in ("batch_size", "optimizer", "schedule", "steps", "examples")}
    setting = Setting(alpha=alpha.value, num_classes=classes, **same)
    return Question(
        setting=setting,
        alpha=alpha,
        noise=noise,
        recipe=recipe,
        anchor=anchor,
        laws=known,
        evidence=evidence,
        network=network,
    )


def gathered(
    noise: str | Noise,
    recipe: Recipe | None,
    given: Mapping[str, Any],
    *,
    moved: Mapping[str, str],
    others: Sequence[str] = (),
) -> tuple[Noise, Recipe]:
    """Noise and recipe, with the fields that were given one by one, as in `predict(50, 128, optimizer="adam")`.

    `moved` says of keywords that are no longer taken where they went, `others` names those that are taken elsewhere.
    InputError for moved and unknown ones, and for what was given twice.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if isinstance(estimate := given.get("alpha"), Estimate):
        given |= {"alpha": estimate.value, "alpha_interval": estimate.interval}
    if many := [name for name in ("alpha", "noise_rate", "batch_size") if np.ndim(given.get(name, 0))]:
        raise InputError(f"{many[0]} needs to be one number, got {given[many[0]]}: ask once for each value")
    known = {kind: {field.name for field in fields(kind)} - {"kind"} for kind in (Noise, Recipe)}
    for name in given:
        if name in moved:
            raise InputError(f"{name} {moved[name]}", parameter=name)
        if not any(name in names for names in known.values()):
            near = hint(name, sorted(set(others).union(*known.values())))
            raise InputError(f"the keyword {name!r} is not known; {near}")
    of_noise, of_recipe = ({k: v for k, v in given.items() if k in names} for names in known.values())
    if not isinstance(noise, Noise):
        return Noise(noise, **of_noise), _joined(recipe or Recipe(), of_recipe)
    return _joined(noise, of_noise), _joined(recipe or Recipe(), of_recipe)


def _joined(whole: Any, given: Mapping[str, Any]) -> Any:
    """Noise or recipe with more of its fields set; InputError for one that was set already, to something else."""
    defaults = {field.name: field.default for field in fields(whole)}
    for name, value in given.items():
        already = getattr(whole, name)
        if already is not defaults[name] and already is not value and not np.array_equal(already, value):
            raise InputError(f"{name} was given twice, got {already} and {value}: leave one of them out")
    return replace(whole, **given)
