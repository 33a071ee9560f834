"""What somebody knows of the noise in labels -> α with its interval, and the labels at any α."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effbatch.advice.handed_on import HandedOn, handed_on
from effbatch.audit import CountsEstimate, estimate_from_counts, estimate_noise
from effbatch.core.errors import InputError, hint
from effbatch.core.estimate import Estimate, Interval
from effbatch.laws.base import LARGEST, in_range, one_of
from effbatch.noise import (
    NOISE_KINDS,
    ORDERS,
    Labels,
    MatrixNoise,
    UniformNoise,
    alpha_from_noise_rate,
    structured_noise_matrix,
)
from effbatch.noise.transition import checked_matrix, rms_signal

if TYPE_CHECKING:
    from effbatch.data.dataset import DataSet

ASSUMED = (0.0, 9.0)  # where nothing is known: from clean labels to one clean among ten
_NO_SIGNAL = 1e-8  # of a transition matrix whose rows are alike but for rounding
AUDITS = (100, 400, 1600)  # labels checked in all

# What says how many labels are wrong, one of them at a time; an interval of alpha may stand beside alpha.
_SOURCES: Mapping[str, tuple[str, ...]] = {
    "alpha": ("alpha", "alpha_interval"),
    "the noise rate": ("noise_rate",),
    "checked labels": ("checked", "wrong"),
    "counts": ("counts",),
    "the transition matrix": ("transition",),
    "the estimate": ("estimate",),
}


class UnknownAlpha(InputError):
    """What is known of the labels tells no α; `alpha` has what limits there are, `reason` says why."""

    def __init__(self, reason: str, alpha: Estimate) -> None:
        super().__init__(f"an answer needs alpha, and what is known of the labels does not tell it: {reason}")
        self.reason, self.alpha = reason, alpha


@dataclass(frozen=True)
class KnownAlpha:
    """α, its limits (None: it is exact as given; a high limit of None: there is none), and where they come from."""

    value: float
    interval: Interval | None
    how: str
    checked: int = 0


@dataclass(frozen=True)
class NoAlpha:
    """The same where α cannot be told; `how` says why."""

    interval: Interval | None
    how: str
    value: None = None
    checked: int = 0


@dataclass(frozen=True)
class Audit:
    """What `checked` labels would say of α if it is what it is taken for: then about `wrong` of them are wrong.

    alpha  its 95 % interval at these counts (exact: Clopper-Pearson); no upper limit where that is None
    """

    checked: int
    wrong: int
    alpha: Estimate


@dataclass(frozen=True, eq=False)
class Noise:
    """The noise of the labels of a data set: how many are wrong, and what they say instead.

    kind             "uniform": any of the K classes alike; "structured": by preference, see `structured_noise_matrix`
    delta, order     of structured noise: its degree, and the classes by falling preference, a row per true class
                     (default: c + 1, c + 2, ...); where a data set is known, `order` may be one of `noise.ORDERS`
    matrix           N in place of a kind: the law of noisy labels, rows true class
    transition       T in place of a kind: the law of the given labels, right ones among them, rows true class. Laws
                     take it at its effective α
    How many, by one of: `alpha`, noisy labels per clean one, with its limits `alpha_interval` (high None: no limit) or
    by these alone; `noise_rate`, the share of wrong labels; `checked` labels of a random sample, `wrong` of them wrong;
    `counts` (K, K) of such a sample, rows checked class, columns given label; `transition`, which says it too;
    `estimate`, what `estimate_noise` or `estimate_from_counts` returned, or its JSON. Where uniform noise does not fit
    the counts, their transition matrix is taken as one that was given.
    class_names      of counts or a matrix: then their rows are taken in the order of the classes of the data set
    Raises InputError for what cannot stand together.
    """

    kind: str = "uniform"
    _: KW_ONLY
    delta: float | None = None
    order: ArrayLike | str | None = None
    matrix: ArrayLike | None = None
    transition: ArrayLike | None = None
    alpha: float | None = None
    alpha_interval: Interval | None = None
    noise_rate: float | None = None
    checked: int | None = None
    wrong: int | None = None
    counts: ArrayLike | None = None
    estimate: Any = None
    class_names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        one_of("the noise", self.kind, NOISE_KINDS)
        if (self.delta is not None) != (self.kind == "structured"):
            raise InputError(
                f"structured noise needs delta, from 0 to 1, and no other noise takes it, got {self.kind} noise and "
                f"delta = {self.delta}: {'give delta' if self.delta is None else 'leave delta out'}"
            )
        if isinstance(self.order, str):
            one_of("the order", self.order, ORDERS)
        if self.order is not None and self.kind != "structured":
            raise InputError(f"order is for structured noise, got it with {self.kind} noise: leave it out")
        others = ["structured noise"] * (self.kind == "structured") + [
            name for name in ("matrix", "transition") if getattr(self, name) is not None
        ]
        if len(others) > 1:
            raise InputError(f"one thing says which labels are wrong, got {' and '.join(others)}: leave one out")
        if len(self.sources) > 1:
            raise InputError(
                f"one thing says how many labels are wrong, got {' and '.join(self.sources)}: leave one of them out"
            )
        if (self.checked is None) != (self.wrong is None):
            raise InputError("a sample needs checked and wrong, got only one of them: give both")
        for name in ("matrix", "transition"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checked_matrix(getattr(self, name)))
        if self.transition is not None:
            _check_signal(np.asarray(self.transition))

    @property
    def sources(self) -> list[str]:
        """What was given that says how many labels are wrong."""
        return [what for what, names in _SOURCES.items() if any(getattr(self, name) is not None for name in names)]

    @cached_property
    def handed(self) -> HandedOn | None:
        """What the estimate tells; of uniform noise alone where something else says which labels are wrong."""
        if self.estimate is None:
            return None
        try:
            return handed_on(self.estimate, as_alpha=self.kind != "uniform" or self.matrix is not None)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise InputError(
                "--from-estimate needs the JSON of an estimate (in Python, estimate needs what `estimate_noise` "
                "returned), got something else: add --json to `effbatch estimate`"
            ) from error

    @cached_property
    def settled(self) -> Noise:
        """The same noise with what the estimate tells in its place; UnknownAlpha where it tells nothing."""
        if self.handed is None:
            return self
        if self.handed.reason is not None:
            raise UnknownAlpha(self.handed.reason, self.handed.alpha)
        return replace(self, estimate=None, **self.handed.known)

    @property
    def name(self) -> str:
        """The kind, or which matrix stands in its place."""
        return "matrix" if self.matrix is not None else "transition" if self.law is not None else self.kind

    @cached_property
    def counted(self) -> CountsEstimate | None:
        """What the counts say."""
        return None if self.counts is None else estimate_from_counts(self.counts)

    @property
    def law(self) -> NDArray | None:
        """T of the given labels: as it was given, or as counted where uniform noise does not fit.

        None where neither is there, something else says which labels are wrong, or a class was not checked.
        """
        if self.transition is not None:
            return np.asarray(self.transition)
        if self.counted is None or self.kind != "uniform" or self.matrix is not None or self.counted.uniform.fits:
            return None
        return None if np.isnan(self.counted.transition).any() else self.counted.transition

    def classes(self, given: float | None) -> float:
        """The number of classes that everything given agrees on, 10 where nothing says it."""
        facts = [("num_classes", given)] if given is not None else []
        for name in ("matrix", "transition", "counts"):
            value = getattr(self, name)
            facts += [(f"the {name}", len(np.asarray(value)))] if value is not None else []
        facts += [("the estimate", self.handed.num_classes)] if self.handed is not None else []
        if len({value for _, value in facts}) > 1:
            came = ", ".join(f"{value} by {what}" for what, value in facts)
            raise InputError(f"one number of classes is needed, got {came}: leave num_classes out")
        return facts[0][1] if facts else 10

    def on(self, data: DataSet) -> Noise:
        """The same noise with the classes of a data set: in their order by name, its order where that is a name."""
        self.classes(data.num_classes)
        noise = self.settled._in_order(data)
        if not isinstance(noise.order, str):
            return noise
        from effbatch.noise.class_orders import class_order

        return replace(noise, order=class_order(data, noise.order))

    def _in_order(self, data: DataSet) -> Noise:
        """Rows and columns of counts and matrices in the order of the classes of the data; InputError for others."""
        names, known = self.class_names, data.class_names or tuple(map(str, range(data.num_classes)))
        if names is None:
            return self
        if strange := [name for name in names if name not in known]:
            raise InputError(
                f"counts and matrices need the classes of {data.name}, got the class {strange[0]!r} in them; "
                f"{hint(strange[0], known)}: rename it, or leave all names out"
            )
        held = [names.index(name) if name in names else len(names) for name in known]
        given = {name: getattr(self, name) for name in ("matrix", "transition", "counts")}
        padded = {name: np.pad(array, ((0, 1), (0, 1))) for name, array in given.items() if array is not None}
        ordered: dict[str, Any] = {name: array[np.ix_(held, held)] for name, array in padded.items()}
        return replace(self, class_names=None, **ordered)

    def known(self, num_classes: int) -> KnownAlpha:
        """α from whatever says how many labels are wrong; of an interval alone its middle in log(1 + α)."""
        if self.estimate is not None:
            return self.settled.known(num_classes)
        if self.noise_rate is not None:
            return self._from_rate(float(self.noise_rate), num_classes)
        if self.checked is not None and self.wrong is not None:
            return _from_sample(estimate_noise(self.checked, self.wrong, num_classes))
        if self.law is not None:
            _check_signal(self.law)
            alpha = effective_alpha(self.labels_at(num_classes)(0.0))
            return _from_counts(self.counted, KnownAlpha(alpha, None, "the effective alpha of the transition matrix"))
        if self.counted is not None:
            return _from_counts(self.counted, _from_sample(self.counted.sample))
        if self.alpha is not None:
            in_range("alpha", float(self.alpha), "noisy labels per clean label, 0 for clean labels", least=0)
        if self.alpha_interval is None:
            if self.alpha is not None:
                return KnownAlpha(float(self.alpha), None, "exact, as given")
            most = 100 * float(UniformNoise(ASSUMED[1], num_classes).noise_rate)
            how = f"assumed, as nothing is known of it: from no to {most:.3g} % wrong labels"
            return KnownAlpha(_middle(*ASSUMED), ASSUMED, how)
        low, high = self.alpha_interval
        if self.alpha is not None:
            return KnownAlpha(float(self.alpha), (low, high), "interval as given")
        if low is None or high is None or not 0 <= low <= high:
            do = "give alpha beside it" if low is None or high is None else "give the low limit first"
            raise InputError(f"the interval of alpha needs 0 <= low <= high, got {low} to {high}: {do}")
        return KnownAlpha(_middle(low, high), (low, high), "interval as given")

    def labels_at(self, num_classes: int) -> Callable[[float], Labels]:
        """This kind of noise at any α; a transition matrix is the same whatever α is."""
        if isinstance(self.order, str):
            raise InputError(
                f"the order {self.order!r} needs a data set, got none: give an array of classes, or use advise"
            )
        if self.law is not None:
            given = MatrixNoise.from_transition(self.law)
            return lambda alpha: given
        if self.matrix is not None:
            matrix = np.asarray(self.matrix)
            return lambda alpha: MatrixNoise(alpha, matrix)
        if self.delta is not None:
            delta, order = self.delta, self.order
            return lambda alpha: MatrixNoise(alpha, structured_noise_matrix(alpha, num_classes, delta, order=order))
        return lambda alpha: UniformNoise(alpha, num_classes)

    def labels_of_anchor(self, alpha: float, num_classes: int) -> Labels:
        """The labels that a rate was tuned with: of this kind, but of uniform noise beside a transition matrix."""
        return UniformNoise(alpha, num_classes) if self.law is not None else self.labels_at(num_classes)(alpha)

    def _from_rate(self, rate: float, num_classes: int) -> KnownAlpha:
        """α at which this share of labels is wrong; both readings of a rate are told."""
        if self.matrix is None:
            try:
                alpha = float(alpha_from_noise_rate(rate, num_classes))  # that of structured noise, too
            except InputError as error:
                if 0 <= rate <= 1:
                    raise UnknownAlpha(str(error), Estimate(None, reason=str(error))) from error
                raise
        else:
            wrong = 1 - float(np.diag(np.asarray(self.matrix)).mean())  # of noisy labels
            if not 0 <= rate < wrong:
                raise InputError(
                    f"the noise rate needs to be at least 0 and below {wrong:.6g}, the share of wrong labels if "
                    f"all are drawn from the matrix, got {rate:g}: give the share of wrong labels"
                )
            alpha = rate / (wrong - rate)
        redrawn = rate / (1 - rate)
        how = (
            f"from a noise rate of {rate:g}, the share of wrong labels; if that share is redrawn over all "
            f"{num_classes} classes, alpha is {redrawn:.3g}"
        )
        return KnownAlpha(alpha, None, how)


def audits(known: KnownAlpha, num_classes: int) -> tuple[Audit, ...]:
    """What larger audits than the one made would say, where that is more than is known; nothing where α is exact."""
    if known.interval is None:
        return ()
    rate = float(UniformNoise(known.value, num_classes).noise_rate)
    wrong = {checked: round(checked * rate) for checked in AUDITS if checked > known.checked}
    would_be = [
        Audit(checked, some, estimate_noise(checked, some, num_classes).alpha) for checked, some in wrong.items()
    ]
    width = _width(*known.interval)
    return tuple(audit for audit in would_be if _width(audit.alpha.low, audit.alpha.high) < width)


def _width(low: float | None, high: float | None) -> float:
    """Of an interval; infinite where it is open above."""
    return np.inf if high is None else high - (low or 0.0)


def _check_signal(T: NDArray) -> None:
    """UnknownAlpha where the rows of a transition matrix are alike."""
    if not rms_signal(T) > _NO_SIGNAL:
        reason = "labels of this transition matrix carry no signal: their law is the same for every class"
        raise UnknownAlpha(reason, Estimate(None, reason=reason))


def effective_alpha(labels: Labels) -> float:
    """α of uniform noise with as much signal; UnknownAlpha where there is none."""
    alpha = float(labels.effective_alpha)
    if alpha > LARGEST and isinstance(labels, MatrixNoise):
        reason = (
            f"labels of this noise matrix carry no signal at alpha = {labels.alpha:g}: their law is the same for "
            "every class, and nothing can be learned from them"
        )
        raise UnknownAlpha(reason, Estimate(None, reason=reason))
    return alpha


def _from_sample(found: Any) -> KnownAlpha:
    alpha = found.alpha
    if alpha.value is None or alpha.interval is None:
        raise UnknownAlpha(str(alpha.reason), alpha)
    how = f"95 % interval from n = {found.checked:,} checked labels, {found.wrong:,} of them wrong"
    return KnownAlpha(alpha.value, alpha.interval, how, found.checked)


def _from_counts(found: CountsEstimate | None, known: KnownAlpha) -> KnownAlpha:
    """What is known of α with what the counts say of uniform noise, where that does not fit."""
    if found is None or found.uniform.fits:
        return known
    sample, p = found.sample, f"uniform noise does not fit (p = {found.uniform.p_value:.3g})"
    if known.interval is None:
        how = f"{known.how} of n = {sample.checked:,} checked labels, {sample.wrong:,} of them wrong: {p}"
        return replace(known, how=how, checked=sample.checked)
    return replace(known, how=f"{known.how}; only an average: {p}, and some classes were not checked")


def _middle(low: float, high: float) -> float:
    return float(((1 + low) * (1 + high)) ** 0.5 - 1)
