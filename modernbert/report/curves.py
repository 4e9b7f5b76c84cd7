"""Precision and recall over all thresholds: of the positive class, and of each of several labels.

Shape suffixes: N examples, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn import metrics as sk

from modernbert.comparison.analysis import answers_of
from modernbert.comparison.outcomes import Outcome
from modernbert.comparison.tables import Table
from modernbert.evaluation.predict import probabilities
from modernbert.report import plots
from modernbert.report.plots import Points, Styles
from modernbert.report.section import Section

# Labels that have a picture, the most frequent ones.
MOST_CURVES = 6


def precision_recall(outcomes: Sequence[Outcome], styles: Styles) -> Section:
    """Draw the positive class's curve."""
    positive = outcomes[0].positive
    name = outcomes[0].record.task.labels[positive]
    lines: dict[str, Points] = {}
    used: dict[str, tuple[float, float]] = {}
    rows = []
    for outcome in outcomes:
        answers = answers_of(outcome)
        assert answers is not None
        truth_N, share_N = answers.labels == positive, answers.shares[:, positive]
        if not truth_N.any():
            continue
        lines[outcome.model] = _curve(truth_N, share_N)
        recall, precision = used[outcome.model] = _at(truth_N, outcome.predictions == positive)
        area = sk.average_precision_score(truth_N, share_N)
        figures = (precision, recall, float(area), float(truth_N.mean()))
        rows.append((outcome.model, _threshold(outcome, name), *(f"{figure:.4f}" for figure in figures)))
    numbers = ("threshold", "precision", "recall", "average precision", "share of the class")
    table = Table("", ("model", *numbers), tuple(rows), numbers)
    text = (
        f"Class “{name}”. The sign marks the threshold used: at 0.5 the more probable class is the answer. "
        "Answering at random has the class's share as its precision."
    )
    drawn = (plots.precision_recall(lines, used, styles),) if lines else ()
    return Section("Precision and recall", text, plots=drawn, tables=(table,))


def label_curves(outcomes: Sequence[Outcome], styles: Styles) -> list[Section]:
    """Draw the curves of the most frequent labels, each in a picture of its own with all models."""
    names, counts_C = outcomes[0].record.task.labels, np.asarray(outcomes[0].labels).sum(axis=0)
    often = [int(i) for i in np.argsort(-counts_C, kind="stable")[:MOST_CURVES] if counts_C[i]]
    drawn = []
    for i in often:
        lines: dict[str, Points] = {}
        used: dict[str, tuple[float, float]] = {}
        for outcome in outcomes:
            assert outcome.logits is not None and outcome.labels is not None
            truth_N = outcome.labels[:, i] > 0
            lines[outcome.model] = _curve(truth_N, probabilities(outcome.logits, "multi_label")[:, i])
            used[outcome.model] = _at(truth_N, outcome.predictions[:, i] > 0)
        drawn.append(plots.precision_recall(lines, used, styles, of=names[i]))
    if not drawn:
        return []
    text = "The sign marks the threshold used."
    if len(often) < len(names):
        text += f" The most frequent of {len(names):,} labels."
    return [Section("Precision and recall by label", text, plots=tuple(drawn))]


def _curve(truth_N: np.ndarray, share_N: np.ndarray) -> Points:
    """Return (recall, precision) at every threshold."""
    precision, recall, _ = sk.precision_recall_curve(truth_N, share_N)
    return list(zip(recall.tolist(), precision.tolist(), strict=True))


def _at(truth_N: np.ndarray, given_N: np.ndarray) -> tuple[float, float]:
    """Return (recall, precision) of what was answered."""
    scores = (f(truth_N, given_N, zero_division=0.0) for f in (sk.recall_score, sk.precision_score))
    recall, precision = map(float, scores)
    return recall, precision


def _threshold(outcome: Outcome, name: str) -> str:
    """Return the threshold that a training keeps; an evaluation has its model's."""
    found = outcome.record.thresholds.get(name)
    return "0.5" if found is None else f"{found:.4f}"
