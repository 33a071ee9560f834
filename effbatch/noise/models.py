"""α noisy copies per clean label -> transition matrices, rates, entropy: uniform noise, any matrix, structured noise.

Rows of a matrix are true classes, columns given labels; N is the law of a noisy copy's label, and
T = (I + α N)/(1 + α) that of a random copy's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from effbatch.core.errors import InputError
from effbatch.noise import transition

Array = Any  # a float, a NumPy array or a DataArray


ORDERS = ("confusion", "reverse", "random")  # of the false labels of structured noise, where a data set is known


@dataclass(frozen=True)
class UniformNoise:
    """Labels drawn uniformly over all K classes, the true one included: N = 11ᵀ/K, T = λ I + (1 − λ) 11ᵀ/K.

    alpha        noisy labels per clean label, finite and >= 0, not necessarily whole; an array broadcasts
    num_classes  K >= 2
    Raises InputError outside these ranges. The noise model of Rolnick et al. (2017, arXiv 1705.10694).
    """

    alpha: Array
    num_classes: int

    def __post_init__(self) -> None:
        if not np.all(np.isfinite(self.alpha)) or np.any(np.less(self.alpha, 0)):
            raise InputError(
                f"alpha must be a finite number >= 0 of noisy labels per clean label; {self.alpha} came: "
                "give 0 for clean labels",
                alpha=self.alpha,
            )
        _check_num_classes(self.num_classes)

    @property
    def signal(self) -> Array:
        """λ = 1/(1 + α), the share of clean labels."""
        return 1 / (1 + self.alpha)

    @property
    def clean_probability(self) -> Array:
        """P(label correct) = (1 + α/K)/(1 + α)."""
        return (1 + self.alpha / self.num_classes) / (1 + self.alpha)

    @property
    def noise_rate(self) -> Array:
        """ρ = P(label wrong) = α (K − 1)/(K (1 + α))."""
        K = self.num_classes
        return self.alpha * ((K - 1) / K) / (1 + self.alpha)

    @property
    def noise_to_signal(self) -> Array:
        """ξ = 1/λ² − 1 = α (2 + α): label noise against signal, as energies, in one labelled copy."""
        return self.alpha * (2 + self.alpha)

    @property
    def loss_floor(self) -> Array:
        """Entropy of a label in nats, −P_c ln P_c − (K−1) P_w ln P_w: training loss below it is memorising."""
        K = self.num_classes
        # Two log1p keep all digits at both ends: P_c -> 1 (small α) and P_c -> 1/K (large α).
        minus_log_clean = np.log1p(self.alpha) - np.log1p(self.alpha / K)
        wrong = self.noise_rate / (K - 1)
        log_wrong = np.log(wrong + (wrong == 0))  # 0 ln 0 = 0
        return self.clean_probability * minus_log_clean - self.noise_rate * log_wrong

    @property
    def effective_alpha(self) -> Array:
        """α itself: the laws were derived for this noise."""
        return self.alpha

    @property
    def signal_spectrum(self) -> np.ndarray:
        """λ, K − 1 times, shape (*alpha.shape, K − 1)."""
        return np.repeat(np.asarray(self.signal)[..., None], self.num_classes - 1, axis=-1)

    @property
    def least_signal(self) -> Array:
        """λ, the last of `signal_spectrum`, at any number of classes."""
        return self.signal

    @property
    def margins(self) -> np.ndarray:
        """λ for every class: the lead of the true label over any false one, shape (*alpha.shape, K)."""
        return np.repeat(np.asarray(self.signal)[..., None], self.num_classes, axis=-1)

    @property
    def unlearnable(self) -> tuple[int, ...]:
        """No class: the true label is the likeliest at every finite α."""
        return ()

    def noise_matrix(self) -> np.ndarray:
        """N = 11ᵀ/K, shape (K, K)."""
        return np.full((self.num_classes, self.num_classes), 1 / self.num_classes)

    def transition_matrix(self) -> np.ndarray:
        """T = λ I + (1 − λ) 11ᵀ/K, shape (*alpha.shape, K, K)."""
        return expected_targets(self.alpha, self.noise_matrix())


@dataclass(frozen=True, eq=False)
class MatrixNoise:
    """Labels of noisy copies drawn from the rows of any N: T = (I + α N)/(1 + α).

    alpha   noisy labels per clean label, finite and >= 0
    matrix  N, (K, K): rows = true class, columns = drawn label, each row with sum 1
    Numbers over classes are means with all classes equally frequent. With uniform N they are those of `UniformNoise`.
    Raises InputError outside these ranges.
    """

    alpha: float
    matrix: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", transition.checked_matrix(self.matrix))
        if np.ndim(self.alpha):
            raise InputError(f"alpha must be one number with a noise matrix; {self.alpha} came: make one for each")
        UniformNoise(self.alpha, self.num_classes)  # the same α is allowed

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.matrix)

    @property
    def clean_probabilities(self) -> np.ndarray:
        """T_cc = P(label correct) of each class, shape (K,)."""
        return np.diag(self.transition_matrix())

    @property
    def clean_probability(self) -> float:
        """P(label correct), the mean of T_cc."""
        return float(self.clean_probabilities.mean())

    @property
    def noise_rate(self) -> float:
        """P(label wrong), the mean of 1 − T_cc."""
        return self.alpha / (1 + self.alpha) * float(1 - np.diag(self.matrix).mean())

    @property
    def signal(self) -> float:
        """Root-mean-square singular value of the centred T."""
        return float(transition.rms_signal(self._centred()))

    @property
    def signal_spectrum(self) -> np.ndarray:
        """Singular values of the centred T, descending, shape (K − 1,); the last is the weakest distinction."""
        return transition.signal_spectrum(self._centred())

    @property
    def least_signal(self) -> float:
        """The last of `signal_spectrum`: how much the labels tell of the weakest distinction."""
        return float(self.signal_spectrum[-1])

    @property
    def effective_alpha(self) -> float:
        """1/signal − 1: the α of uniform noise with the same root-mean-square signal; infinite without any."""
        # 1 − signal² by itself, as the difference of 1 and a signal near it would lose its digits: with C T = C − s D,
        # s = α/(1 + α) and D = C (I − N), ‖C T‖² = K − 1 − 2 s tr D + s² ‖D‖²
        share, lost = self.alpha / (1 + self.alpha), transition.centred(np.eye(self.num_classes) - self.matrix)
        missing = share * (2 * np.trace(lost) - share * (lost**2).sum()) / (self.num_classes - 1)
        # the signal is at most 1 but for rounding
        return max(0.0, float(missing / (self.signal * (1 + self.signal)))) if self.signal > 0 else np.inf

    @property
    def noise_to_signal(self) -> float:
        """Variance of a label within its class over that between classes: see `transition.noise_to_signal`."""
        within = transition.variance_within(self.transition_matrix())
        between = (self.num_classes - 1) * self.signal**2
        return float(within / between) if between > 0 else np.inf

    @property
    def loss_floor(self) -> float:
        """Mean entropy of a label given its class, in nats: training loss below it is memorising."""
        return float(transition.loss_floor(self.transition_matrix()))

    @property
    def margins(self) -> np.ndarray:
        """T_cc − max_{k≠c} T_ck of each class, shape (K,)."""
        return (1 + self.alpha * transition.margins(self.matrix)) / (1 + self.alpha)

    @property
    def unlearnable(self) -> tuple[int, ...]:
        """The classes whose true label is not the likeliest: margin <= 0."""
        return transition.unlearnable(self.transition_matrix())

    def noise_matrix(self) -> np.ndarray:
        """N, shape (K, K)."""
        return self.matrix

    def transition_matrix(self) -> np.ndarray:
        """T = (I + α N)/(1 + α), shape (K, K)."""
        return expected_targets(self.alpha, self.matrix)

    def _centred(self) -> np.ndarray:
        """C T from its parts: at large α the entries of T hardly differ, and their rounding would be all of C T."""
        clean, noisy = (transition.centred(matrix) for matrix in (np.eye(self.num_classes), self.matrix))
        return (clean + self.alpha * noisy) / (1 + self.alpha)


def structured_noise_matrix(alpha: float, num_classes: int, delta: float, *, order: Array = None) -> np.ndarray:
    """N of structured noise of degree δ: false labels fall linearly in preference, the true one is as often as ever.

    With t = λ + (1 − λ)/K the chance of the true label, as for uniform noise, and chance = (1 − t)/(K − 1), the
    commonest false label has

        f_1 = (1 − δ) chance + δ min(t, 1 − t),     f_j = max(f_1 − (j − 1) s, 0),     Σ_j f_j = 1 − t,

    which fixes s. δ = 0 is uniform noise; at δ = 1 the commonest false label is as likely as the true one (t <= ½),
    or the only one. As t is a function of α, so is N. Our reading of Rolnick et al. (2017, arXiv 1705.10694, sect. 4).

    order   (K, K) classes by falling preference, one row per true class; the true class itself may stand anywhere.
            Without it: class c is taken for c + 1, c + 2, ... (modulo K).
    Raises InputError for δ outside [0, 1] and rows that are not permutations of the classes.
    """
    K, t = num_classes, UniformNoise(alpha, num_classes).clean_probability
    transition.check_size(K)
    if not 0 <= delta <= 1:
        raise InputError(f"delta must lie in [0, 1]; {delta} came: 0 is uniform noise", delta=delta)
    classes = np.arange(K)
    rows = (classes[:, None] + classes) % K if order is None else np.asarray(order)
    if rows.shape != (K, K) or not (np.sort(rows, axis=1) == classes).all():
        raise InputError(
            f"the order needs {K} rows, each with the classes 0 to {K - 1} once; others came in shape {rows.shape}"
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


def alpha_from_noise_rate(noise_rate: Array, num_classes: int) -> Array:
    """α of uniform noise with wrong-label rate ρ: α = 1/λ − 1, λ = 1 − ρK/(K − 1); InputError unless λ > 0."""
    _check_num_classes(num_classes)
    K = num_classes
    limit = (K - 1) / K
    left = K * (1 - noise_rate) - 1  # (K − 1) λ; near the limit 1 − ρ is exact, where (K − 1)/K is rounded
    if not (np.all(np.greater_equal(noise_rate, 0)) and np.all(np.greater(left, 0))):
        raise InputError(
            f"the noise rate must be >= 0 and below (K - 1)/K = {limit:.6g}, where labels of {K} classes carry "
            f"no signal; {noise_rate} came: give the share of wrong labels",
            noise_rate=noise_rate,
            limit=limit,
        )
    return K * noise_rate / left


def expected_targets(alpha: Array, noise_matrix: np.ndarray) -> np.ndarray:
    """T = (I + α N)/(1 + α): the mean label of a copy, one row per true class, shape (*alpha.shape, K, K).

    noise_matrix is N (K, K), or one for each α, (*alpha.shape, K, K). Cross-entropy against row c is the objective of
    an infinite batch of copies of class c (for uniform N, label smoothing by α/(1 + α)).
    """
    a = np.asarray(alpha, dtype=float)[..., None, None]
    return (np.eye(noise_matrix.shape[-1]) + a * noise_matrix) / (1 + a)


def _check_num_classes(num_classes: int) -> None:
    if not float(num_classes).is_integer() or num_classes < 2:
        raise InputError(
            f"the number of classes must be a whole number >= 2; {num_classes} came", num_classes=num_classes
        )


Labels = UniformNoise | MatrixNoise
