"""Label noise: matrices and rates against exact arithmetic, drawn labels against frequencies and reference bits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch

from effbatch.core.errors import InputError
from effbatch.noise import (
    MatrixNoise,
    UniformNoise,
    alpha_from_noise_rate,
    expected_targets,
    structured_noise_matrix,
    transition,
)
from effbatch.noise.labels import counter_hash, fixed_copy, fixed_label, fresh_label, uniform_from_hash

GAMMA = 0x9E3779B97F4A7C15
STRUCTURED = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5], [0.05, 0.0, 0.95]])


def within_binomial(count: float, n: int, p: float) -> bool:
    return abs(count - n * p) <= 4.5 * np.sqrt(n * p * (1 - p))


def chi_square_per_degree(a: np.ndarray, b: np.ndarray, num_classes: int) -> float:
    """Standardised chi-square of the contingency table of two label sequences that should be independent."""
    table = np.histogram2d(a, b, bins=[np.arange(num_classes + 1)] * 2)[0]
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    degrees = (num_classes - 1) ** 2
    return float((((table - expected) ** 2 / expected).sum() - degrees) / np.sqrt(2 * degrees))


# --- matrices, rates, entropy ---


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0, 20.0])
def test_rates_are_those_of_the_transition_matrix(alpha):
    noise = UniformNoise(alpha, 5)
    T = noise.transition_matrix()
    np.testing.assert_allclose(T.sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_allclose(np.diag(T), noise.clean_probability, rtol=1e-14)
    np.testing.assert_allclose(1 - np.diag(T), noise.noise_rate, atol=1e-15)
    centred = np.linalg.svd(T - 1 / 5, compute_uv=False)[:4]
    np.testing.assert_allclose(centred, noise.signal, rtol=1e-12)


def test_loss_floor_and_noise_to_signal_keep_ten_digits_at_every_alpha():
    mpmath.mp.dps = 40
    for alpha in (0.0, 1e-12, 1e-8, 1e-4, 0.1, 1.0, 7.0, 1e3, 1e6):
        a = mpmath.mpf(alpha)
        for K in (2, 3, 10, 1000, 100_000):
            noise = UniformNoise(alpha, K)
            right, wrong = (1 + a / K) / (1 + a), a / (K * (1 + a))
            entropy = -right * mpmath.log(right) - ((K - 1) * wrong * mpmath.log(wrong) if alpha else 0)
            assert noise.loss_floor == pytest.approx(float(entropy), rel=1e-10)
            assert noise.noise_to_signal == pytest.approx(float((1 + a) ** 2 - 1), rel=1e-14)


def test_alpha_broadcasts():
    alpha = np.array([0.0, 2.0, 9.0])
    together, alone = UniformNoise(alpha, 10), [UniformNoise(a, 10) for a in alpha]
    for name in ("signal", "clean_probability", "noise_rate", "noise_to_signal", "loss_floor"):
        np.testing.assert_array_equal(getattr(together, name), [getattr(noise, name) for noise in alone])
    np.testing.assert_array_equal(together.transition_matrix(), [noise.transition_matrix() for noise in alone])


@pytest.mark.parametrize("num_classes", [2, 10, 1000])
def test_alpha_and_noise_rate_are_inverse(num_classes):
    alpha = np.array([0.0, 1e-9, 0.25, 3.0, 100.0])
    back = alpha_from_noise_rate(UniformNoise(alpha, num_classes).noise_rate, num_classes)
    np.testing.assert_allclose(back, alpha, rtol=1e-10)


def test_expected_targets_are_mean_labels():
    alpha = np.array([0.0, 0.5, 4.0])
    T = expected_targets(alpha, STRUCTURED)
    assert T.shape == (3, 3, 3)
    for a, rows in zip(alpha, T, strict=True):
        for c in range(3):
            mean = sum((1.0 if k == c else 0.0) * np.eye(3)[k] + a * STRUCTURED[c, k] * np.eye(3)[k] for k in range(3))
            np.testing.assert_allclose(rows[c], mean / (1 + a), rtol=1e-14)


@pytest.mark.parametrize("alpha", [-0.1, np.nan, np.inf, np.array([1.0, -2.0])])
def test_alpha_out_of_range_is_refused(alpha):
    with pytest.raises(InputError, match="alpha must be a finite number >= 0") as error:
        UniformNoise(alpha, 10)
    np.testing.assert_array_equal(error.value.facts["alpha"], alpha)


@pytest.mark.parametrize("num_classes", [1, 0, 2.5, np.nan])
def test_too_few_classes_are_refused(num_classes):
    with pytest.raises(InputError, match=f"whole number from 2 on, got {num_classes}: count them$"):
        UniformNoise(1.0, num_classes)


@pytest.mark.parametrize("rate", [-0.01, 0.9, 0.95, np.nan])
def test_noise_rate_without_signal_is_refused(rate):
    with pytest.raises(InputError, match=rf"below \(K − 1\)/K = 0.9, .*, got {rate}:"):
        alpha_from_noise_rate(rate, 10)


# --- any matrix ---

NUMBERS = ("signal", "clean_probability", "noise_rate", "noise_to_signal", "loss_floor", "effective_alpha")


@pytest.mark.parametrize("num_classes", [2, 3, 10])
@pytest.mark.parametrize("alpha", [0.0, 0.4, 7.0, 1000.0])
def test_a_uniform_matrix_has_the_numbers_of_uniform_noise(alpha, num_classes):
    closed = UniformNoise(alpha, num_classes)
    by_matrix = MatrixNoise(alpha, closed.noise_matrix())
    for name in NUMBERS:
        assert getattr(by_matrix, name) == pytest.approx(getattr(closed, name), rel=1e-9, abs=1e-14), name
    np.testing.assert_allclose(by_matrix.signal_spectrum, [closed.signal] * (num_classes - 1), atol=1e-14)
    np.testing.assert_allclose(by_matrix.transition_matrix(), closed.transition_matrix(), atol=1e-16)
    assert by_matrix.unlearnable == closed.unlearnable == ()


def test_numbers_of_a_matrix_are_those_of_labels_drawn_from_it():
    """All classes equally frequent; every label counted with its probability."""
    noise = MatrixNoise(1.5, STRUCTURED)
    T = [[(1.0 * (c == k) + 1.5 * STRUCTURED[c, k]) / 2.5 for k in range(3)] for c in range(3)]
    right = sum(T[c][c] for c in range(3)) / 3
    entropy = -sum(p * np.log(p) for row in T for p in row if p) / 3
    mean = [sum(T[c][k] for c in range(3)) / 3 for k in range(3)]
    between = sum((T[c][k] - mean[k]) ** 2 for c in range(3) for k in range(3)) / 3
    within = sum(T[c][j] * ((j == k) - T[c][k]) ** 2 for c in range(3) for j in range(3) for k in range(3)) / 3
    assert noise.clean_probability == pytest.approx(right)
    assert noise.noise_rate == pytest.approx(1 - right)
    assert noise.loss_floor == pytest.approx(entropy)
    assert noise.noise_to_signal == pytest.approx(within / between)
    assert noise.signal == pytest.approx(np.sqrt(3 * between / 2))
    assert noise.effective_alpha == pytest.approx(1 / noise.signal - 1)


def test_the_spectrum_has_every_direction_in_which_classes_differ():
    noise = MatrixNoise(1.5, STRUCTURED)
    spectrum = noise.signal_spectrum
    assert spectrum.shape == (2,)
    assert noise.signal == pytest.approx(np.sqrt((spectrum**2).mean()))
    rng = np.random.default_rng(0)
    for weights in rng.normal(size=(200, 3)):
        weights -= weights.mean()
        length = np.linalg.norm(weights @ noise.transition_matrix()) / np.linalg.norm(weights)
        assert spectrum[-1] - 1e-12 <= length <= spectrum[0] + 1e-12


def test_classes_without_a_margin_cannot_be_learned():
    swap = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert MatrixNoise(0.9, swap).unlearnable == ()
    assert MatrixNoise(1.0, swap).unlearnable == (0,)  # a tie
    assert MatrixNoise(1.1, swap).unlearnable == (0,)


def test_labels_without_signal_have_an_infinite_effective_alpha():
    noise = MatrixNoise(1.0, np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert noise.signal == 0
    assert noise.effective_alpha == np.inf
    assert noise.noise_to_signal == np.inf


def test_stacks_of_matrices_are_taken_one_by_one():
    T = expected_targets(np.array([0.0, 0.5, 4.0]), STRUCTURED)
    for function in (
        transition.signal_spectrum,
        transition.rms_signal,
        transition.variance_within,
        transition.margins,
        transition.loss_floor,
    ):
        np.testing.assert_allclose(function(T), [function(one) for one in T], atol=1e-14)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ([[0.5, 0.5]], r"got shape \(1, 2\)"),
        ([[1.0]], r"got shape \(1, 1\)"),
        ([[1.0, 0.0], [0.6, 0.5]], "row 1 sums to 1.1"),
        ([[1.0, 0.0], [1.5, -0.5]], r"row 1 holds \[-0.5\]"),
        ([[np.nan, 1.0], [0.5, 0.5]], "row 0 holds NaN"),
        ([["a", "b"], ["c", "d"]], "one number per class and label"),
    ],
)
def test_other_matrices_are_refused(matrix, words):
    with pytest.raises(InputError, match=words):
        MatrixNoise(1.0, matrix)


def test_matrices_of_too_many_classes_are_refused(monkeypatch):
    monkeypatch.setattr(transition, "MAX_CLASSES", 2)
    MatrixNoise(1.0, np.eye(2))
    for make in (lambda: MatrixNoise(1.0, np.eye(3)), lambda: structured_noise_matrix(1.0, 3, 0.5)):
        with pytest.raises(InputError, match="at most 2 classes, got 3: uniform noise takes any number"):
            make()


@pytest.mark.parametrize("alpha", [-1.0, np.nan, np.array([1.0, 2.0])])
def test_a_matrix_takes_one_alpha_in_range(alpha):
    with pytest.raises(InputError, match="alpha must be"):
        MatrixNoise(alpha, STRUCTURED)


# --- structured noise ---


@pytest.mark.parametrize("num_classes", [2, 3, 5, 10])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0, 20.0])
@pytest.mark.parametrize("delta", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_structured_noise_is_as_defined(num_classes, alpha, delta):
    K = num_classes
    N = structured_noise_matrix(alpha, K, delta)
    np.testing.assert_allclose(N.sum(1), 1, rtol=1e-12)
    assert N.min() >= 0
    T = expected_targets(alpha, N)
    t = UniformNoise(alpha, K).clean_probability
    chance = (1 - t) / (K - 1)
    first = (1 - delta) * chance + delta * min(t, 1 - t)
    for c in range(K):
        false = [T[c, (c + j) % K] for j in range(1, K)]
        assert T[c, c] == pytest.approx(t)
        assert false[0] == pytest.approx(first, abs=1e-14)
        assert sum(false) == pytest.approx(1 - t, abs=1e-14)
        # linear where positive, zero after: all positive steps are one slope, and the line's next value is not above 0
        positive = [f for f in false if f > 1e-12]
        assert false[: len(positive)] == positive
        steps = -np.diff(positive)
        np.testing.assert_allclose(steps, steps[:1].repeat(len(steps)), atol=1e-12)
        if 1 < len(positive) < K - 1:
            assert positive[-1] - steps[0] <= 1e-12
    if delta == 0:
        np.testing.assert_allclose(N, 1 / K, atol=1e-15)


def test_at_degree_one_the_commonest_false_label_ties_with_the_true_one():
    assert MatrixNoise(20.0, structured_noise_matrix(20.0, 10, 1.0)).unlearnable == tuple(range(10))
    assert MatrixNoise(20.0, structured_noise_matrix(20.0, 10, 0.95)).unlearnable == ()
    assert MatrixNoise(0.5, structured_noise_matrix(0.5, 10, 1.0)).unlearnable == ()  # t > 1/2


def test_structured_noise_follows_the_order_given():
    order = np.array([[2, 1, 3, 0], [1, 3, 0, 2], [0, 1, 2, 3], [0, 3, 2, 1]])
    N = structured_noise_matrix(9.0, 4, 0.6, order=order)
    for c, row in enumerate(order):
        false = [N[c, k] for k in row if k != c]
        assert false == sorted(false, reverse=True)
        assert false[0] > false[-1]
    np.testing.assert_allclose(np.sort(N, axis=1), np.sort(structured_noise_matrix(9.0, 4, 0.6), axis=1))


@pytest.mark.parametrize("delta", [-0.1, 1.1, np.nan])
def test_degrees_outside_zero_to_one_are_refused(delta):
    with pytest.raises(InputError, match=rf"delta must lie in \[0, 1\], got {delta}"):
        structured_noise_matrix(1.0, 10, delta)


@pytest.mark.parametrize("order", [[[0, 1], [1, 0]], [[0, 0, 1], [0, 1, 2], [0, 1, 2]], [[0.5, 1, 2]] * 3])
def test_orders_that_are_no_permutations_are_refused(order):
    with pytest.raises(InputError, match="3 rows, each with the classes 0 to 2 once"):
        structured_noise_matrix(1.0, 3, 0.5, order=order)


# --- the hash ---


def test_hash_is_splitmix64():
    # The k-th output from seed 0 mixes k gammas; hashing one word adds one gamma.
    states = np.array([k * GAMMA % 2**64 for k in range(3)], dtype=np.uint64).astype(np.int64)
    hashed = counter_hash(states).astype(np.uint64)
    assert [int(h) for h in hashed] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def slow_hash(*words: int) -> int:
    h = 0
    for word in words:
        z = ((h ^ (word % 2**64)) + GAMMA) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        h = z ^ z >> 31
    return h


def test_hash_chains_words_of_any_kind():
    for words in [(1, 2, 3), (0, -1, 2**62), (7, 2**64 - 1, 0)]:
        expected = slow_hash(*words)
        assert int(counter_hash(*words)) % 2**64 == expected
        assert int(counter_hash(*words[:2], np.array([words[2]]))[0]) % 2**64 == expected
        assert int(counter_hash(words[0], words[1], torch.tensor([words[2]]))[0]) % 2**64 == expected


def test_uniforms_are_the_upper_53_bits():
    h = np.array([0, -1, 1 << 11, -(2**63)])
    np.testing.assert_array_equal(uniform_from_hash(h), [0.0, 1 - 2.0**-53, 2.0**-53, 0.5])


# --- labels ---


def test_numpy_and_torch_agree_bit_for_bit():
    image, seed = np.arange(500), np.array([[3], [2**40 + 1]])
    label = image % 3
    cumulative = STRUCTURED.cumsum(axis=1)
    t = torch.as_tensor
    h = counter_hash(5, seed, image)
    np.testing.assert_array_equal(counter_hash(5, t(seed), t(image)).numpy(), h)
    u = uniform_from_hash(t(h))
    assert u.dtype == torch.float64
    np.testing.assert_array_equal(u.numpy(), uniform_from_hash(h))
    alpha = np.array([[[0.0]], [[0.7]], [[12.0]]])
    for visit_pass in (0, 1, 1000):
        copy = fixed_copy(alpha, visit_pass, image, seed)
        copy_torch = fixed_copy(t(alpha), visit_pass, t(image), t(seed))
        np.testing.assert_array_equal(copy_torch.numpy(), copy)
        for how in ({"cumulative": cumulative}, {"num_classes": 3}):
            how_torch = {k: t(v) if k == "cumulative" else v for k, v in how.items()}
            fixed = fixed_label(label, image, copy, seed, **how)
            fixed_torch = fixed_label(t(label), t(image), copy_torch, t(seed), **how_torch)
            assert fixed_torch.dtype == torch.int64
            np.testing.assert_array_equal(fixed_torch.numpy(), fixed)
            fresh = fresh_label(label, image, visit_pass, alpha, seed, **how)
            fresh_torch = fresh_label(t(label), t(image), visit_pass, t(alpha), t(seed), **how_torch)
            np.testing.assert_array_equal(fresh_torch.numpy(), fresh)


def test_a_label_asked_alone_is_the_label_in_bulk():
    image, copy = np.arange(200)[:, None], np.arange(6)
    bulk = fixed_label(image % 7, image, copy, 11, num_classes=7)
    for i, c in [(0, 0), (17, 5), (199, 1)]:
        assert fixed_label(i % 7, i, c, 11, num_classes=7) == bulk[i, c]
    np.testing.assert_array_equal(fixed_label(image[::-1] % 7, image[::-1], copy, 11, num_classes=7), bulk[::-1])


def test_copy_zero_is_true_and_others_follow_the_noise_matrix():
    n = 60_000
    image = np.arange(n)
    for true in range(3):
        for how, row in (
            ({"cumulative": STRUCTURED.cumsum(axis=1)}, STRUCTURED[true]),
            ({"num_classes": 3}, [1 / 3] * 3),
        ):
            label = np.full(n, true)
            assert (fixed_label(label, image, 0, 4, **how) == true).all()
            drawn = fixed_label(label, image, 2, 4, **how)
            for k in range(3):
                assert within_binomial((drawn == k).sum(), n, row[k])


def test_rounded_rows_never_give_a_class_too_many():
    row = np.full(10, 0.1)
    cumulative = np.tile(row.cumsum(), (10, 1))
    assert cumulative[0, -1] < 1  # the trap: ten tenths do not add up to 1
    cumulative[:, -1] = 0.5  # and a gross one
    label = fixed_label(np.zeros(5000, dtype=np.int64), np.arange(5000), 1, 0, cumulative)
    assert label.max() == 9


def test_fresh_labels_have_the_noise_rate_and_change_between_passes():
    n, alpha = 60_000, 2.5
    image = np.arange(n)
    label = image % 10
    first, second = (fresh_label(label, image, p, alpha, 9, num_classes=10) for p in (0, 1))
    rate = UniformNoise(alpha, 10).noise_rate
    assert within_binomial((first != label).sum(), n, rate)
    assert abs(chi_square_per_degree((first - label) % 10, (second - label) % 10, 10)) < 4.5


def test_more_noise_flips_a_superset_to_the_same_labels():
    image = np.arange(5000)
    label = image % 10
    previous = label
    for alpha in (0.0, 0.1, 1.0, 10.0, 1000.0):
        now = fresh_label(label, image, 3, alpha, 1, num_classes=10)
        wrong_before = previous != label
        np.testing.assert_array_equal(now[wrong_before], previous[wrong_before])
        assert (now != label).sum() >= wrong_before.sum()
        previous = now
    assert (previous != label).mean() > 0.85


def fixed(image: np.ndarray, copy: int = 1, seed: int = 0) -> np.ndarray:
    return fixed_label(0 * image, image, copy, seed, num_classes=8)


DRAWS = {
    "neighbouring images": lambda i: (fixed(i), fixed(i + 1)),
    "neighbouring copies": lambda i: (fixed(i), fixed(i, copy=2)),
    "neighbouring seeds": lambda i: (fixed(i), fixed(i, seed=1)),
    "labels and copies": lambda i: (fixed(i), fixed_copy(7, 0, i, 0)),
    "fixed and fresh": lambda i: (fixed(i), fresh_label(0 * i, i, 1, 1e12, 0, num_classes=8)),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
def test_draws_are_independent(draw):
    a, b = draw(np.arange(100_000))
    assert abs(chi_square_per_degree(a, b, 8)) < 4.5


def test_which_label_is_noisy_does_not_tell_the_label():
    image = np.arange(100_000)
    marked = fresh_label(0 * image + 8, image, 0, 1.0, 0, num_classes=8)  # 8: kept its true label
    drawn = np.bincount(marked[marked < 8], minlength=8)
    assert all(within_binomial(count, drawn.sum(), 1 / 8) for count in drawn)


# --- copies ---


def test_whole_alpha_shows_every_copy_once_in_each_round():
    image, passes = np.arange(300), np.arange(8)[:, None]
    copies = fixed_copy(3, passes, image, 5)
    for start in range(5):
        np.testing.assert_array_equal(np.sort(copies[start : start + 4], axis=0), np.arange(4)[:, None] + 0 * image)
    np.testing.assert_array_equal(copies[4:], copies[:4])
    assert len(np.unique(copies[0])) == 4  # images start at different copies


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0, 2.5, 7.3])
def test_copies_come_with_their_frequencies(alpha):
    n = 50_000
    copy = fixed_copy(alpha, 2, np.arange(n), 8)
    for c in range(int(np.ceil(alpha)) + 1):
        share = 1.0 if c <= alpha else alpha - np.floor(alpha)
        assert within_binomial((copy == c).sum(), n, share / (1 + alpha))
    assert copy.min() >= 0
    assert copy.max() <= np.ceil(alpha)


def test_over_many_passes_fractional_alpha_is_met_for_every_image():
    clean = (fixed_copy(0.37, np.arange(2000)[:, None], np.arange(50), 0) == 0).mean(axis=0)
    np.testing.assert_allclose(clean, 1 / 1.37, atol=2e-3)
