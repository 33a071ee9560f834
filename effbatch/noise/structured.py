"""α, K and a degree -> the matrix N of structured (class-conditional) noise: some false labels are the commoner."""

from __future__ import annotations

from typing import Any

import numpy as np

from effbatch.core.errors import InputError
from effbatch.noise import transition
from effbatch.noise.uniform import UniformNoise

NOISE_KINDS = ("uniform", "structured")  # of labels, by name
ORDERS = ("confusion", "reverse", "random")  # of the false labels, where a data set is known: see `class_orders`


def structured_noise_matrix(alpha: float, num_classes: int, delta: float, *, order: Any = None) -> np.ndarray:
    """N of structured noise of degree `delta`: false labels fall linearly in preference, the true one stays as it is.

    With t = λ + (1 − λ)/K the chance of the true label, as for uniform noise, and chance = (1 − t)/(K − 1), the
    commonest false label has

        f_1 = (1 − delta) chance + delta min(t, 1 − t),     f_j = max(f_1 − (j − 1) s, 0),     Σ_j f_j = 1 − t,

    which fixes s. Degree 0 is uniform noise; at degree 1 the commonest false label is as likely as the true one
    (t <= ½), or the only one. As t is a function of α, so is N. Our reading of Rolnick et al. (2017, arXiv 1705.10694,
    sect. 4).

    order   (K, K) classes by falling preference, one row per true class; the true class itself may stand anywhere.
            Without it: class c is taken for c + 1, c + 2, ... (modulo K).
    Raises InputError for a degree outside [0, 1] and rows that are not permutations of the classes.
    """
    K, t = num_classes, UniformNoise(alpha, num_classes).clean_probability
    transition.check_size(K)
    if not 0 <= delta <= 1:
        raise InputError(f"delta must lie in [0, 1], got {delta}: 0 is uniform noise", delta=delta)
    classes = np.arange(K)
    rows = (classes[:, None] + classes) % K if order is None else np.asarray(order)
    if rows.shape != (K, K) or not (np.sort(rows, axis=1) == classes).all():
        raise InputError(
            f"the order needs {K} rows, each with the classes 0 to {K - 1} once, got others of shape {rows.shape}: "
            "list every class once in each row"
        )

    # In units of 1 − t, the sum is 1. The m commonest labels share it: m f_1 − s m(m − 1)/2 = 1, and the last of
    # them is positive iff m < 2/f_1.
    first = (1 - delta) / (K - 1) + delta * (1 if t >= 0.5 else t / (1 - t))
    m = max(1, min(K - 1, int(np.ceil(2 / first)) - 1))
    slope = 2 * (m * first - 1) / (m * (m - 1)) if m > 1 else 0.0
    j = classes[:-1]
    share = np.where(j < m, np.maximum(first - slope * j, 0), 0.0)  # the last may round below 0

    N = np.full((K, K), 1 / K)
    for c, row in enumerate(rows):
        N[c, row[row != c]] = share * (K - 1) / K
    return N
