"""A kind of noise, or a matrix -> the labels at any α."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from effbatch.core.errors import InputError
from effbatch.laws.base import LARGEST, one_of
from effbatch.noise import Labels, MatrixNoise, UniformNoise, structured_noise_matrix

if TYPE_CHECKING:
    from effbatch.theory.dynamics import Spectrum

NOISE_KINDS = ("uniform", "structured")


def num_classes_of(given: float | None, matrix: Any, spectra: Sequence[Spectrum]) -> float:
    """The number of classes that everything given agrees on."""
    facts = [("num_classes", given)] if given is not None else []
    facts += [("the matrix", len(matrix))] if matrix is not None else []
    facts += [("the network", spectrum.num_classes) for spectrum in spectra]
    if len({value for _, value in facts}) > 1:
        came = ", ".join(dict.fromkeys(f"{value} by {what}" for what, value in facts))
        raise InputError(f"one number of classes is needed; {came} came: leave num_classes out")
    return facts[0][1] if facts else 10


def noise_family(
    kind: str, delta: float | None, order: ArrayLike | None, matrix: Any, num_classes: int
) -> Callable[[float], Labels]:
    """The same kind of noise at any α."""
    one_of("the noise", kind, NOISE_KINDS)
    if matrix is not None and kind != "uniform":
        raise InputError("a noise matrix says all about the noise; structured noise came too: leave one out")
    if (delta is not None) != (kind == "structured"):
        raise InputError(
            f"structured noise needs delta, from 0 to 1, and no other noise takes it; {kind} noise and delta = {delta} "
            "came"
        )
    if order is not None and kind != "structured":
        raise InputError(f"order is for structured noise; it came with {kind} noise: leave it out")
    if matrix is not None:
        return lambda alpha: MatrixNoise(alpha, matrix)
    if delta is not None:
        return lambda alpha: MatrixNoise(alpha, structured_noise_matrix(alpha, num_classes, delta, order=order))
    return lambda alpha: UniformNoise(alpha, num_classes)


def effective_alpha(labels: Labels) -> float:
    alpha = float(labels.effective_alpha)
    if alpha > LARGEST and isinstance(labels, MatrixNoise):
        raise InputError(
            f"labels of this noise matrix carry no signal at alpha = {labels.alpha:g}: their law is the same for "
            "every class, and nothing can be learned from them"
        )
    return alpha
