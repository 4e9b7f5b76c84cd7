"""Score predictions on a split: metrics with intervals, per-example rows, and what to call out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from modernbert.activity import phase
from modernbert.data.clusters import row_clusters
from modernbert.data.examples import Examples
from modernbert.data.task import Task
from modernbert.errors import BadModel
from modernbert.evaluation.calibration import Answers, calibration_scores
from modernbert.evaluation.metrics import DIGITS, METRICS, measured, score
from modernbert.evaluation.multi_label import label_scores
from modernbert.evaluation.predict import decide, probabilities
from modernbert.records.scores import LabelScore, Score, SplitScores

# Errors and what is explained of them: one answer throughout has no correlation with anything.
OF_THE_MEAN = ("r2", "mean_absolute_error", "root_mean_squared_error")


@phase("computing scores and intervals")
def score_split(task: Task, split: str, examples: Examples, logits_NC: np.ndarray) -> SplitScores:
    """Score one split from its logits, shape (N, C).

    Raises:
        BadModel: logits that are not numbers.
    """
    labels = examples.labels
    assert labels is not None
    require_numbers(split, logits_NC)
    predictions = decide(logits_NC, task.kind, task.thresholds)
    clusters = row_clusters(task, examples.rows)
    scores = tuple(
        score(name, *measured(name, labels, predictions, logits_NC, task.positive_index), clusters)
        for name in task.metrics
    )
    notes = (*collapse_notes(task, predictions), *mean_notes(task, labels, predictions))
    by_label: tuple[LabelScore, ...] = ()
    if task.kind == "multi_label":
        by_label = label_scores(task.labels, task.thresholds, labels, predictions, logits_NC)
    sure: tuple[Score, ...] = ()
    calibrated: tuple[Score, ...] = ()
    if task.kind == "single_label":
        sure = calibration_scores([Answers.of(labels, logits_NC, clusters)])
    if task.temperature != 1:
        calibrated = calibration_scores([Answers.of(labels, logits_NC / task.temperature, clusters)])
    return SplitScores.of(
        split,
        scores,
        notes,
        mean=mean_scores(task, labels),
        labels=by_label,
        calibration=sure,
        calibrated=calibrated,
    )


def mean_scores(task: Task, labels: np.ndarray) -> tuple[Score, ...]:
    """Return what the training labels' mean scores for every text, where that is known."""
    if task.mean is None:
        return ()
    always = np.full_like(labels, task.mean)
    return tuple(score(metric, labels, always) for metric in task.metrics if metric in OF_THE_MEAN)


def mean_notes(task: Task, labels: np.ndarray, predictions: np.ndarray) -> tuple[str, ...]:
    """Call out a model of numbers that is not better than the training labels' mean."""
    if task.mean is None:
        return ()
    always = np.full_like(labels, task.mean)
    pairs = {
        name: (METRICS[name](labels, predictions), METRICS[name](labels, always))
        for name in ("mean_absolute_error", "root_mean_squared_error")
    }
    return tuple(
        f"NOT BETTER THAN THE MEAN: {name} is {own:.4g}; predicting {task.mean:.4g} for every text gives "
        f"{simple:.4g}"
        for name, (own, simple) in pairs.items()
        if own >= simple
    )


def require_numbers(split: str, logits_NC: np.ndarray) -> None:
    """Refuse answers that are not numbers: NaN would count as a class, and as a correlation of 0."""
    if broken := int((~np.isfinite(logits_NC)).any(axis=1).sum()):
        raise BadModel(
            f"answers to {broken:,} of {len(logits_NC):,} examples are not numbers (nan, infinite)",
            where=split,
            fix="Try --precision fp32; if that is no help, its weights are broken: train it again.",
        )


def quick_metrics(task: Task, labels: np.ndarray, logits_NC: np.ndarray) -> dict[str, float]:
    """Return the task's metrics without intervals, for evaluations during training.

    Raises:
        BadModel: logits that are not numbers.
    """
    require_numbers("validation", logits_NC)
    predictions = decide(logits_NC, task.kind, task.thresholds)
    return {
        name: METRICS[name](*measured(name, labels, predictions, logits_NC, task.positive_index))
        for name in task.metrics
    }


def collapse_notes(task: Task, predictions: np.ndarray) -> tuple[str, ...]:
    """Call out a model that predicts the same for every example."""
    if len(predictions) < 2 or len(np.unique(predictions, axis=0)) > 1:
        return ()
    if task.kind == "single_label":
        return (f"every example is predicted '{task.labels[int(predictions[0])]}': the model has collapsed",)
    return ("every example gets the same prediction: the model has collapsed",)


def example_rows(
    task: Task, split: str, examples: Examples, logits_NC: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Yield one row per example: its id (split and row number), label, prediction and logits.

    Of a task whose rows come in clusters, also the first row's number of its cluster.
    """
    assert examples.labels is not None
    clusters = row_clusters(task, examples.rows)
    predictions = decide(logits_NC, task.kind, task.thresholds)
    for i, number in enumerate(examples.rows.numbers):
        yield {
            "id": f"{split}/{number}",
            "label": examples.labels[i].tolist(),
            "prediction": predictions[i].tolist(),
            "logits": [round(float(value), DIGITS) for value in logits_NC[i]],
            **({} if clusters is None else {"cluster": clusters[i]}),
        }


def readable_prediction(
    task: Task, logits_C: np.ndarray, *, top: int = 0, calibrated: bool = False
) -> dict[str, Any]:
    """Return one prediction in the task's own words.

    Single-label: `prediction` (a name), `confidence` (its probability), `probabilities`;
    multi-label: `prediction` (a list of names) and `probabilities`; regression: `prediction` (a number).

    Args:
        top: how many of the most probable labels to name, in `top`, instead of all probabilities; 0 for all.
        calibrated: show probabilities with the task's temperature; the answer stays as it is.
    """
    if task.kind == "regression":
        return {"prediction": float(f"{logits_C[0]:.7g}")}  # all digits that fp32 knows
    shares_C = probabilities(logits_C[None] / (task.temperature if calibrated else 1), task.kind)[0]
    named = {name: round(float(share), 6) for name, share in zip(task.labels, shares_C, strict=True)}
    given = decide(logits_C[None], task.kind, task.thresholds)[0]
    told: dict[str, Any] = {"probabilities": named}
    if top:
        best = np.argsort(-shares_C, kind="stable")[:top]
        told = {"top": [{"label": (name := task.labels[i]), "probability": named[name]} for i in best]}
    if task.kind == "multi_label":
        return {"prediction": [n for n, yes in zip(task.labels, given, strict=True) if yes], **told}
    answer = task.labels[int(given)]
    return {"prediction": answer, "confidence": named[answer], **told}
