"""Calibration error and Brier score against scikit-learn, by hand, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import brier_score_loss

from modernbert.evaluation.calibration import Answers, calibration, calibration_scores
from modernbert.evaluation.predict import probabilities


def drawn(n: int, too_sure: float, random: np.random.Generator) -> Answers:
    """Return answers whose probabilities, 0.6 to 1, are too high by as much in every bin."""
    sure = random.uniform(0.6, 1, n)
    right = random.random(n) < sure - too_sure
    return Answers(np.where(right, 0, 1), np.stack([sure, 1 - sure], axis=1))


@pytest.mark.parametrize("classes", [2, 4])
def test_the_brier_score_is_scikit_learns(classes):
    random = np.random.default_rng(0)
    labels, logits = random.integers(0, classes, 90), random.normal(size=(90, classes))
    (_, found) = calibration_scores([Answers.of(labels, logits)])
    shares = probabilities(logits, "single_label")
    expected = brier_score_loss(
        labels, shares if classes > 2 else shares[:, 1], labels=list(range(classes)), scale_by_half=False
    )
    assert (found.metric, found.value) == ("brier", pytest.approx(expected))
    squares = ((shares - np.eye(classes)[labels]) ** 2).sum(axis=1)
    half = stats.norm.ppf(0.975) * stats.sem(squares)
    assert (found.low, found.high) == pytest.approx((expected - half, expected + half), rel=0.1)


def test_the_error_is_that_of_the_bins():
    answers = drawn(300, 0.1, np.random.default_rng(0))
    right = answers.shares.argmax(axis=1) == answers.labels
    (found, _) = calibration_scores([answers])
    assert found.value == pytest.approx(calibration(answers.confidence, right).error)
    in_bins = [(answers.confidence >= low) & (answers.confidence < low + 0.1) for low in (0.6, 0.7, 0.8, 0.9)]
    by_hand = sum(abs((answers.confidence - right)[bin_].sum()) for bin_ in in_bins) / 300
    assert found.value == pytest.approx(by_hand)
    assert "lower end for chance" in found.interval


def test_chance_alone_makes_an_error():
    random = np.random.default_rng(0)
    errors = [calibration_scores([drawn(200, 0.0, random)])[0].value for _ in range(400)]
    mean, most = drawn(200, 0.0, random).by_chance()
    assert np.mean(errors) == pytest.approx(mean, rel=0.05)
    assert np.mean(np.array(errors) <= most) == pytest.approx(0.97, abs=0.02)


@pytest.mark.parametrize("n", [50, 200, 1000])
@pytest.mark.parametrize("too_sure", [0.0, 0.02, 0.05, 0.2])
def test_the_interval_of_the_error_holds_the_truth(n, too_sure):
    """Of 300, the standard error is 1.3 points."""
    random = np.random.default_rng(n)
    found = [calibration_scores([drawn(n, too_sure, random)])[0] for _ in range(300)]
    assert np.mean([one.low <= too_sure <= one.high for one in found]) >= 0.92


def test_seeds_are_averaged():
    random = np.random.default_rng(0)
    runs = [drawn(400, share, random) for share in (0.1, 0.2, 0.3)]
    by_run = [calibration_scores([run]) for run in runs]
    for place, one in enumerate(calibration_scores(runs)):
        alone = [scores[place] for scores in by_run]
        assert one.value == pytest.approx(np.mean([score.value for score in alone]))
        assert one.high - one.low > max(score.high - score.low for score in alone)
