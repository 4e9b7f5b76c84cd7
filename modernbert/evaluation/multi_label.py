"""Several labels a text: how good each label is.

Shape suffixes: N texts, C labels.
"""

from __future__ import annotations

import numpy as np
from sklearn import metrics as sk

from modernbert.evaluation.metrics import average_precision
from modernbert.evaluation.thresholds import THRESHOLD
from modernbert.records.scores import LabelScore


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
