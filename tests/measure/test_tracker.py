"""The tracker against clean labels, known gradients and its own promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import effbatch
from effbatch.core.errors import InputError
from effbatch.data import datasets
from effbatch.measure.gradients import measure_moments
from effbatch.measure.measured import MeasuredMoments, PooledMoments
from effbatch.measure.tracker import NoiseScaleTracker
from effbatch.networks import zoo
from effbatch.theory.moments import GradientMoments

K = 3


def little(n: int = 30) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A network with images and clean labels that it can tell apart."""
    rng = np.random.default_rng(1)
    y = rng.integers(K, size=n)
    x = rng.normal(size=(n, 1, 4)) + 1.5 * np.eye(K, 4)[y][:, None]
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, K))
    return network, torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def noised(y: torch.Tensor, alpha: float, rng: np.random.Generator) -> torch.Tensor:
    noisy = rng.random(len(y)) < alpha / (1 + alpha)
    return torch.as_tensor(np.where(noisy, rng.integers(K, size=len(y)), y))


def gaussian_batch(rng: np.random.Generator, mean: np.ndarray, n: int) -> MeasuredMoments:
    """A batch whose images have gradients N(mean, 1): ‖G‖² = |mean|², trΣ = its length."""
    g = mean + rng.normal(size=(n, len(mean)))
    with_others = (g @ g.sum(0) - (g * g).sum(1)) / (n - 1)
    zero = np.zeros(n)
    return MeasuredMoments(GradientMoments(with_others, zero, zero, (g * g).sum(1), zero))


# --- clean moments from noisy labels ---


def test_clean_moments_come_back_from_mixed_ones():
    clean, alpha = GradientMoments(1.0, 0.3, 0.5, 9.0, 11.0), 2.5
    inner = (clean.clean_noisy_inner + alpha * clean.noisy_norm_squared) / (1 + alpha)
    mixed = GradientMoments(clean.mean_norm_squared(alpha), inner, 0.5, clean.second_moment(alpha), 11.0)
    back = mixed.with_clean_labels(alpha)
    assert vars(back) == pytest.approx(vars(clean))


def test_over_many_noisy_labels_the_tracker_finds_what_clean_ones_measure():
    network, x, y = little()
    alpha, rng = 1.5, np.random.default_rng(2)
    clean = measure_moments(network, x, y, num_classes=K).estimate
    found = []
    for _ in range(120):
        part = measure_moments(network, x, noised(y, alpha, rng), num_classes=K).per_image.with_clean_labels(alpha)
        found.append([part.clean_norm_squared.mean(), part.clean_noisy_inner.mean(), part.clean_second_moment.mean()])
    truth = [clean.clean_norm_squared, clean.clean_noisy_inner, clean.clean_second_moment]
    error = np.std(found, axis=0) / math.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0) - truth) < 4 * error).all()


# --- several batches as one ---


def test_one_batch_pooled_is_that_batch():
    batch = gaussian_batch(np.random.default_rng(0), np.full(20, 0.4), 25)
    alone, pooled = batch.noise_scale(0.0), PooledMoments.of([batch]).noise_scale(0.0)
    assert pooled.interval == pytest.approx(alone.interval)
    assert pooled.value == pytest.approx(alone.value)


def test_pooled_intervals_hold_the_truth_as_often_as_they_say():
    rng, mean = np.random.default_rng(3), np.full(20, 0.3)
    truth = {"norm": 20 * 0.09, "scale": 20 / (20 * 0.09)}
    held = {"norm": 0, "scale": 0}
    for _ in range(300):
        pool = PooledMoments.of([gaussian_batch(rng, mean, 16) for _ in range(6)])
        for name, estimate in (("norm", pool.mean_norm_squared(0.0)), ("scale", pool.noise_scale(0.0))):
            low, high = estimate.interval
            held[name] += low <= truth[name] and (high is None or truth[name] <= high)
    assert 0.91 <= held["norm"] / 300 <= 0.99
    assert 0.91 <= held["scale"] / 300 <= 0.99


def test_batches_narrow_the_interval_by_their_square_root():
    rng, mean = np.random.default_rng(4), np.full(20, 0.5)
    batches = [gaussian_batch(rng, mean, 40) for _ in range(16)]

    def width(moments: MeasuredMoments) -> float:
        low, high = moments.mean_norm_squared(0.0).interval
        return high - low

    assert width(PooledMoments.of(batches)) == pytest.approx(np.mean([width(b) for b in batches]) / 4, rel=0.15)


# --- in a loop ---


def train(tracker_of=None, *, steps: int = 30) -> tuple[nn.Module, NoiseScaleTracker | None]:
    network, x, y = little()
    tracker = None if tracker_of is None else tracker_of(network)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    torch.manual_seed(5)
    for _ in range(steps):
        keep = torch.randperm(len(x))[:12]
        if tracker is not None:
            tracker.step(x[keep], y[keep])
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x[keep]), y[keep]).backward()
        optimizer.step()
    return network, tracker


def test_training_goes_on_as_without_it():
    tracked, tracker = train(lambda network: NoiseScaleTracker(network, every=5, overhead=math.inf))
    untracked, _ = train()
    assert len(tracker.history) > 2
    for name, weight in untracked.state_dict().items():
        assert torch.equal(weight, tracked.state_dict()[name])


def test_it_measures_every_so_many_steps_and_says_when_and_of_how_many_images():
    _, tracker = train(lambda network: NoiseScaleTracker(network, every=10, batches=3, images=8, overhead=math.inf))
    assert [record.step for record in tracker.history] == [12, 22]  # the third of batches 10, 11, 12
    assert {record.noise_scale.n for record in tracker.history} == {24}
    assert all(record.batch_size == 12 for record in tracker.history)


def test_it_takes_no_more_than_its_share_of_the_time():
    _, tracker = train(lambda network: NoiseScaleTracker(network, every=2, batches=1, overhead=1e-9))
    assert len(tracker.history) == 1
    assert tracker.overhead > 1e-9
    assert tracker.seconds >= sum(record.seconds for record in tracker.history)


def test_measurements_pool_into_one_that_tells_more():
    _, tracker = train(lambda network: NoiseScaleTracker(network, every=3, batches=1, overhead=math.inf))
    all_of_it, last = tracker.pooled(), tracker.pooled(1)
    assert vars(last) == vars(tracker.history[-1])
    assert all_of_it.noise_scale.n == sum(record.noise_scale.n for record in tracker.history)
    assert all_of_it.norm_squared.value == pytest.approx(np.mean([r.norm_squared.value for r in tracker.history]))
    widths = [high - low for low, high in (r.norm_squared.interval for r in (*tracker.history, all_of_it))]
    assert widths[-1] < np.mean(widths[:-1])
    with pytest.raises(InputError, match="got none after 0 of 100 steps"):
        NoiseScaleTracker(little()[0]).pooled()


def test_one_record_is_what_measure_moments_says_of_the_batch():
    network, x, y = little()
    network, x = network.double(), x.double()
    with effbatch.NoiseScaleTracker(network, alpha=0.0, every=1, batches=1) as tracker:
        tracker.step(x, y)
    record, direct = tracker.history[0], measure_moments(network, x, y, num_classes=K)
    assert record.norm_squared.value == pytest.approx(direct.mean_norm_squared(0.0).value)
    assert record.noise_scale.interval == pytest.approx(direct.noise_scale(0.0).interval)
    assert record.effective_batch_size.value == len(x)


def test_noisy_labels_make_the_effective_batch_small():
    digits = datasets.load("digits")
    network, alpha, rng = zoo.build("mlp1", digits.image_shape, 10, seed=0), 1.0, np.random.default_rng(0)
    noisy = rng.random(len(digits.y_train)) < alpha / (1 + alpha)
    given = np.where(noisy, rng.integers(10, size=len(noisy)), digits.y_train)
    tracker = NoiseScaleTracker(network, alpha=alpha, every=1, batches=6, images=200)
    for i in range(6):
        tracker.step(digits.x_train[200 * i : 200 * i + 200], given[200 * i : 200 * i + 200])
    truth = measure_moments(network, digits.x_train, digits.y_train, num_classes=10).effective_batch_size(alpha, 200)
    low, high = tracker.history[0].effective_batch_size.interval
    assert low < truth.value < high


def test_few_images_of_pure_noise_cannot_tell():
    network, x, _ = little()
    tracker = NoiseScaleTracker(network, every=1, batches=1)
    tracker.step(x[:8], np.random.default_rng(0).integers(K, size=8))
    record = tracker.history[0]
    assert record.noise_scale.value is None
    assert "cannot tell at n = 8 examples" in record.noise_scale.reason
    assert "needs alpha" in record.effective_batch_size.reason
    data = tracker.to_dataset()
    assert np.isnan(data.noise_scale.item())
    assert np.isnan(data.noise_scale_high.item())
    assert data.norm_squared_low.item() == record.norm_squared.interval[0]
    assert data.step.item() == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": -1}, "alpha must be at least 0"),
        ({"every": 0}, "every must be at least 1"),
        ({"batches": 0}, "batches must be at least 1"),
        ({"images": 2}, "images must be at least 3"),
        ({"accumulate": 0}, "accumulate must be at least 1"),
        ({"overhead": 0}, "overhead must be above 0"),
    ],
)
def test_nonsense_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        NoiseScaleTracker(little()[0], **options)
