"""Metrics of the positive class and thresholds of two classes, against scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from modernbert.data.choices import OF_POSITIVE, possible_metrics, with_choices
from modernbert.data.task import FileData, Task
from modernbert.errors import BadOption
from modernbert.evaluation.metrics import METRICS, measured, score
from modernbert.evaluation.predict import decide, probabilities
from modernbert.evaluation.scoring import quick_metrics, readable_prediction
from modernbert.evaluation.statistics import interval
from modernbert.evaluation.sums import sums_of
from modernbert.evaluation.thresholds import TUNABLE, best_threshold, decision_note, with_thresholds

SKLEARN = {
    "accuracy": sk.accuracy_score,
    "f1": lambda y, p: sk.f1_score(y, p, zero_division=0.0),
    "macro_f1": lambda y, p: sk.f1_score(y, p, average="macro", zero_division=0.0),
    "matthews": lambda y, p: sk.matthews_corrcoef(y, p) if len(set(p)) > 1 else 0.0,
}


def task_of(*labels: str, **fields) -> Task:
    given = {"kind": "single_label", "metrics": ("accuracy",), **fields}
    return Task(name="own/x", summary="", text=("text",), labels=labels, source=FileData({}, None), **given)


def rare(random, n=400, share=0.05):
    labels = (random.random(n) < share).astype(int)
    return labels, np.stack([np.zeros(n), 2.5 * labels - 4 + random.normal(0, 1, n)], axis=1)


@pytest.mark.parametrize("positive", [0, 1])
def test_metrics_of_the_positive_class_are_scikit_learns(positive):
    labels, logits = rare(np.random.default_rng(0), share=0.3)
    logits[:, 1] += 2
    task = task_of("a", "b", positive="ab"[positive], metrics=OF_POSITIVE)
    predictions, share = logits.argmax(axis=1), probabilities(logits, "single_label")[:, positive]
    truth = labels == positive
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        labels, predictions, pos_label=positive, average="binary"
    )
    expected = {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "average_precision": sk.average_precision_score(truth, share.round(12)),
        "roc_auc": sk.roc_auc_score(truth, share.round(12)),
    }
    assert quick_metrics(task, labels, logits) == pytest.approx(expected, abs=1e-6)
    for name, value in expected.items():
        found = score(name, *measured(name, labels, predictions, logits, positive))
        assert found.value == pytest.approx(value, abs=1e-6)
        assert found.low < found.high and found.low <= value <= found.high


@pytest.mark.parametrize("metric", OF_POSITIVE)
def test_without_any_of_a_class_nothing_is_known(metric):
    nothing, scores = np.zeros(30, int), np.arange(30.0)
    found = score(metric, nothing, scores if metric in ("average_precision", "roc_auc") else nothing)
    assert found.value == METRICS[metric](nothing, scores * 0) == 0
    assert found.low is None or metric == "f1"


@pytest.mark.parametrize("metric", ["recall", "average_precision", "roc_auc"])
def test_few_positives_decide_however_many_rows_there_are(metric):
    """Four of four found among a thousand rows is little to go by."""
    labels = np.arange(1000) < 4
    found = score(metric, labels.astype(int), labels.astype(float))
    assert found.value == 1 and found.low < 0.65 and "few examples decide" in found.interval


@pytest.mark.parametrize(("metric", "share"), [("roc_auc", 0.1), ("average_precision", 0.2)])
def test_intervals_of_ranks_hold_the_truth(metric, share):
    random = np.random.default_rng(3)

    def draw(n):
        labels = (random.random(n) < share).astype(int)
        return labels, 1.5 * labels + random.normal(0, 1, n)

    truth = METRICS[metric](*draw(200_000))
    found = [score(metric, *draw(400)) for _ in range(150)]
    held = np.mean([one.low <= truth <= one.high for one in found])
    assert 0.89 <= held <= 0.99  # 95 %, of 150 draws


def test_the_interval_of_average_precision_has_students_t_of_the_positive_examples():
    """Its ends x have (value - x)^2 = q^2 x (1 - x) / n; q has 30 - 1 degrees of freedom, not 600 - 1."""
    random = np.random.default_rng(5)
    labels = np.arange(600) < 30
    sums = sums_of("average_precision", labels.astype(int), random.normal(0, 1, 600) + 2 * labels)

    def square(ends):
        return (sums.measured - ends[0]) ** 2 / (ends[0] * (1 - ends[0]))

    ratio = square(interval([sums])) / square(interval([replace(sums, degrees=0)]))
    assert ratio == pytest.approx((stats.t.ppf(0.975, 29) / stats.t.ppf(0.975, 599)) ** 2)
    assert "Student's t" in score("average_precision", labels.astype(int), labels * 1.0).interval


def test_roc_auc_has_delongs_variance():
    """His components: shares of the other class's examples below and above, each with its own variance."""
    random = np.random.default_rng(1)
    labels, scores = np.repeat([1, 0], [40, 160]), random.normal(0, 1, 200)
    scores[:40] += 1
    sums = sums_of("roc_auc", labels, scores)
    above = (scores[:40, None] > scores[None, 40:]).astype(float)
    np.testing.assert_allclose(sums.parts_NK[:40, 0], above.mean(axis=1))
    np.testing.assert_allclose(sums.parts_NK[40:, 2], above.mean(axis=0))
    assert sums.measured == pytest.approx(above.mean())


@pytest.mark.parametrize("metric", TUNABLE)
@given(seed=st.integers(0, 10_000), size=st.integers(2, 30))
@settings(max_examples=25, deadline=None)
def test_no_threshold_is_better(metric, seed, size):
    random = np.random.default_rng(seed)
    labels, shares = random.integers(0, 2, size), random.integers(1, 6, size) / 6

    def value(threshold):
        return SKLEARN[metric](labels, (shares > threshold).astype(int))

    found = best_threshold(labels, shares, metric)
    every = max(value(threshold) for threshold in [0.0, *shares])
    assert value(found) == pytest.approx(every if labels.any() else value(0.5))


@pytest.mark.parametrize("positive", ["a", "b"])
def test_a_tuned_threshold_finds_a_rare_class_and_is_applied_everywhere(positive):
    labels, logits = rare(np.random.default_rng(0))
    if positive == "a":
        labels, logits = 1 - labels, logits[:, ::-1]
    task = with_choices(task_of("a", "b", positive=positive), {"metric": "f1", "threshold": "auto"})
    assert quick_metrics(task, labels, logits)["f1"] < 0.25, "hardly any is more probable than the other"
    tuned = with_thresholds(task, labels, logits)
    assert quick_metrics(tuned, labels, logits)["f1"] > 0.3
    share = probabilities(logits, "single_label")[:, "ab".index(positive)]
    threshold = tuned.thresholds["ab".index(positive)]
    expected = np.where(share > threshold, "ab".index(positive), 1 - "ab".index(positive))
    np.testing.assert_array_equal(decide(logits, "single_label", tuned.thresholds), expected)
    row = readable_prediction(tuned, logits[share.argmax()])
    assert row["prediction"] == positive and row["confidence"] == row["probabilities"][positive]
    told = decision_note(tuned)
    assert f"'{positive}' where its probability is above {threshold:.4f}" in told
    assert "tuned for f1 on validation" in told


def test_a_fixed_threshold_is_tuned_on_nothing():
    task = with_choices(task_of("a", "b"), {"threshold": 0.2})
    fixed = with_thresholds(task, None, np.zeros((1, 2)))
    assert fixed.thresholds == (0.8, 0.2) and "as asked for" in decision_note(fixed)
    several = replace(task_of("a", "b", "c", kind="multi_label"), decision=0.2)
    assert with_thresholds(several, None, np.zeros((1, 3))).thresholds == (0.2, 0.2, 0.2)
    assert with_thresholds(task_of("a", "b"), None, np.zeros((1, 2))).thresholds == ()


@pytest.mark.parametrize(
    ("labels", "chosen", "told"),
    [
        (("a", "b"), {"metric": "micro_f1"}, "micro_f1 is no metric of own/x"),
        (("a", "b", "c"), {"metric": "f1"}, "it needs two classes, and there are 3"),
        (("a", "b", "c"), {"positive": "a"}, "--positive applies only to two classes"),
        (("a", "b", "c"), {"threshold": "auto"}, "--threshold applies only to two classes"),
        (("a", "b"), {"positive": "c"}, "own/x has no label 'c'"),
    ],
)
def test_what_a_task_does_not_have_is_refused(labels, chosen, told):
    with pytest.raises(BadOption, match=told):
        with_choices(task_of(*labels), chosen)


def test_the_chosen_metric_comes_first():
    task = with_choices(task_of("a", "b", metrics=("accuracy", "f1")), {"metric": "f1"})
    assert task.metrics == ("f1", "accuracy")
    assert {"roc_auc", "average_precision", "matthews"} < set(possible_metrics(task))
