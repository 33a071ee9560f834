"""Label noise: α noisy copies per clean label, as matrices and as the label of any one copy."""

from effbatch.noise.labels import (
    Stream,
    counter_hash,
    fixed_copy,
    fixed_foreign,
    fixed_label,
    fresh_foreign,
    fresh_label,
    fresh_noisy,
    uniform_from_hash,
)
from effbatch.noise.matrix import Labels, MatrixNoise
from effbatch.noise.structured import ORDERS, structured_noise_matrix
from effbatch.noise.transition import expected_targets
from effbatch.noise.uniform import UniformNoise, alpha_from_noise_rate

__all__ = [
    "ORDERS",
    "Labels",
    "MatrixNoise",
    "Stream",
    "UniformNoise",
    "alpha_from_noise_rate",
    "counter_hash",
    "expected_targets",
    "fixed_copy",
    "fixed_foreign",
    "fixed_label",
    "fresh_foreign",
    "fresh_label",
    "fresh_noisy",
    "structured_noise_matrix",
    "uniform_from_hash",
]
