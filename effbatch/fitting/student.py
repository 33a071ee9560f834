"""Student's t: confidence -> quantile, statistic -> p-value; the one place that both come from."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def student_quantile(freedom: int, confidence: float = 0.95) -> float:
    """The t that |T| stays below with this probability, T of Student's distribution with `freedom` degrees."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))


def student_p_value(statistic: ArrayLike, freedom: int) -> NDArray[np.float64]:
    """Probability that |T| is at least |statistic|; broadcasts, NaN for NaN."""
    from scipy.special import stdtr

    return 2 * stdtr(freedom, -np.abs(statistic))
