"""Several labels a text: from which probability on each label is given, and how good each label is.

Shape suffixes: N texts, C labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sklearn import metrics as sk

from modernbert.data.task import Task
from modernbert.evaluation.metrics import average_precision
from modernbert.evaluation.predict import probabilities

# From which probability on a label is given, where nothing was measured.
THRESHOLD = 0.5


@dataclass(frozen=True)
class LabelScore:
    """One label's figures on one split.

    Attributes:
        label: its name.
        n: texts that have it.
        threshold: the label is given where its probability is greater.
        precision, recall, f1: at that threshold.
        average_precision: over all thresholds; None where no text has the label.
    """

    label: str
    n: int
    threshold: float
    precision: float
    recall: float
    f1: float
    average_precision: float | None


def with_thresholds(task: Task, labels: np.ndarray | None, logits: np.ndarray) -> Task:
    """Return a task with thresholds tuned on a validation split; one without several labels as it is."""
    if task.kind != "multi_label":
        return task
    assert labels is not None
    return replace(task, thresholds=tune_thresholds(labels, logits))


def tune_thresholds(labels_NC: np.ndarray, logits_NC: np.ndarray) -> tuple[float, ...]:
    """Return for each label the threshold with the best F1 (Lipton et al. 2014, arXiv:1402.1892)."""
    shares_NC = probabilities(logits_NC, "multi_label")
    return tuple(map(best_threshold, labels_NC.T, shares_NC.T))


def best_threshold(labels_N: np.ndarray, shares_N: np.ndarray) -> float:
    """Return the threshold of one label: halfway between two probabilities; of equals the nearest to 0.5."""
    if not labels_N.any():
        return THRESHOLD
    order = np.argsort(-shares_N, kind="stable")
    falling, hits = shares_N[order], labels_N[order].cumsum()
    given = np.arange(1, len(order) + 1)
    below = np.append(falling[1:], 0.0)
    apart = falling > below
    f1 = np.where(apart, 2 * hits / (given + labels_N.sum()), -1.0)
    cuts = (falling + below)[f1 == f1.max()] / 2
    return float(cuts[np.abs(cuts - THRESHOLD).argmin()])


def macro_average_precision(labels_NC: np.ndarray, logits_NC: np.ndarray) -> float:
    """Return the mean of the labels' average precision, of all labels that occur; 0 when none does."""
    found = [
        average_precision(labels_N, logits_N)
        for labels_N, logits_N in zip(labels_NC.T, logits_NC.T, strict=True)
        if labels_N.any()
    ]
    return float(np.mean(found)) if found else 0.0


def label_scores(
    names: tuple[str, ...],
    thresholds: tuple[float, ...],
    labels_NC: np.ndarray,
    decided_NC: np.ndarray,
    logits_NC: np.ndarray,
) -> tuple[LabelScore, ...]:
    """Return each label's figures."""
    parts = sk.precision_recall_fscore_support(labels_NC, decided_NC, average=None, zero_division=0.0)
    return tuple(
        LabelScore(
            label=name,
            n=int(n),
            threshold=threshold,
            precision=float(precision),
            recall=float(recall),
            f1=float(f1),
            average_precision=average_precision(labels_NC[:, i], logits_NC[:, i]) if n else None,
        )
        for i, (name, threshold, precision, recall, f1, n) in enumerate(
            zip(names, thresholds or (THRESHOLD,) * len(names), *parts, strict=True)
        )
    )
