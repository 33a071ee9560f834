"""Exponents of the best rate against the recursion iterated step by step, at neighbouring settings."""

import numpy as np
import pytest
from exponents import local_exponents

from effbatch.theory.dynamics import learning_curve
from effbatch.theory.spectrum import Spectrum

K = 10


def power_law(a, b, initial, c, modes=2000):
    k = np.arange(1, modes + 1.0)
    e, z = k**-b / (k**-b).sum(), initial * k**-c / (k**-c).sum()
    return Spectrum(10 * k**-a, e, z, num_classes=K, examples=modes)


def best_octave(spectrum, alpha, batch, steps):
    """log2 of the rate of highest alignment, from the recursion itself."""
    octaves = np.log2(2 * K / spectrum.eigenvalues.max()) + np.arange(-16, 0, 0.2)
    R = np.nan_to_num(learning_curve(spectrum, alpha, batch, 2**octaves, int(steps)).alignment)
    i = R.argmax()
    low, top, high = R[i - 1 : i + 2]
    return octaves[i] + 0.1 * (low - high) / (low - 2 * top + high)


@pytest.mark.parametrize("alpha", [1, 4, 15])
@pytest.mark.parametrize("shape", [(1.5, 1.5, 0.0, 1.5), (1.2, 2.0, 0.02, 1.5)], ids=["start=0", "start=0.02"])
def test_rate_and_exponents_are_those_of_the_recursion(shape, alpha):
    spectrum, B, T, step = power_law(*shape), 16, 1000, 1.3
    found = local_exponents(spectrum, alpha, B, T)
    assert np.log2(found.rate) == pytest.approx(best_octave(spectrum, alpha, B, T), abs=0.12)

    def slope(setting):
        up, down = (best_octave(spectrum, *setting(factor)) for factor in (step, 1 / step))
        return (up - down) / (2 * np.log2(step))

    assert found.batch == pytest.approx(slope(lambda s: (alpha, B * s, T)), abs=0.06)
    assert found.alpha == pytest.approx(slope(lambda s: ((1 + alpha) * s - 1, B, T)), abs=0.1)
    assert found.steps == pytest.approx(slope(lambda s: (alpha, B, T * s)), abs=0.06)


def test_at_fixed_examples_the_rate_is_linear_in_the_batch():
    spectrum = power_law(1.3, 1.6, 0.05, 1.3)
    few, many = local_exponents(spectrum, 5.0, [16, 32], [4000, 2000]).rate
    assert many / few == pytest.approx(2, rel=1e-3)


def test_in_the_middle_of_a_power_law_the_exponents_are_those_of_the_decays():
    found = local_exponents(power_law(1.5, 2.5, 0.0, 1.5, modes=20000), 1.0, 4096, 10**5)
    sigma = 1 - found.growing  # s = 1, and no function to forget
    closed = [1 / (1 + sigma), -2 * (found.noise - found.growing) / (1 + sigma), -sigma / (1 + sigma)]
    assert [found.batch, found.alpha, found.steps] == pytest.approx(closed, abs=0.05)


def test_a_last_layer_at_zero_has_nothing_to_forget_and_falls_faster_with_noise():
    with_start, without = (local_exponents(power_law(1.2, 2.0, z, 1.5), 3.0, 32, 1000) for z in (0.05, 0.0))
    assert without.growing == 0
    assert without.alpha < with_start.alpha - 0.3


def test_under_heavy_noise_the_rate_does_not_depend_on_alpha():
    found = local_exponents(power_law(1.2, 2.0, 0.05, 1.5), [1, 3, 100], 32, 1000)
    assert found.alpha[0] < found.alpha[1] - 0.3 < -0.6
    assert found.alpha[2] == pytest.approx(0, abs=0.01)


def test_a_rate_that_noise_does_not_hold_back_is_the_edge():
    found = local_exponents(power_law(1.5, 1.5, 0.0, 1.5), 0.0, 10**6, 100)
    assert found.at_edge
    assert found.rate == pytest.approx(2.0)
    assert [found.batch, found.alpha, found.steps] == [0, 0, 0]
