"""Laws: factors against their formulas and against models minimised numerically; regimes; the registry."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from effbatch.core.errors import InputError
from effbatch.laws import LAWS, Setting, get
from effbatch.laws.base import open_parameters, with_parameters

CLEAN = Setting(0.0, 128)
NOISY = Setting(3.0, 512)
GIVEN = {
    "fitted": {"batch_exponent": 0.6, "alpha_exponent": -0.4},
    "noise_scale": {"clean_noise_scale": 20.0},
    "noisy_quadratic": {"decay_exponent": 0.5},
    "saturating": {"clean_noise_scale": 20.0, "delta": 1.5, "gamma": 0.7},
    "surge": {"clean_noise_scale": 20.0},
}


def complete(name: str):
    return with_parameters(get(name), **GIVEN.get(name, {}))


def optimizer_of(name: str) -> str:
    return "adam" if name in ("adam_square_root", "adaptive", "surge") else "sgd"


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("none", 1.0),
        ("linear", 4.0),
        ("square_root", 2.0),
        ("signal_to_noise", 4 / 16),
        ("clean_count", 4 / 4),
        ("square_root_clean_count", 1.0),
        ("adam_square_root", 2 / 4),
        ("adaptive", 4**0.25 / 4**0.75),
        ("fitted", 4**0.6 * 4**-0.4),
        ("noise_scale", (1 + 20 / 128) / (1 + (16 * 21 - 1) / 512)),
        ("saturating", (1 + (20 / 128) ** 0.7) / (1 + (20 * 8 / 512) ** 0.7)),
        ("surge", ((20 / 128) ** 0.5 + (128 / 20) ** 0.5) / ((335 / 512) ** 0.5 + (512 / 335) ** 0.5)),
        ("noisy_quadratic", 4 * 4 ** (-4 / 3)),
    ],
)
def test_factor_by_hand(name, factor):
    assert complete(name).factor(NOISY, CLEAN) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize("name", LAWS)
def test_factors_compose_and_broadcast(name):
    law = complete(name)
    alpha, batch = np.array([0.0, 1.0, 30.0]), np.array([[8], [1024]])
    many = Setting(alpha, batch)
    through = law.factor(many, NOISY) * law.factor(NOISY, CLEAN)
    np.testing.assert_allclose(through, np.broadcast_to(law.factor(many, CLEAN), through.shape), rtol=1e-12)
    each = [[law.factor(Setting(a, int(b[0])), CLEAN) for a in alpha] for b in batch]
    np.testing.assert_allclose(np.broadcast_to(law.factor(many, CLEAN), (2, 3)), each, rtol=1e-13)
    assert law.factor(CLEAN, CLEAN) == pytest.approx(1, rel=1e-14)


def test_data_arrays_keep_their_dimensions():
    setting = Setting(
        xr.DataArray([0.0, 3.0], dims="alpha"), xr.DataArray([32, 64, 128], dims="batch_size"), steps=1000
    )
    for name in LAWS:
        factor = complete(name).factor(setting, replace(CLEAN, steps=1000))
        assert name == "none" or set(factor.dims) == {"alpha", "batch_size"}, name


@pytest.mark.parametrize("name", LAWS)
def test_every_law_says_what_it_is_and_where_it_comes_from(name):
    law = LAWS[name]
    assert law.name == name
    assert law.formula.startswith("η")
    assert re.search(r"\b(19|20)\d\d\b", law.reference)
    assert law.bibtex.startswith("@")
    assert law.bibtex.count("{") == law.bibtex.count("}")
    assert dataclasses.is_dataclass(law)
    with pytest.raises(dataclasses.FrozenInstanceError):
        law.extra = 1


@pytest.mark.parametrize("name", GIVEN)
def test_a_law_without_its_parameters_does_not_apply(name):
    law, setting = LAWS[name], replace(NOISY, optimizer=optimizer_of(name))
    assert open_parameters(law) == list(GIVEN[name])
    applies = law.applies(setting, replace(setting, alpha=0.0))
    assert not applies.ok
    assert re.search("needs|none was given", applies.reason)
    with pytest.raises(InputError, match=f"the law {name} needs {next(iter(GIVEN[name]))}"):
        law.factor(setting, setting)
    assert complete(name).applies(setting, replace(setting, alpha=0.0)).ok


@pytest.mark.parametrize(
    "name", ["linear", "signal_to_noise", "square_root_clean_count", "noise_scale", "noisy_quadratic"]
)
def test_laws_of_sgd_do_not_apply_to_adam_nor_the_reverse(name):
    adam = replace(NOISY, optimizer="adam")
    applies = complete(name).applies(adam, adam)
    assert applies == (False, "made for sgd and momentum, not for adam")
    for adaptive in ("adam_square_root", "surge"):
        assert complete(adaptive).applies(adam, adam).ok
        assert complete(adaptive).applies(NOISY, NOISY) == (False, "made for adam, adamw and rmsprop, not for sgd")


def test_only_the_empirical_rule_and_none_apply_to_adadelta_without_a_fit():
    setting = replace(NOISY, optimizer="adadelta")
    assert [name for name, law in LAWS.items() if law.applies(setting, setting).ok] == ["none", "adaptive"]


@pytest.mark.parametrize("name", ["signal_to_noise", "clean_count"])
def test_steep_laws_do_not_apply_at_a_fixed_number_of_steps(name):
    assert LAWS[name].applies(NOISY, CLEAN).ok
    steps = LAWS[name].applies(replace(NOISY, steps=500), replace(CLEAN, steps=500))
    assert steps == (False, "measured to be far too steep at a fixed number of steps")
    assert LAWS[name].applies(replace(NOISY, examples=500), replace(CLEAN, examples=500)).ok


@pytest.mark.parametrize(
    ("change", "words"),
    [({"schedule": "cosine"}, "another schedule"), ({"num_classes": 5}, r"another num_classes \(5, not 10\)")],
)
def test_no_law_carries_a_rate_between_unlike_problems(change, words):
    for name in LAWS:
        anchor = replace(CLEAN, optimizer=optimizer_of(name), **change)
        applies = complete(name).applies(replace(NOISY, optimizer=optimizer_of(name)), anchor)
        assert not applies.ok
        assert re.search(words, applies.reason)


def test_noise_scale_law_tends_to_signal_to_noise_and_to_no_scaling():
    steep, flat = Setting(7.0, 4), Setting(7.0, 4 * 10**12)
    law = with_parameters(get("noise_scale"), clean_noise_scale=1e7)
    assert law.factor(steep, replace(steep, alpha=0.0)) == pytest.approx(1 / 64, rel=1e-4)
    assert law.factor(flat, replace(flat, alpha=0.0)) == pytest.approx(1, rel=1e-3)


def test_surge_rises_peaks_at_the_noise_scale_and_falls():
    law = with_parameters(get("surge"), clean_noise_scale=99.0)  # B_noise(1) = 4 · 100 − 1
    batch = np.arange(300, 500)
    factor = law.factor(Setting(1.0, batch, optimizer="adam"), Setting(1.0, 399, optimizer="adam"))
    assert batch[factor.argmax()] == 399
    assert factor.max() == pytest.approx(1)


# --- the noisy quadratic model, solved numerically ---


def best_rate(alpha: float, batch_size: float, examples: float, p: float, q: float) -> float:
    """argmin over η of Σ c_k(T), c_k <- (1 − ηh_k)² c_k + η²h_k²(1+α)²/B, with h_k = k^−p and c_k(0) = k^−q."""
    k = np.arange(1.0, 20_001)
    h, e = k**-p, k**-q / np.sum(k**-q)
    grid = np.linspace(-16, -1.5, 300)
    loss = []
    for rate in 2**grid:
        x = rate * h
        kept = np.exp(2 * examples / batch_size * np.log1p(-x))
        loss.append(np.sum(kept * e + (1 - kept) * x / (2 - x) * (1 + alpha) ** 2 / batch_size))
    best = int(np.argmin(loss))
    a, b, _ = np.polyfit(grid[best - 3 : best + 4], loss[best - 3 : best + 4], 2)
    return 2 ** (-b / (2 * a))


@pytest.mark.parametrize(("s", "p"), [(0.30, 1.7), (0.42, 1.5), (1.0, 1.5)])
def test_noisy_quadratic_has_the_exponents_of_its_model(s, p):
    q = 1 + s * p
    law = with_parameters(get("noisy_quadratic"), decay_exponent=s)
    base = Setting(10.0, 64, examples=10**6)
    for other in (replace(base, alpha=30.0), replace(base, examples=8 * 10**6), replace(base, batch_size=128)):
        measured = np.log2(
            best_rate(other.alpha, other.batch_size, other.examples, p, q)
            / best_rate(base.alpha, base.batch_size, base.examples, p, q)
        )
        octaves = np.log2(
            31 / 11 if other.alpha != base.alpha else other.examples / base.examples * other.batch_size / 64
        )
        assert abs(np.log2(law.factor(other, base)) - measured) <= 0.06 * octaves


def test_noisy_quadratic_takes_its_budget_in_steps_or_examples():
    law = complete("noisy_quadratic")
    steps = law.factor(replace(NOISY, steps=100), replace(CLEAN, steps=400))
    examples = law.factor(replace(NOISY, examples=51_200), replace(CLEAN, examples=51_200))
    assert steps == pytest.approx(examples, rel=1e-14)
    assert examples == pytest.approx(law.factor(NOISY, CLEAN), rel=1e-14)
    half = replace(NOISY, steps=100)
    assert law.applies(half, CLEAN) == (False, "needs the budget of both settings or of neither")
    with pytest.raises(InputError, match="budget of both settings or of neither"):
        law.factor(half, CLEAN)


# --- registry and settings ---


def test_an_unknown_law_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="no law is called 'noise_quadratic'; did you mean 'noisy_quadratic'") as error:
        get("noise_quadratic")
    assert error.value.facts == {"law": "noise_quadratic"}


def test_an_unknown_parameter_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match="the law surge takes clean_noise_scale, got 'noise'"):
        with_parameters(get("surge"), noise=3.0)
    with pytest.raises(InputError, match="the law linear takes no parameter, got 'batch_exponent'"):
        with_parameters(get("linear"), batch_exponent=2.0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"alpha": -1.0}, "alpha must be at least 0 .*got -1.0"),
        ({"alpha": np.nan}, "alpha must be .*got nan"),
        ({"alpha": np.array([1.0, np.inf])}, "alpha must be .*inf"),
        ({"batch_size": 0}, "the batch size must be at least 1 .*, got 0"),
        ({"num_classes": 1}, "the number of classes must be at least 2 .*, got 1"),
        ({"steps": 0}, "the number of steps must be at least 1 .*, got 0"),
        ({"steps": 10, "examples": 10}, "steps or examples, got both"),
        ({"optimizer": "sgdd"}, "optimizer 'sgdd' is not known; did you mean 'sgd'"),
        ({"schedule": "square"}, "schedule 'square' is not known; known: constant, linear, cosine, step, one_cycle"),
    ],
)
def test_settings_out_of_range_are_refused(values, words):
    with pytest.raises(InputError, match=words):
        Setting(**{"alpha": 1.0, "batch_size": 8, **values})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("noise_scale", {"clean_noise_scale": 0.0}),
        ("surge", {"clean_noise_scale": np.nan}),
        ("noisy_quadratic", {"decay_exponent": -1.0}),
        ("saturating", {"delta": 9.0}),
        ("fitted", {"alpha_exponent": np.inf}),
    ],
)
def test_parameters_out_of_range_are_refused(name, values):
    ((parameter, value),) = values.items()
    with pytest.raises(InputError, match=rf"{parameter} must be (from|above|at least) .*, got {value}"):
        with_parameters(get(name), **values)
