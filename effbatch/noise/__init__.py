"""Label noise: α noisy copies per clean label, as matrices, and in `labels` as the label of any one copy."""

from effbatch.noise.matrix import Labels, MatrixNoise
from effbatch.noise.structured import NOISE_KINDS, ORDERS, structured_noise_matrix
from effbatch.noise.transition import expected_targets
from effbatch.noise.uniform import UniformNoise, alpha_from_noise_rate

__all__ = [
    "NOISE_KINDS",
    "ORDERS",
    "Labels",
    "MatrixNoise",
    "UniformNoise",
    "alpha_from_noise_rate",
    "expected_targets",
    "structured_noise_matrix",
]
