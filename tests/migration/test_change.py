"""The change of the accuracy: its bounds without labels, and its interval with a few."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_score

from modernbert.migration.change import (
    change_of_accuracy,
    labels_needed,
    to_label,
    worst_half_width,
)
from modernbert.migration.texts import UNKNOWN
from modernbert.migration.thresholds import threshold_for_precision, threshold_for_rate


def drawn(n: int, flips: float, wins: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return answers of OLD and NEW, and the truth: two classes, NEW right in a share of the flips."""
    draw = np.random.default_rng(seed)
    old_N = draw.integers(0, 2, n)
    flipped_N = draw.random(n) < flips
    new_N = np.where(flipped_N, 1 - old_N, old_N)
    right_N = draw.random(n) < wins
    return old_N, new_N, np.where(right_N, new_N, 1 - new_N)


def test_without_labels_the_change_lies_within_the_share_of_flips():
    old_N, new_N, _ = drawn(500, 0.1, 0.5, 0)
    found = change_of_accuracy(old_N, new_N, np.full(500, UNKNOWN), margin=0.01)
    share = (old_N != new_N).mean()
    assert found.value is None
    assert found.high == -found.low > share
    for seed in range(20):  # whatever the truth is
        truth = np.random.default_rng(seed).integers(0, 2, 500)
        change = (new_N == truth).mean() - (old_N == truth).mean()
        assert found.low < change < found.high


def test_with_all_labels_it_is_the_difference_of_the_accuracies():
    old_N, new_N, truth_N = drawn(800, 0.2, 0.7, 1)
    found = change_of_accuracy(old_N, new_N, truth_N, margin=0.01)
    gains_N = (new_N == truth_N).astype(float) - (old_N == truth_N)
    assert found.value == pytest.approx(gains_N.mean())
    half = 1.96 * gains_N.std() / 800**0.5  # of a mean, as in any textbook
    assert found.high - found.value == pytest.approx(half, rel=0.05)
    assert (found.won, found.lost) == ((gains_N > 0).sum(), (gains_N < 0).sum())


@pytest.mark.parametrize(("labelled", "wins"), [(10, 0.5), (30, 0.2), (30, 0.95), (100, 0.5)])
def test_the_interval_holds_the_truth_as_often_as_it_says(labelled, wins):
    flips, n = 0.25, 600
    truth = flips * (2 * wins - 1)
    held = 0
    for seed in range(400):
        old_N, new_N, truth_N = drawn(n, flips, wins, seed)
        first = to_label(old_N, new_N, np.full(n, UNKNOWN))[:labelled]
        known_N = np.full(n, UNKNOWN)
        known_N[first] = truth_N[first]
        found = change_of_accuracy(old_N, new_N, known_N, margin=0.01)
        assert found.labelled == labelled
        held += found.low <= truth <= found.high
    assert held / 400 >= 0.93


def test_labels_of_texts_that_did_not_flip_tell_nothing():
    old_N, new_N, truth_N = drawn(300, 0.2, 0.6, 2)
    known_N = np.where(old_N == new_N, truth_N, UNKNOWN)
    found = change_of_accuracy(old_N, new_N, known_N, margin=0.01)
    assert (found.value, found.labelled) == (None, 0)


def test_no_flips_no_labels():
    same_N = np.zeros(1000, int)
    found = change_of_accuracy(same_N, same_N, np.full(1000, UNKNOWN), margin=0.01)
    assert (found.value, found.needed, found.flips) == (0.0, 0, 0)
    assert 0 < found.high < 0.005


def test_the_number_of_labels_is_the_least_that_suffices():
    n, flips, margin = 10_000, 400, 0.01
    found = labels_needed(flips, n, margin)
    assert 0 < found < flips
    normal = {m: worst_half_width(m, flips, n) for m in (found, int(found * 0.9))}
    assert normal[found] == pytest.approx(
        margin, rel=0.02
    )  # Student's t is a little wider than the normal law
    assert normal[int(found * 0.9)] > margin
    assert labels_needed(200, 1000, 0.01) is None


def test_the_order_of_labelling_is_random_and_leaves_labelled_ones_out():
    old_N, new_N = np.zeros(100, int), np.ones(100, int)
    known_N = np.full(100, UNKNOWN)
    known_N[:40] = 1
    order = to_label(old_N, new_N, known_N)
    assert sorted(order) == list(range(40, 100))
    assert list(order) != sorted(order)


def test_a_threshold_that_keeps_the_rate():
    share_N = np.random.default_rng(0).random(1000)
    for rate in (0.0, 0.137, 0.5, 1.0):
        assert (share_N > threshold_for_rate(share_N, rate)).mean() == pytest.approx(rate)


def test_the_lowest_threshold_with_a_precision():
    draw = np.random.default_rng(0)
    share_N = draw.random(500).round(2)
    right_N = draw.random(500) < share_N
    cut = threshold_for_precision(right_N, share_N, 0.8)
    assert precision_score(right_N, share_N > cut) >= 0.8
    lower = np.unique(share_N[share_N < cut])[::-1]
    assert all(precision_score(right_N, share_N > other - 1e-9) < 0.8 for other in lower)
    assert threshold_for_precision(np.zeros(5, bool), np.linspace(0, 1, 5), 0.5) is None
