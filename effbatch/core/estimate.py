"""A number with its limits and the sample behind it, or the reason why there is none; to JSON and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, NamedTuple

Interval = tuple[float | None, float | None]


class Floats(NamedTuple):
    """An estimate's numbers for arithmetic, NaN for what is not known."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A number, its limits at a confidence level and the sample size behind it; what is None, `reason` explains.

    value, low, high  None where it cannot be told, and where there is no limit on that side: the only convention. What
                      is not finite becomes None: arrays hold NaN and infinity for that, and their values may be given
    n                 sample size: runs, seeds, images, labels or cells
    level             confidence of the limits, 0.9 for rates that laws or the probe give, 0.95 for what is estimated
                      from a sample; None where there is no interval, or a range: least to greatest, say
    exact             a closed form or a count: no interval, because it needs none
    test              value -> p-value of "the truth is `value`", from what the limits come from
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    _: KW_ONLY
    n: int | None = None
    level: float | None = None
    reason: str | None = None
    exact: bool = False
    test: Callable[[float], float] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                object.__setattr__(self, name, None)

    @property
    def interval(self) -> Interval | None:
        """The limits, None for an open one; None instead of both where there is no interval."""
        return None if self.level is None and self.low is None and self.high is None else (self.low, self.high)

    @property
    def floats(self) -> Floats:
        """Value, low and high as arrays hold them: NaN for None."""
        return Floats(*(math.nan if x is None else float(x) for x in (self.value, self.low, self.high)))

    def below(self, value: float) -> bool:
        """Whether the whole interval lies below `value`."""
        return self.high is not None and self.high < value

    def above(self, value: float) -> bool:
        """Whether the whole interval lies above `value`."""
        return self.low is not None and self.low > value

    def excludes(self, value: float) -> bool:
        """Whether `value` lies outside of the interval."""
        return self.below(value) or self.above(value)

    def p_value(self, value: float) -> float | None:
        """Two-sided p-value of "the truth is `value`", from what the limits come from; None where there is no test."""
        p = math.nan if self.test is None else self.test(value)
        return p if math.isfinite(p) else None

    def times(self, factor: float) -> Estimate:
        """The same in another unit, `factor` of them each, below 0 in the other direction; its test stays."""
        value, low, high = (None if x is None else factor * x for x in (self.value, self.low, self.high))
        low, high = (high, low) if factor < 0 else (low, high)
        return replace(self, value=value, low=low, high=high, test=None)

    def to_json(self) -> dict[str, Any]:
        """`{"value": .., "interval": [low, high] or null, "n": .., "level": .., "reason": ..}`, `exact` where it is."""
        interval = None if self.interval is None else list(self.interval)
        answer = {"value": self.value, "interval": interval, "n": self.n, "level": self.level, "reason": self.reason}
        return answer | {"exact": True} if self.exact else answer

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> Estimate:
        """What `to_json` wrote; without `level` as 0.1 wrote it."""
        low, high = answer["interval"] or (None, None)
        keys = {key: answer.get(key) for key in ("n", "level", "reason")}
        return cls(answer["value"], low, high, **keys, exact=answer.get("exact", False))


def exact(value: float | None) -> Estimate:
    """A number that is no estimate: a closed form, a count, the threshold of a rule."""
    return Estimate(value, exact=True)
