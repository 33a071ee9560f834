"""What the share of wrong labels hides where a class is rare is said beside it."""

from __future__ import annotations

import numpy as np
import pytest

from effbatch.audit import Checks, estimate_from_checks, estimate_from_counts

RARE = [[985, 5], [8, 2]]


def test_a_rare_class_is_told_with_what_always_answering_the_other_reaches():
    found = estimate_from_counts(RARE, class_names=["well", "ill"])
    text = " ".join(str(found).split())
    assert "Wrong labels: 1.3 %" in text
    assert "Class ill is 1 % of the data, and always answering well is right for 99 %." in text
    assert "Of the labels of ill 20 % [2.52, 55.6] are right (n = 10); with every class counted alike, 40.3 %" in text
    answer = found.to_dict()
    assert answer["class_shares"] == pytest.approx([0.99, 0.01])
    assert answer["balanced_noise_rate"] == pytest.approx((5 / 990 + 8 / 10) / 2)


@pytest.mark.parametrize("counts", [[[50, 5], [8, 20]], [[100, 0], [0, 0]]], ids=["none rare", "one checked"])
def test_without_a_rare_class_nothing_is_said(counts):
    found = estimate_from_counts(counts)
    assert "of the data, and always answering" not in str(found)
    assert (found.balanced_noise_rate is None) == (counts[1] == [0, 0])


def test_shares_are_those_of_the_data_set_and_not_of_the_checks():
    by_label = estimate_from_counts([[28, 6], [2, 24]], sizes=[9900, 100])  # columns: 30 checked of each given label
    assert by_label.shares == pytest.approx([0.99 * 28 / 30 + 0.01 * 6 / 30, 0.99 * 2 / 30 + 0.01 * 24 / 30])
    image, checked = np.repeat(np.arange(4), [9, 1, 1, 1]), np.repeat([0, 1, 1, 1], [9, 1, 1, 1])
    found = estimate_from_checks(Checks(image.tolist(), checked, checked, num_classes=2))
    assert found.shares == pytest.approx([0.25, 0.75])
