"""What is known of α -> one value with its interval, and what an audit would narrow it to."""

from __future__ import annotations

from dataclasses import dataclass

from effbatch.advice.alpha_interval import Interval
from effbatch.audit import estimate_noise
from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.noise import UniformNoise

ASSUMED = (0.0, 9.0)  # where nothing is known: from clean labels to one clean among ten
AUDITS = (100, 400, 1600)  # labels checked in all


@dataclass(frozen=True)
class KnownAlpha:
    """α, its limits (None: it is exact as given; a high limit of None: there is none), and where they come from."""

    value: float
    interval: Interval | None
    how: str
    checked: int = 0


@dataclass(frozen=True)
class Audit:
    """What `checked` labels would say of α if it is what it is taken for: then about `wrong` of them are wrong.

    alpha  its 95 % interval at these counts (exact: Clopper-Pearson); no upper limit where that is None
    """

    checked: int
    wrong: int
    alpha: Estimate


def known_alpha(
    alpha: float | None,
    interval: tuple[float, float] | None,
    checked: int | None,
    wrong: int | None,
    num_classes: int,
) -> KnownAlpha:
    """α from a number, an interval, audit counts, or nothing; from an interval alone its middle in log(1 + α).

    Raises InputError where counts come with a number or an interval, or one count without the other.
    """
    if checked is not None or wrong is not None:
        if alpha is not None or interval is not None:
            raise InputError("alpha comes from the checked labels; alpha itself came too: leave one of them out")
        if checked is None or wrong is None:
            raise InputError("a sample needs checked and wrong; only one of them came: give both")
        found = estimate_noise(checked, wrong, num_classes).alpha
        if found.value is None or found.interval is None:
            raise InputError(f"the checked labels give no alpha to advise on: {found.reason}")
        how = f"95 % interval from n = {checked:,} checked labels, {wrong:,} of them wrong"
        return KnownAlpha(found.value, found.interval, how, checked)
    if interval is None and alpha is None:
        most = 100 * float(UniformNoise(ASSUMED[1], num_classes).noise_rate)
        return KnownAlpha(
            _middle(*ASSUMED), ASSUMED, f"assumed, as nothing is known of it: from no to {most:.3g} % wrong labels"
        )
    if interval is None:
        assert alpha is not None  # the case of neither is above
        return KnownAlpha(alpha, None, "exact, as given")
    low, high = interval
    if not 0 <= low <= high:
        raise InputError(f"the interval of alpha needs 0 <= low <= high; {low:g} to {high:g} came")
    return KnownAlpha(_middle(low, high) if alpha is None else alpha, interval, "interval as given")


def audits(known: KnownAlpha, num_classes: int) -> tuple[Audit, ...]:
    """What larger audits than the one made would say; nothing where α is exact."""
    if known.interval is None:
        return ()
    rate = float(UniformNoise(known.value, num_classes).noise_rate)
    return tuple(
        Audit(checked, round(checked * rate), estimate_noise(checked, round(checked * rate), num_classes).alpha)
        for checked in AUDITS
        if checked > known.checked
    )


def _middle(low: float, high: float) -> float:
    return float(((1 + low) * (1 + high)) ** 0.5 - 1)
