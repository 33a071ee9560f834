"""The recursion against the linear model that it describes, simulated step by step."""

from dataclasses import replace

import numpy as np
import pytest

from effbatch.core.errors import InputError
from effbatch.noise import expected_targets
from effbatch.theory.detection import accuracy_from_alignment
from effbatch.theory.dynamics import best_learning_rate, learning_curve
from effbatch.theory.spectrum import HeldOut, Spectrum


def power_law(modes: int = 400, classes: int = 10, initial: float = 0.02) -> Spectrum:
    k = np.arange(1, modes + 1)
    e = k**-1.3 / (k**-1.3).sum()
    return Spectrum(10 * k**-1.5, e, initial * e, num_classes=classes, examples=modes)


def simulate(h, target, initial, alpha, label_noise, batch, eta, steps, repeats, rng):
    """Kernel regression on Gaussian features, fresh images and noisy labels; coefficients in clean-target units.

    `label_noise` draws an array (copies, K) in these units. Returns the coefficients (repeats, modes, K) after
    `steps`; step size eta/K.
    """
    classes = target.shape[1]
    a = np.repeat((1 + alpha) * initial[None], repeats, 0)
    for _ in range(steps):
        phi = rng.standard_normal((repeats, batch, len(h)))
        noise = label_noise(repeats * batch).reshape(repeats, batch, classes)
        residual = phi @ (a - target) - noise
        a -= eta / classes * h[:, None] * (phi.transpose(0, 2, 1) @ residual) / batch
    return a


def isotropic_noise(alpha, classes, rng):
    """Energy (1 + alpha)² - 1, spread over K - 1 centred directions: the labels of uniform noise."""
    spread = np.sqrt(((1 + alpha) ** 2 - 1) / (classes - 1))

    def draw(copies):
        noise = spread * rng.standard_normal((copies, classes))
        return noise - noise.mean(-1, keepdims=True)

    return draw


def drawn_noise(alpha, transition, share, rng):
    """A class from `share`, a label from its row of T, minus that row: in units of the clean target times lambda."""
    classes = len(transition)
    cumulative = transition.cumsum(1)[:, :-1]

    def draw(copies):
        c = rng.choice(classes, size=copies, p=share)
        label = (cumulative[c] <= rng.random(copies)[:, None]).sum(1)
        return (1 + alpha) * (np.eye(classes)[label] - transition[c]) / np.sqrt(1 - 1 / classes)

    return draw


def centred(rng, modes, classes, energy):
    x = rng.standard_normal((modes, classes))
    x -= x.mean(1, keepdims=True)
    return x * np.sqrt(energy / (x**2).sum())


def indicators_of(target, constant):
    """The class indicators behind a target of unit energy, given the coefficients of the constant function 1."""
    classes = target.shape[1]
    return np.sqrt(1 - 1 / classes) * target + constant[:, None] / np.sqrt((constant**2).sum()) / classes


def orthogonal(x, *others):
    """The rows of x without their components along the rows of the others, mode by mode."""
    for k, others_k in enumerate(np.stack(others, 1)):
        basis = np.linalg.qr(others_k.T)[0]
        x[k] -= basis @ (basis.T @ x[k])
    return x


STRUCTURED = np.array([[0.4, 0.6, 0, 0], [0, 0.5, 0.3, 0.2], [0.1, 0.6, 0.3, 0], [0, 0.25, 0.05, 0.7]])


@pytest.mark.parametrize(
    ("alpha", "batch", "eta", "steps"),
    [(0.0, 4, 0.4, 25), (0.0, 16, 1.0, 25), (0.0, 1, 1.0, 1), (3.0, 8, 0.3, 25), (7.0, 4, 0.1, 25)],
    ids=["alpha=0-batch=4", "alpha=0-batch=16", "one-copy", "alpha=3-batch=8", "alpha=7-batch=4"],
)
def test_alignment_and_accuracy_of_a_simulated_linear_model(alpha, batch, eta, steps):
    rng = np.random.default_rng(1)
    h, classes, repeats = np.array([3.0, 1.5, 0.8, 0.4, 0.2, 0.1]), 4, max(4000, 20_000 // steps)
    target, initial = centred(rng, 6, classes, 1.0), centred(rng, 6, classes, 0.05)
    # the recursion averages over initial functions: make this one orthogonal to the target in every mode
    initial = orthogonal(initial, target)
    images = rng.standard_normal((300, 6))
    labels = (images @ target).argmax(1)
    spectrum = Spectrum(
        h, (target**2).sum(1), (initial**2).sum(1), num_classes=classes, examples=6,
        held_out=HeldOut(images, indicators_of(target, np.ones(6)), initial, images @ initial, labels),
    )  # fmt: skip
    noise = isotropic_noise(alpha, classes, rng)
    a = simulate(h, target, initial, alpha, noise, batch, eta, steps, repeats, rng)

    curve = learning_curve(spectrum, alpha, batch, eta, steps)

    # R is a ratio of means: mean overlap with the target over the root of the mean energy
    overlap, energy = (a * target).sum((1, 2)), (a**2).sum((1, 2))
    measured = overlap.mean() / np.sqrt(energy.mean())
    error = measured * np.hypot(
        overlap.std() / overlap.mean(), energy.std() / energy.mean() / 2
    ) / np.sqrt(repeats)  # fmt: skip
    assert abs(curve.alignment - measured) < 4 * error
    assert error < 0.02 * measured
    hits = ((images @ a).argmax(-1) == labels).mean(1)
    # 0.01: the noise of a test image is not exactly isotropic over the logits at alpha = 0
    assert abs(curve.accuracy - hits.mean()) < 0.01 + 4 * hits.std() / np.sqrt(repeats)


def linear_model(rng, h, classes=4, images=300):
    """A spectrum of Gaussian features whose labels are the argmax of the target; all directions random."""
    modes = len(h)
    target, initial = centred(rng, modes, classes, 1.0), centred(rng, modes, classes, 0.05)
    x = rng.standard_normal((images, modes))
    held_out = HeldOut(
        x, indicators_of(target, rng.standard_normal(modes)), initial, x @ initial, (x @ target).argmax(1)
    )
    return Spectrum(h, (target**2).sum(1), (initial**2).sum(1), num_classes=classes, examples=modes, held_out=held_out)


def noisy_target(spectrum, alpha, matrix):
    """Class indicators times (1 + alpha) (T - 1/K), scaled as the clean target."""
    classes = spectrum.num_classes
    rows = (1 + alpha) * (expected_targets(alpha, matrix) - 1 / classes)
    return spectrum.held_out.indicators @ rows / np.sqrt(1 - 1 / classes)


def test_uniform_matrix_is_the_default():
    spectrum = linear_model(np.random.default_rng(2), 3.0 / np.arange(1, 9))
    uniform, alpha, eta = np.full((4, 4), 1 / 4), np.array([[0.0], [1.5], [20.0]]), np.array([0.01, 0.3, 1.0])
    default, given = (learning_curve(spectrum, alpha, 8, eta, 40, noise_matrix=n) for n in (None, uniform))
    assert np.ptp(default.accuracy) > 0.3
    np.testing.assert_allclose(given.alignment, default.alignment, rtol=1e-10)
    np.testing.assert_allclose(given.accuracy, default.accuracy, rtol=1e-10)
    default, given = (best_learning_rate(spectrum, alpha, 8, 40, noise_matrix=n) for n in (None, uniform))
    np.testing.assert_allclose(given, default, rtol=1e-10)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0])
def test_mean_logits_travel_to_the_rows_of_the_transition_matrix(alpha):
    spectrum = linear_model(np.random.default_rng(3), np.array([3.0, 1.5, 0.8, 0.4, 0.2, 0.1]))
    test, eta, steps = spectrum.held_out, 0.5, 30
    goal = noisy_target(spectrum, alpha, STRUCTURED)
    a = start = (1 + alpha) * test.initial
    for _ in range(steps):
        a = a - eta / 4 * spectrum.eigenvalues[:, None] * (a - goal)

    curve = learning_curve(spectrum, alpha, 1e15, eta, steps, noise_matrix=STRUCTURED)

    logits = (1 + alpha) * test.start + test.modes @ (a - start)
    assert curve.accuracy == pytest.approx((logits.argmax(1) == test.labels).mean(), abs=1e-9)
    if alpha > 0:  # and the matrix matters
        assert abs(curve.accuracy - learning_curve(spectrum, alpha, 1e15, eta, steps).accuracy) > 0.02


@pytest.mark.parametrize(("alpha", "batch", "eta"), [(1.0, 2, 0.4), (5.0, 1, 0.1)])
def test_structured_labels_in_a_simulated_linear_model(alpha, batch, eta):
    rng, steps, repeats = np.random.default_rng(4), 25, 4000
    spectrum = linear_model(rng, np.array([3.0, 1.5, 0.8, 0.4, 0.2, 0.1]), classes=4)
    test, goal = spectrum.held_out, noisy_target(spectrum, alpha, STRUCTURED)
    # the recursion averages over initial functions: make this one orthogonal to what is learned in every mode
    initial = orthogonal(test.initial.copy(), test.target, goal)
    test = replace(test, initial=initial, start=test.modes @ initial)
    spectrum = replace(spectrum, initial_energies=(initial**2).sum(1), held_out=test)
    transition, share = expected_targets(alpha, STRUCTURED), (test.indicators**2).sum(0)
    noise = drawn_noise(alpha, transition, share, rng)
    a = simulate(spectrum.eigenvalues, goal, initial, alpha, noise, batch, eta, steps, repeats, rng)

    curve = learning_curve(spectrum, alpha, batch, eta, steps, noise_matrix=STRUCTURED)

    mean_energy, energy = (a.mean(0) ** 2).sum(), (a**2).sum((1, 2))
    overlap = (a * test.target).sum((1, 2))
    measured = overlap.mean() / np.sqrt(energy.mean())
    error = abs(measured) * np.hypot(
        overlap.std() / overlap.mean(), energy.std() / energy.mean() / 2
    ) / np.sqrt(repeats)  # fmt: skip
    assert abs(curve.alignment - measured) < 4 * error
    assert error < 0.02 * measured
    assert energy.mean() > 1.3 * mean_energy  # noise counts: its energy has been tested, too
    hits = ((test.modes @ a).argmax(-1) == test.labels).mean(1)
    # 0.03: the noise of structured labels is not isotropic over the logits
    assert abs(curve.accuracy - hits.mean()) < 0.03 + 4 * hits.std() / np.sqrt(repeats)


def test_modes_that_never_move_add_no_noise_to_the_others():
    spectrum = power_law(20)
    e, z = (np.append(x, 0) for x in (spectrum.target_energies, spectrum.initial_energies))
    still = Spectrum(np.append(spectrum.eigenvalues, 0), e, z, num_classes=10, examples=21)
    for overlap in (None, np.full(20, 0.5)):
        one = replace(spectrum, foreign=overlap)
        other = replace(still, foreign=None if overlap is None else np.append(overlap, 0.5))
        curves = [learning_curve(s, [0.0, 3.0], 32, 0.2, 50) for s in (one, other)]
        assert curves[0].alignment.min() > 0.3
        np.testing.assert_allclose(curves[1].alignment, curves[0].alignment, rtol=1e-10)


def test_foreign_images_like_the_clean_ones_are_uniform_noise():
    spectrum = linear_model(np.random.default_rng(2), 3.0 / np.arange(1, 9))
    alpha, eta = np.array([[0.0], [1.5], [20.0]]), np.array([0.01, 0.3, 1.0])
    foreign = replace(spectrum, foreign=np.ones(8))
    for schedule in ("constant", "cosine"):
        uniform, same = (learning_curve(s, alpha, 8, eta, 40, schedule=schedule) for s in (spectrum, foreign))
        np.testing.assert_allclose(same.alignment, uniform.alignment, rtol=1e-9)
        np.testing.assert_allclose(same.accuracy, uniform.accuracy, rtol=1e-9)
    clean = replace(spectrum, foreign=np.linspace(0, 3, 8))
    np.testing.assert_allclose(
        learning_curve(clean, 0, 8, eta, 40).accuracy, learning_curve(spectrum, 0, 8, eta, 40).accuracy, rtol=1e-9
    )
    with pytest.raises(InputError, match="foreign images carry uniform labels, got a noise matrix too"):
        learning_curve(foreign, 1, 8, eta, 40, noise_matrix=np.full((4, 4), 1 / 4))


@pytest.mark.parametrize("overlap", ["none", "some", "more than the clean images"])
@pytest.mark.parametrize(("alpha", "batch", "eta"), [(1.0, 4, 0.3), (6.0, 2, 0.3)])
def test_foreign_images_in_a_simulated_linear_model(alpha, batch, eta, overlap):
    rng, steps, repeats, classes, modes = np.random.default_rng(6), 25, 3000, 4, 40
    h = 1.0 / np.arange(1, modes + 1) ** 0.5
    omega = {"none": np.zeros(modes), "some": rng.uniform(0, 1, modes)}.get(overlap, rng.uniform(1, 2, modes))
    spectrum = replace(linear_model(rng, h, classes), foreign=omega)
    test = spectrum.held_out
    initial = orthogonal(test.initial.copy(), test.target)
    test = replace(test, initial=initial, start=test.modes @ initial)
    spectrum = replace(spectrum, initial_energies=(initial**2).sum(1), held_out=test)
    a = np.repeat((1 + alpha) * initial[None], repeats, 0)
    for _ in range(steps):
        clean = (rng.random((repeats, batch, 1)) < 1 / (1 + alpha)).astype(float)
        phi = rng.standard_normal((repeats, batch, modes)) * np.where(clean, 1, np.sqrt(omega))
        labels = rng.standard_normal((repeats, batch, classes)) / np.sqrt(classes - 1)  # energy 1 once centred
        labels -= labels.mean(-1, keepdims=True)
        residual = phi @ a - (1 + alpha) * np.where(clean, phi @ test.target, labels)
        a -= eta / classes * h[:, None] * (phi.transpose(0, 2, 1) @ residual) / batch

    curve = learning_curve(spectrum, alpha, batch, eta, steps)

    overlaps, energy = (a * test.target).sum((1, 2)), (a**2).sum((1, 2))
    measured = overlaps.mean() / np.sqrt(energy.mean())
    error = measured * np.hypot(overlaps.std() / overlaps.mean(), energy.std() / energy.mean() / 2) / np.sqrt(repeats)
    # 0.02: the recursion takes the labels of clean copies to have the same energy at every image
    assert abs(curve.alignment - measured) < 4 * error + 0.02 * measured
    assert error < 0.02 * measured
    hits = ((test.modes @ a).argmax(-1) == test.labels).mean(1)
    assert abs(curve.accuracy - hits.mean()) < 0.01 + 4 * hits.std() / np.sqrt(repeats)
    as_uniform = learning_curve(replace(spectrum, foreign=None), alpha, batch, eta, steps)
    assert abs(as_uniform.alignment - measured) > 0.05 * measured  # and the overlap matters


def test_names_of_the_classes_do_not_matter():
    rng = np.random.default_rng(5)
    spectrum = linear_model(rng, 3.0 / np.arange(1, 9))
    test, order = spectrum.held_out, np.array([2, 0, 3, 1])
    renamed = HeldOut(
        test.modes, test.indicators[:, order], test.initial[:, order], test.start[:, order],
        np.argsort(order)[test.labels],
    )  # fmt: skip
    alpha, eta = np.array([[1.0], [8.0]]), np.array([0.03, 0.3])
    curves = [
        learning_curve(s, alpha, 16, eta, 60, noise_matrix=n)
        for s, n in [
            (spectrum, STRUCTURED),
            (replace(spectrum, held_out=renamed), STRUCTURED[np.ix_(order, order)]),
            (spectrum, STRUCTURED[np.ix_(order, order)]),
        ]
    ]
    np.testing.assert_allclose(curves[1].accuracy, curves[0].accuracy, rtol=1e-10)
    np.testing.assert_allclose(curves[1].alignment, curves[0].alignment, rtol=1e-10)
    assert not np.allclose(curves[2].accuracy, curves[0].accuracy, rtol=0.01)


def clusters(classes=4, copies=50):
    """Well separated classes: one mode per class and nothing else, h_k alike, nothing known at the start."""
    labels = np.repeat(np.arange(classes), copies)
    modes = np.sqrt(classes) * np.eye(classes)[labels]
    indicators = np.eye(classes) / np.sqrt(classes)
    zero = np.zeros((classes, classes))
    held_out = HeldOut(modes, indicators, zero, np.zeros((len(labels), classes)), labels)
    return Spectrum(
        np.ones(classes),
        (held_out.target**2).sum(1),
        zero[0],
        num_classes=classes,
        examples=len(labels),
        held_out=held_out,
    )


def accuracy_of_class(spectrum, c, *arguments, **options):
    test = spectrum.held_out
    of_c = test.labels == c
    part = replace(test, modes=test.modes[of_c], start=test.start[of_c], labels=test.labels[of_c])
    return learning_curve(replace(spectrum, held_out=part), *arguments, **options).accuracy


def test_a_class_of_negative_margin_is_not_learned_and_the_others_are():
    spectrum, matrix = clusters(), np.full((4, 4), 1 / 4)
    matrix[2] = [0, 0, 0, 1]  # alpha = 3: class 2 is called 3 three times as often as 2
    by_class = np.array(
        [
            [accuracy_of_class(spectrum, c, 3.0, 4, 0.02, t, noise_matrix=matrix) for t in (1, 50, 1000)]
            for c in range(4)
        ]
    )
    others = [0, 1, 3]
    assert by_class[2, -1] < 0.01 < by_class[2, 0]
    assert (np.diff(by_class[2]) < 0).all()
    assert (by_class[others, -1] > 0.95).all()
    assert (np.diff(by_class[others]) > 0).all()
    whole = learning_curve(spectrum, 3.0, 4, 0.02, 1000, noise_matrix=matrix).accuracy
    assert whole == pytest.approx(by_class[:, -1].mean())


def test_a_shared_wrong_label_wins_where_it_is_the_likeliest():
    spectrum, default = clusters(), np.tile([1.0, 0, 0, 0], (4, 1))  # every noisy copy is called 0
    light, heavy = (learning_curve(spectrum, a, 10**6, 0.5, 200, noise_matrix=default).accuracy for a in (0.8, 1.25))
    assert light == pytest.approx(1, abs=1e-3)
    assert heavy == pytest.approx(1 / 4, abs=1e-3)


def test_matrices_that_cannot_be_used_are_named():
    spectrum, uniform = linear_model(np.random.default_rng(0), np.ones(3)), np.full((4, 4), 1 / 4)
    with pytest.raises(InputError, match=r"of 4 classes is needed, got one of 3"):
        learning_curve(spectrum, 1, 8, 0.1, 10, noise_matrix=np.full((3, 3), 1 / 3))
    with pytest.raises(InputError, match=r"row 0 sums to 2"):
        best_learning_rate(spectrum, 1, 8, 10, noise_matrix=2 * uniform)
    with pytest.raises(InputError, match="got one without held-out images"):
        learning_curve(replace(spectrum, held_out=None), 1, 8, 0.1, 10, noise_matrix=uniform)


def test_label_noise_of_one_copy_is_the_square_of_one_plus_alpha_minus_one():
    alpha, classes, rng = 3.0, 5, np.random.default_rng(0)
    clean = rng.integers(classes, size=400_000)
    noisy = np.where(rng.random(400_000) < 1 / (1 + alpha), clean, rng.integers(classes, size=400_000))
    signal = (np.eye(classes)[clean] - 1 / classes) / (1 + alpha)
    noise = np.eye(classes)[noisy] - 1 / classes - signal
    ratio = (noise**2).sum() / (signal**2).sum()
    assert ratio == pytest.approx((1 + alpha) ** 2 - 1, rel=0.01)


def slow_alignment(s, alpha, batch, eta, multipliers):
    """The recursion of the module docstring, mode by mode and step by step."""
    h, e, z = s.eigenvalues, s.target_energies, s.initial_energies
    c, left = e + (1 + alpha) ** 2 * z, np.ones_like(h)
    for multiplier in multipliers:
        x = multiplier * eta / s.num_classes * h
        c = ((1 - x) ** 2 + x**2 / batch) * c + x**2 / batch * (c.sum() + (1 + alpha) ** 2 - 1)
        left = left * (1 - x)
    m, v = 1 - left, c - left**2 * e
    return (m * e).sum() / np.sqrt((m**2 * e + v).sum())


@pytest.mark.parametrize("schedule", ["constant", "cosine", "array"])
def test_merging_modes_moves_the_accuracy_by_less_than_a_tenth_of_a_point(schedule):
    s, steps = power_law(), 300
    multipliers = {
        "constant": np.ones(steps),
        "cosine": (1 + np.cos(np.pi * np.arange(steps) / steps)) / 2,
        "array": np.linspace(1, 0, steps),
    }[schedule]
    for alpha, batch, eta in [(0, 8, 0.1), (3, 128, 0.5), (15, 32, 0.05), (0, 1024, 1.5)]:
        given = multipliers if schedule == "array" else schedule
        fast = learning_curve(s, alpha, batch, eta, steps, schedule=given)
        slow = slow_alignment(s, alpha, batch, eta, multipliers)
        assert fast.accuracy == pytest.approx(accuracy_from_alignment(slow, 10), abs=1e-3)


def test_broadcasts_and_every_cell_is_its_own():
    s = power_law()
    alpha, batch, eta = (
        np.array([0, 5])[:, None, None],
        np.array([8, 64, 512])[:, None],
        np.array([0.01, 0.1]),
    )
    grid = learning_curve(s, alpha, batch, eta, 50)
    assert grid.accuracy.shape == (2, 3, 2)
    assert grid.alignment[1, 2, 0] == pytest.approx(learning_curve(s, 5, 512, 0.01, 50).alignment, rel=1e-12)


@pytest.mark.parametrize("batch", [1, 4096])
def test_divergence_scores_chance_without_a_warning(batch):
    curve = learning_curve(power_law(), [0, 15], batch, 50.0, 2000)
    assert (curve.accuracy == 0.1).all()
    assert np.isnan(curve.alignment).all()


def test_noise_about_to_diverge_scores_chance_without_a_warning():
    """At B = 1 and eta h/K = 1 the mean converges while the variance grows fourfold a step."""
    spectrum = linear_model(np.random.default_rng(0), np.ones(3), classes=4)
    curves = [learning_curve(spectrum, 3.0, 1, 4.0, steps) for steps in range(470, 530)]
    told = np.array([np.isfinite(curve.alignment) for curve in curves])
    assert told.any()
    assert not told.all()
    assert [curve.accuracy for curve in curves] == pytest.approx([0.25] * len(curves), abs=0.01)


def test_momentum_is_a_larger_learning_rate():
    s = power_law()
    with_momentum = learning_curve(s, 3, 32, 0.01, 100, momentum=0.9)
    assert with_momentum.accuracy == pytest.approx(learning_curve(s, 3, 32, 0.1, 100).accuracy, rel=1e-9)
    plain, heavy = (best_learning_rate(s, 3, 32, 100, momentum=m) for m in (0.0, 0.75))
    assert heavy == pytest.approx(plain / 4)


def test_best_learning_rate_beats_every_rate_of_a_finer_grid():
    s = power_law()
    best = best_learning_rate(s, [1, 7], 64, 200, confident_edge=False)
    finer = 2.0 ** np.arange(-10, 2, 0.1)
    top = learning_curve(s, np.array([[1], [7]]), 64, finer, 200).accuracy.max(-1)
    np.testing.assert_allclose(learning_curve(s, [1, 7], 64, best, 200).accuracy, top, atol=3e-4)
    assert best[1] < best[0]


def test_confident_edge_caps_the_rate_of_clean_labels():
    s = power_law()
    free, capped = (best_learning_rate(s, 0, 10**6, 300, confident_edge=e) for e in (False, True))
    assert free > capped
    assert capped == pytest.approx(4 / 10.0, rel=1e-3)


def test_quadratic_descent_diverges_beyond_the_edge_of_uniform_output():
    s = power_law()
    edge = 2 * 10 / s.eigenvalues[0]
    below, beyond = learning_curve(s, 0, 10**9, [0.98 * edge, 1.02 * edge], 500).alignment
    assert below > 0.9
    assert np.isnan(beyond)


def test_no_rate_is_given_where_none_can_be_told():
    e = np.array([1.0, 0.0])
    nothing_to_learn = Spectrum(
        np.array([0.0, 1.0]), e, 0 * e, num_classes=10, examples=2
    )  # the target lies where the kernel is zero
    assert np.isnan(best_learning_rate(nothing_to_learn, 1, 32, 10))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"alpha": -1}, "alpha needs finite values >= 0, got -1"),
        ({"batch_size": [8, 0]}, "batch_size needs finite values >= 1, got 0"),
        ({"learning_rate": np.nan}, "learning_rate needs finite values > 0, got nan"),
        ({"steps": 0}, "steps needs a whole number from 1 to 10,000,000, got 0"),
        ({"momentum": 1.0}, r"momentum needs a value in \[0, 1\), got 1"),
        ({"schedule": "square"}, "schedule = 'square' is not known; known: constant, linear, cosine"),
        ({"schedule": [1.0, 0.5]}, r"got shape \(2,\): give"),
    ],
)
def test_bad_values_are_named(change, words):
    arguments = {"alpha": 1, "batch_size": 8, "learning_rate": 0.1, "steps": 10} | change
    with pytest.raises(InputError, match=words):
        learning_curve(power_law(), **arguments)


def test_bad_spectra_are_named():
    h = np.array([1.0, 0.5])
    with pytest.raises(InputError, match=r"a sum of 0\.5: drop"):
        Spectrum(h, h / 3, h, num_classes=10, examples=2)
    with pytest.raises(InputError, match=r"got shapes \(2,\), \(1,\), \(2,\)"):
        Spectrum(h, h[:1], h, num_classes=10, examples=2)
