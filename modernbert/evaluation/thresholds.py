"""From which probability on a label is given: of several labels a text, or of two classes the positive one.

Shape suffixes: N texts, C labels, R possible thresholds.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from modernbert.data.task import Task
from modernbert.evaluation.confusion import value_of
from modernbert.evaluation.predict import probabilities
from modernbert.records.record import RunRecord

# From which probability on a label is given, where nothing was measured.
THRESHOLD = 0.5
# What a threshold can be tuned for; anything else has its best value where F1 has none to offer: recall, say,
# where every text is given the label.
TUNABLE = ("accuracy", "f1", "macro_f1", "matthews")


def with_thresholds(task: Task, labels: np.ndarray | None, logits: np.ndarray) -> Task:
    """Return a task with thresholds as its user wants them, tuned on a validation split or fixed.

    Args:
        task: one with neither several labels nor a wish comes back as it is.
        labels, logits: of the validation split.
    """
    several = task.kind == "multi_label"
    if not task.decision and not several:
        return task
    if isinstance(task.decision, float):
        fixed = task.decision
        return replace(task, thresholds=(fixed,) * len(task.labels) if several else _of_two(task, fixed))
    assert labels is not None
    if several:
        return replace(task, thresholds=tune_thresholds(labels, logits))
    share_N = probabilities(logits, task.kind)[:, task.positive_index]
    best = best_threshold(labels == task.positive_index, share_N, tuned_for(task))
    return replace(task, thresholds=_of_two(task, best))


def _of_two(task: Task, threshold: float) -> tuple[float, float]:
    """Return the thresholds of both classes: exactly one of them has a probability above its own."""
    return (1 - threshold, threshold) if task.positive_index else (threshold, 1 - threshold)


def tuned_for(task: Task) -> str:
    """Return the metric that the threshold of a task of two classes is tuned for."""
    return task.metrics[0] if task.metrics[0] in TUNABLE else "f1"


def tune_thresholds(labels_NC: np.ndarray, logits_NC: np.ndarray) -> tuple[float, ...]:
    """Return for each label the threshold with the best F1 (Lipton et al. 2014, arXiv:1402.1892)."""
    shares_NC = probabilities(logits_NC, "multi_label")
    return tuple(map(best_threshold, labels_NC.T, shares_NC.T))


def best_threshold(labels_N: np.ndarray, shares_N: np.ndarray, metric: str = "f1") -> float:
    """Return the threshold of one label: halfway between two probabilities; of equals the nearest to 0.5.

    Args:
        labels_N: 1 where a text has the label.
        shares_N: its probabilities.
        metric: one of `TUNABLE`.
    """
    if not labels_N.any():
        return THRESHOLD
    order = np.argsort(-shares_N, kind="stable")
    falling = np.concatenate([[1.0], shares_N[order], [0.0]])
    hits_R = np.concatenate([[0], labels_N[order].cumsum()])
    values_R = _values(metric, hits_R, np.arange(len(hits_R)), labels_N.sum(), len(labels_N))
    values_R = np.where(falling[:-1] > falling[1:], values_R, -np.inf)
    cuts = (falling[:-1] + falling[1:])[values_R == values_R.max()] / 2
    return float(cuts[np.abs(cuts - THRESHOLD).argmin()])


def _values(metric: str, hits_R: np.ndarray, given_R: np.ndarray, true: float, n: int) -> np.ndarray:
    """Return a metric for each possible threshold, from how many texts are given the label, and rightly."""
    rest_R = n - given_R - true + hits_R
    if metric == "accuracy":
        return np.asarray((hits_R + rest_R) / n)
    of_label = (hits_R, given_R, np.full_like(given_R, true, float))
    if metric == "f1":
        return value_of(metric, several=False)(np.stack(of_label, axis=1).astype(float))
    of_rest = (rest_R, n - given_R, n - of_label[2])
    pairs = [part for both in zip(of_rest, of_label, strict=True) for part in both]
    return value_of(metric, several=False)(np.stack(pairs, axis=1).astype(float))


def tuned_thresholds(record: RunRecord) -> str:
    """Return what a run tuned on its validation split, in words; nothing if it tuned no threshold."""
    if not record.thresholds or isinstance(record.config.by_name().get("threshold"), float):
        return ""
    if record.folds or (record.request and record.request.fold):  # which is scored, and chooses nothing
        return ""
    return "the threshold" if record.task.kind == "single_label" else "the labels' thresholds"


def decision_note(task: Task) -> str:
    """Say from which probability on the positive class is given; nothing where the larger one decides."""
    if not task.is_binary or not task.thresholds:
        return ""
    positive, threshold = task.labels[task.positive_index], task.thresholds[task.positive_index]
    said = f"the answer is '{positive}' where its probability is above {threshold:.4f}"
    if isinstance(task.decision, float):
        return f"{said}, as asked for"
    return f"{said}: tuned for {tuned_for(task)} on {task.validation[0]}, whose scores are optimistic for it"
