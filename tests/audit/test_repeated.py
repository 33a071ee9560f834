"""Several checks of an image: coverage where they agree, and the plain sample where there is one check of each."""

from __future__ import annotations

import numpy as np
import pytest

from effbatch.audit import Checks, estimate_from_checks, estimate_from_counts, estimate_noise
from effbatch.audit.checksfile import read_checks
from effbatch.audit.repeated import RepeatedChecks
from effbatch.core.errors import InputError


def draw(rate: float, correlation: float, per_image: np.ndarray, rng: np.random.Generator) -> Checks:
    """Two classes, label 0; checks of an image say 1 with a chance of its own, a beta with this correlation."""
    a = 1 / correlation - 1
    chance = rng.beta(rate * a, (1 - rate) * a, len(per_image))
    image = np.repeat(np.arange(len(per_image)), per_image)
    wrong = (rng.random(len(image)) < chance[image]).astype(int)
    return Checks(image.tolist(), np.zeros(len(image), int), wrong, num_classes=2)


@pytest.mark.parametrize("correlation", [0.2, 0.35])
@pytest.mark.parametrize(("rate", "images", "most"), [(0.02, 40, 3), (0.1, 200, 5), (0.3, 60, 6), (0.5, 40, 3)])
def test_limits_by_image_cover_and_limits_by_check_do_not(rate, images, most, correlation):
    rng, repeats = np.random.default_rng(6), 400
    covered, naive = 0, 0
    for i in range(repeats):
        per_image = np.full(images, most) if i % 2 else rng.integers(1, most + 1, images)
        checks = draw(rate, correlation, per_image, rng)
        found = RepeatedChecks(checks, confidence=0.95).sample
        low, high = found.noise_rate.floats[1:]
        covered += low <= rate <= high
        low, high = estimate_noise(found.checked, found.wrong, 2).noise_rate.floats[1:]
        naive += low <= rate <= high
    assert covered / repeats >= 0.93
    assert naive < covered
    if images == 200:
        assert naive / repeats < 0.9


def test_one_check_of_each_image_is_the_plain_sample():
    counts = np.array([[40, 12, 5], [4, 45, 9], [6, 3, 38]])
    cells = [(c, g) for c in range(3) for g in range(3) for _ in range(counts[c, g])]
    checked, given = (np.array(x) for x in zip(*cells, strict=True))
    found = estimate_from_checks(Checks(range(len(cells)), given, checked, num_classes=3))
    plain = estimate_from_counts(counts)
    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_allclose(found.transition, plain.transition)
    np.testing.assert_allclose(found.low, plain.low)
    assert found.facts == {"images": len(cells), "intraclass_correlation": None}
    np.testing.assert_allclose(found.sample.noise_rate.floats, plain.sample.noise_rate.floats, atol=0.002)
    assert found.uniform.statistic == pytest.approx(plain.uniform.statistic)


def test_the_correlation_is_that_of_the_draw():
    found = RepeatedChecks(draw(0.3, 0.3, np.full(5000, 4), np.random.default_rng(7)), confidence=0.95)
    assert found.facts["intraclass_correlation"] == pytest.approx(0.3, abs=0.03)


def test_copies_of_a_check_add_nothing():
    once = draw(0.3, 0.5, np.ones(80, int), np.random.default_rng(8))
    thrice = Checks([*once.image] * 3, np.tile(once.given, 3), np.tile(once.checked, 3), num_classes=2)
    one, three = (RepeatedChecks(c, confidence=0.95).sample.noise_rate for c in (once, thrice))
    np.testing.assert_allclose(three.floats, one.floats)
    assert three.n == one.n == 80


@pytest.mark.parametrize("wrong", [0, 1])
def test_one_image_or_one_answer_says_little(wrong):
    checks = Checks(["a"] * 5, np.zeros(5, int), np.full(5, wrong), num_classes=2)
    low, high = RepeatedChecks(checks, confidence=0.95).sample.noise_rate.floats[1:]
    assert (low, high) == pytest.approx((0, 0.975) if wrong == 0 else (0.025, 1))


def test_a_file_is_read_by_its_column_names(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("who;Checked;image;Given\nann;2;a;0\nbob;0;a;0\nann;1;b;1\n")
    file = read_checks(path)
    assert file.read_as == "3 classes by number, 3 checks of 2 images"
    assert file.checks.checked.tolist() == [2, 0, 1]
    assert read_checks(path, num_classes=5).checks.num_classes == 5


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "needs columns image, given, checked; it has none: it is empty"),
        ("image,given,seen\na,0,1\n", "one column called checked, got image, given, seen"),
        ("image,given,checked\n", "at least one check, got none"),
        ("image,given,checked\na,0,\nb,0,1\n", "got an empty cell in row 2"),
        ("image,given,checked\na,0,1\na,1,1\n", "an image needs one given label, got two of image 'a'"),
        ("image,given,checked\na,x,x\n", "checks need 2 to 200 classes, got 1"),
        (
            "image,given,checked\na,cat,Cat\nb,dog,dog\n",
            "the checks hold 'Cat' and 'cat', which may be one class or two",
        ),
        ("image,given,checked\na,cat,?\nb,dog,dog\n", r"got '\?', which is no given label: leave checks without an"),
    ],
)
def test_what_are_no_checks_is_named(tmp_path, content, words):
    (tmp_path / "c.csv").write_text(content)
    with pytest.raises(InputError, match=words):
        estimate_from_checks(read_checks(tmp_path / "c.csv").checks)


def test_classes_that_do_not_agree_are_named(tmp_path):
    (tmp_path / "c.csv").write_text("image,given,checked\na,x,y\nb,z,z\n")
    with pytest.raises(InputError, match="--classes 2 and the checks need to agree, got 3"):
        read_checks(tmp_path / "c.csv", num_classes=2)
