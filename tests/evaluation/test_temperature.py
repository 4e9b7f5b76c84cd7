"""The temperature has the least log loss, as scikit-learn finds it, and changes no answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import special
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from modernbert.data.examples import Examples
from modernbert.data.rows import Rows
from modernbert.data.task import FileData, Task
from modernbert.errors import BadOption
from modernbert.evaluation.scoring import readable_prediction, score_split
from modernbert.evaluation.temperature import fit_temperature, require_temperature, with_temperature

NAMES = ("a", "b", "c")


def overconfident(count: int, classes: int, factor: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from the softmax of logits, and these logits times a factor."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 1.5, (count, classes))
    shares = special.softmax(logits, axis=1)
    labels = np.array([draw.choice(classes, p=p) for p in shares])
    return labels, (logits * factor).astype(np.float32)


def task_of(classes: int, **changes) -> Task:
    return Task(
        name="own/toy", summary="", kind="single_label", text=("text",), labels=NAMES[:classes],
        metrics=("accuracy",), source=FileData({}, Path()), **changes,
    )  # fmt: skip


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_of_two_classes_it_is_a_logistic_regression_on_their_log_odds(factor):
    labels, logits = overconfident(400, 2, factor)
    odds = (logits[:, 1] - logits[:, 0]).astype(np.float64)[:, None]
    model = LogisticRegression(C=1e9, fit_intercept=False, tol=1e-10).fit(odds, labels)
    assert fit_temperature(labels, logits) == pytest.approx(1 / model.coef_[0, 0], rel=1e-3)


def test_of_several_classes_no_other_one_has_a_smaller_log_loss():
    labels, logits = overconfident(2000, 3, 2.5)
    found = fit_temperature(labels, logits)
    losses = [
        log_loss(labels, special.softmax(logits.astype(float) / t, axis=1)) for t in np.arange(1, 5, 0.01)
    ]
    assert found == pytest.approx(1 + 0.01 * np.argmin(losses), abs=0.01)
    assert found == pytest.approx(2.5, abs=0.25)


def test_there_is_none_where_every_answer_is_right_or_nothing_is_said():
    labels = np.array([0, 1, 2, 1])
    assert fit_temperature(labels, np.eye(3, dtype=np.float32)[labels]) is None
    assert fit_temperature(labels, np.zeros((4, 3), np.float32)) is None
    task = with_temperature(task_of(3), labels, np.eye(3)[labels])
    assert task.temperature == 1
    with pytest.raises(BadOption, match="m has no temperature"):
        require_temperature(task, "m")


def test_scores_have_both_and_the_brier_score_is_that_of_the_divided_logits():
    labels, logits = overconfident(600, 3, 4.0)
    rows = Rows.of({"text": ["x"] * 600}, "toy")
    examples = Examples([("x",)] * 600, labels, rows)
    task = with_temperature(task_of(3), labels, logits)
    found = score_split(task, "validation", examples, logits)
    shares = special.softmax(logits.astype(float) / task.temperature, axis=1)
    brier = ((shares - np.eye(3)[labels]) ** 2).sum(axis=1).mean()
    assert found.calibrated[1].value == pytest.approx(brier)
    assert [s.metric for s in found.calibrated] == ["calibration_error", "brier"]
    assert all(after.value < before.value for before, after in
               zip(found.calibration, found.calibrated, strict=True))  # fmt: skip
    plain = score_split(task_of(3), "validation", examples, logits)
    assert (plain.scores, plain.calibration, plain.calibrated) == (found.scores, found.calibration, ())


def test_a_prediction_shows_it_only_when_asked_and_keeps_its_answer():
    logits = np.array([0.0, 2.0], np.float32)
    task = task_of(2, temperature=4.0, thresholds=(0.05, 0.95))
    plain, asked = readable_prediction(task, logits), readable_prediction(task, logits, calibrated=True)
    assert plain["prediction"] == asked["prediction"] == "a"  # 0.88 is not above 0.95
    assert plain["probabilities"]["b"] == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-6)
    assert asked["probabilities"]["b"] == pytest.approx(1 / (1 + np.exp(-0.5)), abs=1e-6)
