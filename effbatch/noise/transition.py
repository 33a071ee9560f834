"""A transition matrix T -> what its labels carry: signal, margins, entropy, and the classes that they cannot teach.

Rows are true classes, columns given labels, and every class is equally frequent, as in all of `noise`. The rows of the
centred matrix C T, C = I − 11ᵀ/K, say how the labels of each class differ from those of the mean class: all are zero
where a label says nothing. Every function but `checked_matrix` and `unlearnable` takes stacks of matrices, shape
(..., K, K), and leaves it to `checked_matrix` to raise InputError for what is no transition matrix.

>>> T = expected_targets(3, np.full((2, 2), 0.5))  # α = 3, uniform noise over 2 classes
>>> T.tolist()
[[0.625, 0.375], [0.375, 0.625]]
>>> margins(T).tolist(), unlearnable(T)
([0.25, 0.25], ())
>>> round(float(loss_floor(T)), 3)
0.662
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effbatch.core.errors import InputError

Floats = NDArray[np.floating]

MAX_CLASSES = 2000  # of a matrix: its singular values take seconds there, and grow with the cube
_ROUNDING = 1e-15  # two probabilities that differ by less are equal


def checked_matrix(matrix: ArrayLike, *, num_classes: int | None = None) -> Floats:
    """Return the matrix as floats; InputError unless it is K×K, K >= 2, each row >= 0 and of sum 1 to within 1e-8."""
    try:
        N = np.asarray(matrix, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(
            "a noise matrix must hold one number per class and label, got other things: give K rows of K numbers"
        ) from error
    if N.ndim != 2 or N.shape[0] != N.shape[1] or len(N) < 2:
        raise InputError(
            f"a noise matrix must have one row and one column per class, at least two, got shape {N.shape}: "
            "give rows = true class, columns = given label",
            shape=N.shape,
        )
    check_size(len(N))
    if num_classes is not None and len(N) != num_classes:
        raise InputError(
            f"a noise matrix of {num_classes} classes is needed, got one of {len(N)}: leave the number of classes "
            "out, or give another matrix",
            shape=N.shape,
        )
    for row, values in enumerate(N):
        if not (np.isfinite(values) & (values >= 0)).all():
            raise InputError(
                f"a noise matrix holds probabilities >= 0; row {row} holds {values[~(values >= 0)].tolist()}: mend it"
                if np.isfinite(values).all()
                else f"a noise matrix holds finite probabilities; row {row} holds NaN or infinity: fill them in",
                row=row,
            )
        if abs(values.sum() - 1) > 1e-8:
            raise InputError(
                f"each row of a noise matrix must sum to 1; row {row} sums to {values.sum():.10g}: divide it by that",
                row=row,
            )
    return N


def expected_targets(alpha: ArrayLike, noise_matrix: np.ndarray) -> np.ndarray:
    """T = (I + α N)/(1 + α), the mean label of a copy: one row per true class, shape (*alpha.shape, K, K).

    alpha         noisy labels per clean one, any shape
    noise_matrix  N, (K, K), or one for each α, (*alpha.shape, K, K)
    Cross-entropy against row c is the objective of an infinite batch of copies of class c. For uniform N it is label
    smoothing (Szegedy et al., 2016) by α/(1 + α).
    """
    a = np.asarray(alpha, dtype=float)[..., None, None]
    return (np.eye(noise_matrix.shape[-1]) + a * noise_matrix) / (1 + a)


def check_size(num_classes: int) -> None:
    """Raise InputError where a matrix of this many classes would be too large to work with."""
    if num_classes > MAX_CLASSES:
        raise InputError(
            f"a noise matrix may have at most {MAX_CLASSES:,} classes, got {num_classes:,}: uniform noise takes any "
            "number",
            num_classes=num_classes,
        )


def signal_spectrum(transition: Floats) -> Floats:
    """The K − 1 singular values of C T that can differ from 0, descending, shape (..., K − 1): λ for uniform noise."""
    return np.linalg.svd(centred(transition), compute_uv=False)[..., :-1]


def rms_signal(transition: Floats) -> Any:
    """√(‖C T‖²/(K − 1)), the root mean square of `signal_spectrum`."""
    return np.sqrt((centred(transition) ** 2).sum((-2, -1)) / (transition.shape[-1] - 1))


def variance_within(transition: Floats) -> Any:
    """K − ‖T‖², computed as Σ T_ck (1 − T_ck): positive terms keep their digits where labels are almost clean."""
    true, false = _split(transition)
    wrong = false.sum(-1)
    return (true * wrong + (false * (1 - false)).sum(-1)).sum(-1)


def margins(transition: Floats) -> Floats:
    """T_cc − max_{k≠c} T_ck, shape (..., K): the lead of each true label over the commonest false one."""
    true = np.diagonal(transition, axis1=-2, axis2=-1)
    false = np.where(np.eye(transition.shape[-1], dtype=bool), -np.inf, transition)
    return true - false.max(-1)


def unlearnable(transition: Floats) -> tuple[int, ...]:
    """The classes with margin <= 0: predicting the likeliest label never gives them, however many data there are."""
    return tuple(int(c) for c in np.flatnonzero(margins(transition) <= _ROUNDING))


def loss_floor(transition: Floats) -> Any:
    """−Σ_ck T_ck ln T_ck/K, in nats: the cross-entropy that no classifier of clean images can go below."""
    true, false = _split(transition)
    # where T_cc is near 1 its logarithm has the digits of 1 − T_cc, the sum of the others
    log_true = np.where(true > 0.5, np.log1p(-np.minimum(false.sum(-1), 0.5)), np.log(true + (true == 0)))
    log_false = np.log(false + (false == 0))  # 0 ln 0 = 0
    return -(true * log_true + (false * log_false).sum(-1)).mean(-1)


def centred(transition: Floats) -> Floats:
    """C T with C = I − 11ᵀ/K: T minus the mean of each column, shape (..., K, K)."""
    return transition - transition.mean(-2, keepdims=True)


def _split(transition: Floats) -> tuple[Floats, Floats]:
    """T_cc, shape (..., K), and T with zeros there."""
    diagonal = np.eye(transition.shape[-1], dtype=bool)
    return np.diagonal(transition, axis1=-2, axis2=-1), np.where(diagonal, 0.0, transition)
