"""Labels clean or noisy, what is known of them, accuracy on clean ones, and what more of them would pay."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import effbatch
from effbatch.advice.clean_accuracy import MIXED, on_clean_labels
from effbatch.advice.labels_pay import labels_worth
from effbatch.advice.noise import Noise, audits
from effbatch.advice.probing import with_scales
from effbatch.audit import estimate_from_counts, estimate_noise
from effbatch.audit.checked_labels import by_chance
from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.data.datasets import as_dataset
from effbatch.noise import MatrixNoise, UniformNoise, alpha_from_noise_rate, structured_noise_matrix
from effbatch.probe.rule import Probe
from effbatch.show.terminal import as_text
from effbatch.show.views.advice import advice_page
from effbatch.show.views.advice_figures import of_advice
from effbatch.theory.detection import accuracy, accuracy_curve, d_prime

COUNTS = [[20, 4, 1], [3, 18, 2], [5, 1, 22]]


@pytest.fixture
def ask(world, little_images):
    """Advice on the little images at batch size 16 and 50 steps, unless said otherwise."""

    def asked(data=little_images, **how):
        return effbatch.advise("perceptron", data, **{"steps": 50, "batch_sizes": (16,)} | how)

    return asked


# --- clean or noisy ---


@pytest.mark.parametrize(
    ("how", "are", "simulated", "of"),
    [
        ({"labels": "clean", "alpha": 2.0}, "clean", 2.0, "clean labels"),
        ({"labels": "clean"}, "clean", 0.0, "clean labels"),
        ({"labels": "noisy", "alpha": 2.0}, "noisy", 0.0, "clean labels"),
        ({"checked": 40, "wrong": 20}, "noisy", 0.0, "clean labels"),
        ({"labels": "clean", "checked": 40, "wrong": 20}, "clean", pytest.approx(3.0), "clean labels"),
        ({"counts": COUNTS}, "noisy", 0.0, "clean labels"),
        ({"estimate": estimate_noise(40, 20, 3)}, "noisy", 0.0, "clean labels"),
        (
            {"estimate": estimate_noise(40, 20, 3).to_dict(), "labels": "clean"},
            "clean",
            pytest.approx(3.0),
            "clean labels",
        ),
        ({}, "noisy", 0.0, "noisy labels"),
    ],
    ids=[
        "clean",
        "clean, no noise",
        "noisy",
        "checked",
        "checked, clean",
        "counts",
        "estimate",
        "JSON",
        "nothing known",
    ],
)
def test_noise_is_simulated_on_clean_labels_only_and_accuracy_is_that_on_clean_ones_where_that_is_known(
    ask, world, how, are, simulated, of
):
    said = ask(**how)
    assert world.asked[0]["labels"].alpha == simulated
    assert world.asked[0]["labels"].noisy == (are == "noisy")
    assert (said.labels.are, said.chosen.of) == (are, of)
    assert said.to_dict()["accuracy"]["of"] == of
    first = " ".join(str(said).split()).partition(":")[0]
    assert ("noisy labels as they are" in first) == (are == "noisy")


def test_without_any_alpha_the_page_tells_no_limits_of_one(ask):
    """It is assumed then, and what more checks would leave of it would be, too."""
    assert re.search(r"labels checked by hand would tell α\.", " ".join(str(ask()).split()))
    checked = ask(labels="noisy", checked=40, wrong=20)
    assert re.search(r"labels checked by hand would tell α from \d", " ".join(str(checked).split()))


def test_few_checks_with_an_open_limit_leave_the_accuracy_open_above(ask, world):
    world.accuracy = Estimate(0.5, 0.45, 0.55, n=1000, level=0.9)
    said, sure = ask(labels="noisy", checked=3, wrong=1), ask(labels="noisy", alpha=0.6)
    assert said.alpha.interval[1] is None
    assert sure.chosen.accuracy.high < said.chosen.accuracy.high == 1.0
    assert said.chosen.accuracy.low < sure.chosen.accuracy.low


@pytest.mark.parametrize(
    "how",
    [
        {"checked": 20, "wrong": 20},
        {"checked": 6, "wrong": 4},
        {"labels": "noisy", "noise_rate": 0.67},
        {"labels": "clean", "alpha": 2.0, "matrix": (1 - np.eye(3)) / 2},  # a third right, a third each of the others
        {"counts": [[10, 0, 0], [20, 0, 0], [30, 0, 0]]},
        {"estimate": estimate_noise(20, 20, 3)},
    ],
    ids=["all wrong", "no signal in the sample", "rate", "matrix", "one label for all", "estimate"],
)
def test_labels_that_tell_no_alpha_get_no_rate_the_reason_and_what_to_do(ask, world, how):
    said = ask(**how)
    assert world.asked == []
    answer, page = said.to_dict(), " ".join(str(said).split())
    assert (said.learning_rate, said.accuracy, said.alpha.value, said.pay) == (None, None, None, None)
    for told in (answer["learning_rate"], answer["accuracy"], answer["batch_sizes"][0]["learning_rate"]):
        assert told["value"] is None
        assert told["reason"]
    assert page.startswith(f"? The learning rate cannot be told: {' '.join(answer['learning_rate']['reason'].split())}")
    assert "check more of them, best as counts" in page
    assert json.loads(json.dumps(answer, allow_nan=False))["labels"]["alpha"]["value"] is None
    assert set(answer) == set(ask(labels="clean").to_dict())
    assert effbatch.plot(said) is not None


def test_classes_of_counts_are_those_of_the_data_by_name(ask, world, little_images):
    named = replace(little_images, class_names=("ape", "bee", "cow"))
    counts = np.array([[30, 0, 9], [0, 20, 0], [0, 0, 50]])  # apes taken for cows
    order = [2, 0, 1]
    names = ("cow", "ape", "bee")
    exchanged = estimate_from_counts(counts[np.ix_(order, order)], class_names=names)
    assert not exchanged.uniform.fits
    right = estimate_from_counts(counts).transition
    for known in (
        {"estimate": exchanged},
        {"estimate": exchanged.to_dict()},
        {"counts": counts[np.ix_(order, order)], "class_names": names},
    ):
        world.asked.clear()
        ask(data=named, labels="clean", **known)
        T = MatrixNoise(world.asked[0]["labels"].alpha, world.asked[0]["labels"].matrices[0]).transition_matrix()
        assert pytest.approx(right) == T
    with pytest.raises(InputError, match=r"need the classes of .*, got the class 'cow' in them; known: 0, 1, 2"):
        ask(estimate=exchanged)
    with pytest.raises(InputError, match="got 3 by num_classes, 4 by the estimate"):
        ask(estimate=estimate_noise(20, 5, 4))


def test_labels_one_and_two_are_two_classes(ask, little_images):
    two = little_images.y_train % 2 + 1, little_images.y_test % 2 + 1
    said = ask(data=(little_images.x_train, two[0], little_images.x_test, two[1]), checked=100, wrong=30)
    assert said.data.num_classes == 2
    assert said.alpha.value == pytest.approx(1.5)  # of three classes it would be 0.82


def test_what_is_known_of_the_noise_in_labels_reaches_the_runs(ask, world):
    ask(labels="noisy", alpha=2.0)
    ask()
    ask(labels="clean", alpha=2.0)
    assert [asked["labels"].known_alpha for asked in world.asked] == [2.0, None, None]


def test_simulated_noise_is_the_matrix_that_was_asked_for(ask, world):
    matrix = [[0.2, 0.8, 0], [0.7, 0.3, 0], [0, 0, 1]]
    ask(labels="clean", alpha=1.5, matrix=matrix)
    assert world.asked[0]["labels"].alpha == 1.5
    assert world.asked[0]["labels"].matrices == pytest.approx(np.array([matrix]))
    labels = MatrixNoise(1.5, np.array(matrix))
    ask(labels="clean", transition=labels.transition_matrix())
    alpha, (given,) = world.asked[1]["labels"].alpha, world.asked[1]["labels"].matrices
    assert MatrixNoise(alpha, given).transition_matrix() == pytest.approx(labels.transition_matrix())


@pytest.mark.parametrize(
    "how",
    [
        {"alpha": 2.0},
        {"noise_rate": 0.3},
        {"alpha_interval": (1.0, 3.0)},
        {"transition": np.full((3, 3), 0.2) + 0.4 * np.eye(3)},
    ],
    ids=lambda how: next(iter(how)),
)
def test_with_a_level_of_noise_alone_own_labels_need_a_word(ask, how):
    with pytest.raises(InputError, match=r"alone: give --labels clean or --labels noisy, in Python labels=\"clean\""):
        ask(**how)


def test_built_in_labels_are_clean_whatever_is_known_of_alpha(world):
    said = effbatch.advise("perceptron", "digits", checked=40, wrong=20, steps=20, batch_sizes=(8,))
    assert said.labels.are == "clean"
    with pytest.raises(InputError, match="the labels of digits are clean, got labels = 'noisy'"):
        effbatch.advise("perceptron", "digits", labels="noisy", alpha=1, steps=20)


def test_labels_that_people_gave_are_noisy_and_trained_on_as_they_are(world, little_images):
    given = replace(little_images, name="cifar10n-worse", clean_labels=little_images.y_train)
    said = effbatch.advise("perceptron", given, steps=20, batch_sizes=(8,))
    assert (said.labels.are, said.chosen.of, world.asked[0]["labels"].alpha) == ("noisy", "clean labels", 0.0)
    assert effbatch.advise("perceptron", given, noise_rate=0.4, steps=20).chosen.of == "clean labels"
    with pytest.raises(InputError, match="the labels of cifar10n-worse are noisy, got labels = 'clean'"):
        effbatch.advise("perceptron", given, labels="clean", steps=20)


# --- what is known of alpha ---


def test_knowledge_of_alpha_is_taken_as_it_comes():
    assert Noise(alpha=3.0).known(10).interval is None
    middle = Noise(alpha_interval=(1.0, 7.0)).known(10)
    assert middle.value == pytest.approx(3.0)  # 1 + α = √(2 · 8)
    nothing = Noise().known(10)
    assert nothing.interval == (0.0, 9.0)
    assert "81 % wrong" in nothing.how
    sample = Noise(checked=200, wrong=66).known(10)
    direct = estimate_noise(200, 66, 10).alpha
    assert (sample.value, sample.interval) == (direct.value, direct.interval)


def test_counts_are_a_sample_of_checked_labels(ask):
    known = ask(counts=COUNTS).alpha
    sample = estimate_from_counts(COUNTS).sample
    assert (known.value, known.interval, known.checked) == (sample.alpha.value, sample.alpha.interval, 76)


def test_the_interval_of_a_simulated_alpha_widens_the_rate_by_the_law(ask):
    exact, wide = (ask(labels="clean", alpha=3.0, **more) for more in ({}, {"alpha_interval": (0.0, 8.0)}))
    low, high = exact.chosen.learning_rate.interval
    assert wide.learning_rate == exact.learning_rate
    assert wide.chosen.learning_rate.interval == pytest.approx((low * (4 / 9) ** 0.5, high * 4**0.5))


def test_audits_narrow_the_interval_and_only_larger_ones_are_offered():
    known = Noise(checked=150, wrong=60).known(10)
    offered = audits(known, 10)
    assert [audit.checked for audit in offered] == [400, 1600]
    assert offered[0].wrong == 160
    widths = [high - low for low, high in (known.interval, *(audit.alpha.interval for audit in offered))]
    assert widths == sorted(widths, reverse=True)
    assert audits(Noise(alpha=2.0).known(10), 10) == ()
    larger = audits(Noise(alpha=0.66, alpha_interval=(0.6, 0.72)).known(10), 10)  # from an audit made elsewhere
    assert larger == (), "none of these would tell more"


def test_where_the_clean_labels_of_a_data_set_are_known_so_is_their_noise(ask, little_images):
    clean = little_images.y_train
    wrong = np.arange(len(clean)) % 5 == 0
    given = replace(little_images, y_train=np.where(wrong, (clean + 1) % 3, clean), clean_labels=clean)
    counts = np.zeros((3, 3))
    np.add.at(counts, (clean, given.y_train), 1)
    advice = ask(given)
    assert (advice.labels.are, advice.chosen.of) == ("noisy", "clean labels")
    expected = Noise(transition=counts / counts.sum(1, keepdims=True)).known(3).value
    assert advice.alpha.value == pytest.approx(expected)
    assert advice.labels.audits == ()
    assert ask(given, labels="noisy", alpha=3.0).alpha.value == 3.0, "what is said counts more"


# --- labels checked by hand ---


def test_checked_labels_are_the_counts_of_these_examples(ask, little_images, tmp_path):
    given = little_images.y_train[:40]
    right = np.where(np.arange(40) % 4 == 0, (given + 1) % 3, given)
    counts = np.zeros((3, 3))
    np.add.at(counts, (right, given), 1)
    said = ask(checked_labels=list(zip(range(40), right.tolist(), strict=True)))
    assert (said.alpha.value, said.alpha.checked) == (ask(counts=counts).alpha.value, 40)
    assert (said.labels.are, said.chosen.of) == ("noisy", "clean labels")
    rows = "\n".join(f"{i},{c}" for i, c in enumerate(right))
    for name, text in (("with names", f"index,label\n{rows}"), ("bare", rows)):
        (tmp_path / name).write_text(text)
        assert ask(checked_labels=str(tmp_path / name)).alpha == said.alpha


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(0, 1), (0, 2)], "each once, got 0 twice"),
        ([], "each once, got none"),
        ([(60, 1)], "an index of a checked label needs to be from 0 to 59, got 60"),
        ([(0, 3)], "a label of a checked label needs to be from 0 to 2, got 3"),
        ([(0, 1, 2)], r"need rows \(index, label\), got one of 3"),
        (3, r"need rows \(index, label\), got int"),
    ],
    ids=["twice", "none", "index", "label", "three", "number"],
)
def test_checked_labels_that_cannot_be_are_refused(ask, rows, words):
    with pytest.raises(InputError, match=words):
        ask(checked_labels=rows)


def test_the_share_of_the_commonest_class_and_the_runs_say_by_which_labels(ask):
    said = ask(labels="noisy", noise_rate=0.2)
    assert re.search(r"always the commonest class: [\d.]+ % of the labels as given\.", " ".join(str(said).split()))
    for scored, words in (
        ("as given", "held-out labels as given"),
        ("checked", "right labels of the checked examples"),
    ):
        by = replace(said, labels=replace(said.labels, scored=scored))
        assert f"Short real runs: accuracy on {words}" in as_text(advice_page(by, everything=True))
        assert of_advice(by)[0].panels[0].y.label == f"accuracy on {words}, %"


def test_checked_labels_of_other_rows_are_told(ask, little_images, world):
    """Off by one in shuffled data: right labels have nothing to do with the given ones."""
    order = np.random.default_rng(3).permutation(len(little_images.y_train))
    data = replace(little_images, x_train=little_images.x_train[order], y_train=little_images.y_train[order])
    told: list[str] = []
    rows = [(i, int(data.y_train[i + 1])) for i in range(len(order) - 1)]
    said = ask(data, checked_labels=rows, tell=told.append)
    agree = int((data.y_train[1:] == data.y_train[:-1]).sum())
    words = (
        f"the checked labels agree with the given ones as often as chance ({agree} of 59): their indices may be wrong"
    )
    assert told[0].startswith(words)
    assert said.limits[0].startswith(words)
    assert words in " ".join(str(said).split())
    silent = Estimate(None, n=7, reason="no run of 9 steps beat chance: give more steps")
    world.changes = {"learning_rate": silent, "accuracy": silent, "plateau": None}
    without = ask(data, checked_labels=rows)
    assert words in without.to_dict()["learning_rate"]["reason"]
    aligned = ask(data, checked_labels=list(enumerate(data.y_train[:59].tolist())))
    assert not any("as often as chance" in limit for limit in aligned.limits)


@pytest.mark.parametrize("K", [2, 5])
def test_labels_dealt_out_anew_agree_as_often_as_chance(K):
    rng = np.random.default_rng(K)
    right = rng.choice(K, 400, p=np.arange(1, K + 1) / np.arange(1, K + 1).sum())
    warned = 0
    for _ in range(400):
        given = rng.permutation(right)
        counts = np.zeros((K, K))
        np.add.at(counts, (right, given), 1)
        warned += by_chance(counts) is not None
    assert warned >= 0.97 * 400, "one in a hundred agree more"
    noisy = np.where(rng.random(400) < 0.6, given, right)
    counts = np.zeros((K, K))
    np.add.at(counts, (right, noisy), 1)
    assert by_chance(counts) is None, "two in five right"


def test_checked_labels_need_examples_in_their_order(world, little_images):
    pair = (little_images.x_train, little_images.y_train)
    with pytest.raises(InputError, match=r"in their order, got arrays, of which a fifth .*: give a test set beside it"):
        effbatch.advise("perceptron", pair, checked_labels=[(0, 1), (1, 0)], steps=9)


def test_checked_labels_do_not_stand_beside_clean_ones_or_another_source(ask):
    with pytest.raises(InputError, match="got them as clean: leave one out"):
        ask(labels="clean", checked_labels=[(0, 1), (1, 0)])
    with pytest.raises(InputError, match="got alpha and counts: leave one of them out"):
        ask(labels="noisy", alpha=2.0, checked_labels=[(0, 1), (1, 0)])


# --- accuracy on clean labels ---


def agreed(confusion: np.ndarray, T: np.ndarray) -> float:
    """P(prediction = given label), classes equally frequent: the slow way, over all three labels."""
    K = len(T)
    return sum(confusion[c, k] * T[c, k] for c in range(K) for k in range(K)) / K


def test_uniform_noise_is_undone_exactly_whatever_the_network_confuses():
    rng = np.random.default_rng(1)
    for labels in (UniformNoise(0.0, 4), UniformNoise(2.0, 4), UniformNoise(9.0, 4)):
        confusion = rng.dirichlet(np.ones(4), 4) + 2 * np.eye(4)
        confusion /= confusion.sum(1, keepdims=True)
        T = np.eye(4) * labels.signal + (1 - labels.signal) / 4
        found = on_clean_labels(Estimate(agreed(confusion, T), n=100), [labels])
        assert found.value == pytest.approx(np.diag(confusion).mean())


def test_where_people_made_the_labels_the_lower_limit_holds_what_networks_and_people_confuse_alike():
    clean, noisy, share_right, n = 0.4195, 0.3313, 0.6066, 10_000  # a ResNet-8 on worse_label of CIFAR-10N
    labels = UniformNoise(alpha_from_noise_rate(1 - share_right, 10), 10)
    agreed = Estimate(noisy, noisy - 0.01, noisy + 0.01, n=n, level=0.9)
    alike, by_people = (on_clean_labels(agreed, [labels], by_people=people) for people in (False, True))
    assert (by_people.value, by_people.high) == (alike.value, alike.high)
    assert by_people.low < clean < alike.low
    three = UniformNoise(1.0, 3)
    assert on_clean_labels(agreed, [three], by_people=True) == on_clean_labels(agreed, [three])
    heavy = UniformNoise(alpha_from_noise_rate(0.75, 10), 10)
    assert on_clean_labels(agreed, [heavy], by_people=True).low == 0


def test_other_noise_is_undone_for_even_errors_and_its_limits_hold_all_others():
    labels = MatrixNoise(1.0, structured_noise_matrix(1.0, 5, 0.8))
    T = labels.transition_matrix()
    even = np.full((5, 5), 0.1) + 0.5 * np.eye(5)
    assert on_clean_labels(Estimate(agreed(even, T)), [labels]).value == pytest.approx(0.6)
    rng = np.random.default_rng(2)
    for _ in range(50):
        errors = rng.dirichlet(np.full(4, 0.2), 5)  # mostly on one false class
        confusion = 0.6 * np.eye(5)
        confusion[~np.eye(5, dtype=bool)] = 0.4 * errors.ravel()
        s = agreed(confusion, T)
        found = on_clean_labels(Estimate(s, s, s, level=0.9), [labels])
        assert found.low - 1e-9 <= 0.6 <= found.high + 1e-9


def test_limits_combine_those_of_the_runs_and_of_alpha():
    labels = [UniformNoise(alpha, 10) for alpha in (1.0, 0.5, 2.0)]
    value, low, high = 0.5, 0.48, 0.52
    found = on_clean_labels(Estimate(value, low, high, n=9, level=0.9), labels)
    clean = lambda s, alpha: (s - alpha / (1 + alpha) / 10) * (1 + alpha)  # noqa: E731 (the formula)
    assert found.value == pytest.approx(clean(value, 1.0))
    down = np.hypot(clean(value, 1.0) - clean(low, 1.0), clean(value, 1.0) - clean(value, 0.5))
    assert found.low == pytest.approx(found.value - down)
    assert found.high == 1.0  # an accuracy ends there
    assert (found.n, found.level) == (9, 0.9)
    alone = on_clean_labels(Estimate(value, low, high, level=0.9), labels[:1])
    assert alone.interval == pytest.approx((clean(low, 1.0), clean(high, 1.0)))


def test_labels_that_are_wrong_as_often_as_right_tell_no_accuracy(ask):
    swapped = [[0.4, 0.6, 0], [0.6, 0.4, 0], [0, 0, 1]]
    said = ask(labels="noisy", transition=swapped)
    assert (said.chosen.of, said.chosen.accuracy.value, said.chosen.accuracy.reason) == ("noisy labels", 0.8, MIXED)
    assert said.pay.more.gain.value is None


def test_the_page_says_both_accuracies(ask, world):
    world.accuracy = Estimate(0.5, 0.47, 0.53, n=100, level=0.9)
    said = ask(labels="noisy", alpha=1.0)
    page = " ".join(str(said).split())
    assert said.accuracy == pytest.approx(2 * (0.5 - 1 / 6))
    assert "Accuracy to expect on clean labels: 67 % [61, 73] (50.0 % [47.0, 53.0] on the noisy ones)" in page
    assert said.to_dict()["accuracy"]["as_scored"]["value"] == 0.5
    unknown = " ".join(str(ask()).split())
    assert "Accuracy to expect on noisy labels: 50.0 % [47.0, 53.0]" in unknown
    assert "how many labels are wrong is not known" in unknown


# --- more labels or cleaner labels ---


def test_changes_of_d_are_those_of_the_forced_choice():
    K, n, kappa, alpha = 10, 500.0, 0.1, 4.0  # n labels in all

    def d(n: float, alpha: float) -> float:
        return float(d_prime(accuracy_curve(n / (1 + alpha), alpha, kappa, K), K))

    worth = labels_worth(Estimate(None, reason="not asked"), UniformNoise(alpha, K), 100)
    assert d(2 * n, alpha) / d(n, alpha) == pytest.approx(worth.more.d_factor)
    assert d(n, worth.cleaner.alpha) / d(n, alpha) == pytest.approx(worth.cleaner.d_factor)
    clean_share = 1 / (1 + alpha) + worth.equal_share * alpha / (1 + alpha)
    assert d(n, 1 / clean_share - 1) == pytest.approx(d(2 * n, alpha))
    assert (worth.more.gain.value, worth.more.gain.reason) == (None, "not asked")
    assert (worth.more.steps, worth.cleaner.steps) == (200, 100)


def test_gains_are_those_of_d_at_the_accuracy_reached():
    K, n, kappa, alpha = 10, 500.0, 0.1, 4.0
    reached = float(accuracy_curve(n / (1 + alpha), alpha, kappa, K))
    worth = labels_worth(Estimate(reached, 0.3, 0.7, n=20, level=0.9), UniformNoise(alpha, K), 100)
    twice = float(accuracy_curve(2 * n / (1 + alpha), alpha, kappa, K))
    assert worth.more.gain.value == pytest.approx(twice - reached, abs=1e-6)
    ends = [float(accuracy(2**0.5 * d_prime(a, K), K)) - a for a in (reached, 0.3, 0.7)]
    assert worth.more.gain.interval == pytest.approx((min(ends), max(ends)), abs=1e-6)
    assert (worth.more.gain.n, worth.more.gain.level) == (20, 0.9)


def test_what_is_gained_at_a_slower_growth_of_d_is_less():
    reached, power = Estimate(0.5, n=20, level=0.9), Estimate(0.2, 0.1, 0.4)
    worth = labels_worth(replace(reached, low=0.45, high=0.55), UniformNoise(4.0, 10), 100, power)
    d = d_prime([0.5, 0.45, 0.55], 10)
    for change, signal in ((worth.more, 2), (worth.cleaner, (5 / (1 + worth.cleaner.alpha)) ** 2)):
        gains = [float(g) for p in (0.2, 0.1, 0.4) for g in accuracy(d * signal**p, 10) - accuracy(d, 10)]
        assert change.gain.floats == pytest.approx((gains[0], min(gains), max(gains)), abs=1e-6)  # rounded


@pytest.mark.parametrize("reached", [0.0, 0.05, 1.0])
def test_at_chance_and_where_all_is_right_nothing_is_gained(reached):
    worth = labels_worth(Estimate(reached), UniformNoise(4.0, 10), 100)
    assert worth.more.gain.value == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize(("alpha", "share"), [(0.0, None), (0.4, None), (0.5, pytest.approx(0.828, abs=1e-3))])
def test_little_noise_makes_relabelling_worth_less_than_more_labels(alpha, share):
    assert labels_worth(Estimate(None, reason=""), UniformNoise(alpha, 3), 8).equal_share == share


def test_an_alpha_without_upper_limit_leaves_the_accuracy_without_one():
    agreed = Estimate(0.5, 0.45, 0.55, n=1000, level=0.9)
    at, low = (UniformNoise(alpha, 10) for alpha in (0.7, 0.01))
    bounded = on_clean_labels(agreed, [at, low, UniformNoise(0.8, 10)])
    open_above = on_clean_labels(agreed, [at, low], bounded=False)
    assert open_above.value == bounded.value
    assert open_above.low == bounded.low < 0.5
    assert bounded.high < open_above.high == 1.0


@pytest.mark.parametrize(("scales", "scaled"), [((0.1, 300), True), ((1, 3), False)], ids=["unlike", "alike"])
def test_runs_that_learn_nothing_on_columns_of_unlike_scales_ask_for_scaling(scales, scaled):
    x = np.random.default_rng(0).normal(size=(40, 2)) * scales
    data = as_dataset({"x_train": x, "y_train": np.arange(40) % 2, "x_test": x, "y_test": np.arange(40) % 2})
    silent = Estimate(None, n=7, reason="no run of 9 steps beat chance: give more steps")
    probe = Probe(learning_rate=silent, plateau=None, accuracy=silent, stop_at=None, stages=(), full_runs=1.0)
    found = with_scales(probe, data)
    assert ("scale the columns to mean 0 and deviation 1" in found.learning_rate.reason) == scaled
    assert found.accuracy.reason == found.learning_rate.reason
    assert found.learning_rate.reason.endswith("give more steps") != scaled


def test_an_answer_of_runs_that_learn_nothing_on_such_columns_asks_for_scaling(world):
    x = np.random.default_rng(0).normal(size=(40, 2)) * (0.1, 300)
    data = {"x_train": x, "y_train": np.arange(40) % 2, "x_test": x, "y_test": np.arange(40) % 2}
    silent = Estimate(None, n=7, reason="no run of 9 steps beat chance: give more steps")
    world.changes = {"learning_rate": silent, "plateau": None, "accuracy": silent}
    said = effbatch.advise("perceptron", data, labels="clean", steps=90, batch_sizes=(32,))
    assert "scale the columns to mean 0" in said.chosen.learning_rate.reason
