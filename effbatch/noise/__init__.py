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
from effbatch.noise.models import (
    ORDERS,
    Labels,
    MatrixNoise,
    UniformNoise,
    alpha_from_noise_rate,
    expected_targets,
    structured_noise_matrix,
)

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
